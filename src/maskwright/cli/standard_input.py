"""The source `-`: the bytes of one image on standard input. Decodes nothing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.workflows.predict_parts.pictures import Picture


def with_standard_input(sources: Sequence[str]) -> list[str | Picture]:
    """Return the sources, and for `-` the image on standard input, whose results are called `stdin`.

    Raises:
        MaskwrightError: `-` is given twice, or standard input is a terminal.
    """
    if "-" not in sources:
        return list(sources)
    if sources.count("-") > 1:
        raise MaskwrightError("the source - is given twice, and standard input can be read once: give it once")
    if sys.stdin.isatty():
        raise MaskwrightError("the source - is an image on standard input, which is a terminal: pipe an image into it")
    from maskwright.workflows.predict_parts.pictures import Picture

    content = sys.stdin.buffer.read()
    return [Picture.of("stdin", content) if source == "-" else source for source in sources]
