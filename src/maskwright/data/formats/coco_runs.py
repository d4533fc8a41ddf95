"""Run-length codes of COCO whose runs follow rows instead of columns, as their shapes show. Opens no file.

Runs along rows that are read down columns scatter an object over the image: next to most of its runs there is no other,
or they go on at the other side of the image. Square images tell nothing: there, an object in the wrong direction is
turned over and not torn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError
from maskwright.core.text import agree, plural, such_as
from maskwright.ops import rle as rle_codes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from maskwright.data.formats.outlines.shapes import Drawing

_SAMPLE = 1000  # codes of a file that are compared, spread over it
_FEWEST = 4  # torn runs
_CLEAR = 10  # times as many as in the other direction


def require_columns(path: Path, objects: Sequence[Drawing]) -> None:
    """Refuse run-length codes whose shapes are torn down columns, and whole along rows.

    Args:
        path: the file.
        objects: what was read of its annotations.

    Raises:
        MaskwrightError: almost all that tell a direction are so.
    """
    coded = [drawing for drawing in objects if drawing.rle is not None]
    sample = coded[:: -(-len(coded) // _SAMPLE) or 1]
    torn: list[Drawing] = []
    down = along = 0
    for drawing in sample:
        columns, rows = _tears(drawing)
        if columns > _CLEAR * rows:
            torn.append(drawing)
            down += columns
        elif rows > _CLEAR * columns:
            along += rows
    if down >= _FEWEST and down > _CLEAR * along:
        raise MaskwrightError(
            f"{path}: {len(torn)} of {plural(len(sample), 'run-length code')} that {agree(len(sample), 'was', 'were')} "
            f"compared {agree(len(torn), 'is', 'are')} torn if the runs follow columns, as those of COCO do, and whole "
            f"if they follow rows, {such_as(len(torn), torn[0].name)}: write the runs again, column by column"
        )


def _tears(drawing: Drawing) -> tuple[int, int]:
    assert drawing.rle is not None
    try:
        return rle_codes.tears(drawing.rle)
    except MaskwrightError:  # reported when it is painted
        return 0, 0
