"""A predicted image that is written by rows. Knows no file."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from maskwright.core.pixel_size import PixelSize
    from maskwright.data.readers.geotiff import Georeference
    from maskwright.ops.rows import RowSource


class Scan(NamedTuple):
    """A predicted image that may be too large for memory.

    Attributes:
        image: read by rows.
        labels: its label map uint8 (H, W, 1), read by rows.
        place: where on Earth it lies, if its file says so.
        scale: size of a pixel, if anybody knows it.
    """

    image: RowSource
    labels: RowSource
    place: Georeference | None = None
    scale: PixelSize | None = None
