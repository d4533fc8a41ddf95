"""What result files have in common, whatever wrote them: their mark, and overlays. Draws nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image, PngImagePlugin

from maskwright.core.files import replacing
from maskwright.core.reject import TABLE_HEAD as RISK_TABLE_HEAD

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

MARK = "maskwright-prediction"
TABLE_HEAD = "id,class,score,touches_border,"
REGION_TABLE_HEAD = "label,area,centroid_y,centroid_x,"
"""A table has no place for the mark: its first columns are the mark."""
STORE_FILE = ".zattrs"
OVERLAY_SIDE = 8192  # longer pictures are made smaller: an overlay is there to be looked at


def written_by_us(path: Path) -> bool:
    """Tell whether a file is a result of maskwright, by the mark near its start or at its end.

    The mark of a Zarr store lies in its attributes.
    """
    path = path / STORE_FILE if path.is_dir() else path
    try:
        with path.open("rb") as stream:
            head = stream.read(4096)
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - 64))
            return is_marked(head, stream.read())
    except OSError:
        return False  # whoever reads the file for its content will say what is wrong with it


def is_marked(head: bytes, tail: bytes) -> bool:
    """Tell whether a file is a result of maskwright, by its first 4096 and its last 64 bytes."""
    heads = (TABLE_HEAD, REGION_TABLE_HEAD, RISK_TABLE_HEAD)
    return MARK.encode() in head + tail or head.startswith(tuple(table.encode() for table in heads))


def overlay_step(size: tuple[int, ...]) -> int:
    """Return which rows and columns of an image of `size` an overlay keeps: every one, every second, ..."""
    return -(-max(size) // OVERLAY_SIDE)


def write_png(path: Path, picture: Image.Image) -> None:
    """Write a picture as PNG with the mark."""
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Software", MARK)
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG", pnginfo=notes)


def write_jpeg(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write RGB (H, W, 3) as JPEG."""
    with replacing(path) as temporary:
        save_jpeg(temporary, picture)


def save_jpeg(file: Path | BinaryIO, picture: NDArray[np.uint8]) -> None:
    """Save RGB (H, W, 3) as JPEG."""
    Image.fromarray(picture).save(file, format="JPEG", quality=92, subsampling=0, comment=MARK)
