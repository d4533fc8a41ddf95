"""Writes what to do next as a command line. Knows no verb."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from maskwright.cli.flags import FLAGS

if TYPE_CHECKING:
    from maskwright.core.answers import Cure


def command(cure: Cure) -> str:
    """Return a cure as a command that can be pasted into a shell."""
    words = ["maskwright", cure.verb, *map(shlex.quote, cure.arguments)]
    for name, value in cure.options.items():
        for entry in value if isinstance(value, tuple) else (value,):
            words.append(FLAGS[name])
            if not isinstance(entry, bool):
                words.append(shlex.quote(entry))
    return " ".join(words)
