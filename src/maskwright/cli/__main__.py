"""`python -m maskwright.cli`, the same as `maskwright`: what torchrun starts in several processes."""

from maskwright.cli.main import main

if __name__ == "__main__":
    main()
