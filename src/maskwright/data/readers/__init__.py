"""Image and mask files to arrays: a table from what a file begins with to the module that reads it. Knows no labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from maskwright.data.readers import npy, raster, tiff
from maskwright.data.readers.arrays import MAX_PIXELS, RawMask
from maskwright.data.readers.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "DecodeError",
    "RawMask",
    "image_size",
    "is_lossy",
    "read_image",
    "read_mask",
]

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp", ".gif", ".ppm", ".pgm", ".pbm", ".pnm"}
    | {".tif", ".tiff", ".npy"}
)


class Reader(NamedTuple):
    """How one family of files is read; each function takes the path and the kind that was recognised."""

    size: Callable[[Path, str], tuple[int, int]]
    image: Callable[[Path, str], NDArray[Any]]
    mask: Callable[[Path, str], RawMask]


_RASTER = Reader(raster.size, raster.image, raster.mask)
_TIFF = Reader(tiff.size, tiff.image, tiff.mask)
_NPY = Reader(npy.size, npy.image, npy.mask)

# What a file begins with -> its kind. The content decides, not the suffix: a PNG named .jpg is read as what it is.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"BM", "bmp"),
    (b"GIF8", "gif"),
    (b"P1", "pnm"),
    (b"P2", "pnm"),
    (b"P3", "pnm"),
    (b"P4", "pnm"),
    (b"P5", "pnm"),
    (b"P6", "pnm"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
    (b"\x93NUMPY", "npy"),
)
READERS: dict[str, Reader] = {
    "png": _RASTER,
    "jpeg": _RASTER,
    "bmp": _RASTER,
    "webp": _RASTER,
    "gif": _RASTER,
    "pnm": _RASTER,
    "tiff": _TIFF,
    "npy": _NPY,
}


def read_image(path: Path | str) -> NDArray[Any]:
    """Decode an image file, turned upright by its EXIF orientation.

    Returns:
        (H, W, C) in uint8, uint16 or float32; grey has one channel, RGB red first; palette, 1-bit and CMYK pictures
        become RGB, and what the file calls alpha is left out.

    Raises:
        DecodeError: missing, no image, cut off, too large, or not finite; `kind` says which.
    """
    path = Path(path)
    kind = _kind(path)
    return READERS[kind].image(path, kind)


def image_size(path: Path | str) -> tuple[int, int]:
    """Return (height, width) as displayed, from the header alone.

    Raises:
        DecodeError: missing or no image.
    """
    path = Path(path)
    kind = _kind(path)
    return READERS[kind].size(path, kind)


def read_mask(path: Path | str) -> RawMask:
    """Decode a mask file to its values or colours as stored; palette pictures give their indices.

    Raises:
        DecodeError: missing, no picture, cut off, too large, or no whole numbers; `kind` says which.
    """
    path = Path(path)
    kind = _kind(path)
    return READERS[kind].mask(path, kind)


def is_lossy(path: Path | str) -> bool:
    """Tell whether a file is JPEG-compressed, which blurs the labels of a mask.

    Raises:
        DecodeError: missing or no image.
    """
    return _kind(Path(path)) == "jpeg"


def _kind(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            head = stream.read(16)
    except FileNotFoundError:
        raise DecodeError("unreadable", path, "does not exist", "check the path") from None
    except OSError as error:
        raise DecodeError("unreadable", path, f"cannot be opened ({error.strerror})", "check its permissions") from None
    if not head:
        raise DecodeError(
            "unreadable", path, "is empty (0 bytes)", "copy it again from where it came from, or remove it"
        )
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    known = ", ".join(sorted(READERS))
    raise DecodeError(
        "unreadable", path, f"is no image: it begins with {head[:8]!r}", f"save it as one of {known}, or remove it"
    )
