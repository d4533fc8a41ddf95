"""`python -m maskwright`, the same as `maskwright`: what torchrun starts in several processes."""

from maskwright.cli.main import main

main()
