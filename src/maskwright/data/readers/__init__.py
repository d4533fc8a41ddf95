"""Image and mask files to arrays: a table from what a file begins with to the module that reads it. Knows no labels."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from maskwright.core.records import ImageRef, Reading
from maskwright.data.readers import npy, pnm, raster, tiff, zarr_image
from maskwright.data.readers.arrays import MAX_PIXELS, NO_DATA, RawMask, turn, upright, upright_size
from maskwright.data.readers.errors import DecodeError
from maskwright.data.readers.gdal import has_mask_beside, hidden, invalid_beside
from maskwright.data.readers.impostors import HEAD_BYTES, described
from maskwright.data.readers.tiff import Pages
from maskwright.data.readers.zarr_store import is_store
from maskwright.ops.no_data import without

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Image = ImageRef | Path | str

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "NO_DATA",
    "DecodeError",
    "Pages",
    "RawMask",
    "count_pages",
    "image_orientation",
    "image_size",
    "is_lossy",
    "read_alpha",
    "read_bytes",
    "read_image",
    "read_mask",
]

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp", ".gif", ".ppm", ".pgm", ".pbm", ".pnm"}
    | {".tif", ".tiff", ".npy"}
)
TIFF_SUFFIXES = frozenset({".tif", ".tiff"})


class Reader(NamedTuple):
    """How one family of files is read; each function takes the image and the kind of file that was recognised."""

    size: Callable[[ImageRef, str], tuple[int, int]]
    image: Callable[[ImageRef, str], NDArray[Any]]
    mask: Callable[[ImageRef, str], RawMask]
    orientation: Callable[[ImageRef, str], int] = lambda _image, _kind: 1


_RASTER = Reader(raster.size, raster.image, raster.mask, raster.orientation)
_TIFF = Reader(tiff.size, tiff.image, tiff.mask, tiff.orientation)
_NPY = Reader(npy.size, npy.image, npy.mask)
_PNM = Reader(pnm.size, pnm.image, pnm.mask)
_ZARR = Reader(zarr_image.size, zarr_image.image, zarr_image.mask)

# First bytes of a file -> its kind. The content decides and not the suffix: a PNG named .jpg is read as a PNG.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"BM", "bmp"),
    (b"GIF8", "gif"),
    *((b"P%d" % code, "pnm") for code in range(1, 7)),
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
    "pnm": _PNM,
    "tiff": _TIFF,
    "npy": _NPY,
    "zarr": _ZARR,
}


def read_image(image: Image) -> NDArray[Any]:
    """Decode an image file, or one page of a stack, and turn it upright by its EXIF orientation.

    Returns:
        (H, W, C) in uint8, uint16 or float32; grey has one channel, RGB red first; palette, 1-bit and CMYK images
        become RGB, and alpha channels are dropped. Where there are no data, floats are NaN, and integers are masked
        (`numpy.ma`); see `ops.no_data`.

    Raises:
        DecodeError: the file is missing, not an image, truncated or too large, or has no such page; `kind` tells which.
    """
    ref, kind = _recognised(image)
    if ref.more:
        return _stacked(ref)
    pixels = READERS[kind].image(ref, kind)
    gone = _invalid_beside(ref, kind, (pixels.shape[0], pixels.shape[1]))
    return pixels if gone is None or not gone.any() else without(pixels, gone)


def read_bytes(content: bytes, name: str, reading: Reading) -> NDArray[Any]:
    """Decode the content of an image file as `read_image` does; errors call it `name`.

    Raises:
        DecodeError: as `read_image`.
    """
    with tempfile.TemporaryDirectory(prefix="maskwright-") as folder:
        path = Path(folder) / "image"
        path.write_bytes(content)
        try:
            return read_image(ImageRef(path, reading=reading))
        except DecodeError as error:
            raise DecodeError(error.kind, ImageRef(Path(name)), error.message, error.cure) from None


def _invalid_beside(ref: ImageRef, kind: str, size: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Return where a file beside an image of `size`, which is upright, marks it as not valid, upright too."""
    if not has_mask_beside(ref):
        return None
    turned = turn(ref, READERS[kind].orientation(ref, kind))
    return upright(invalid_beside(ref, upright_size(size, turned)), turned)


def _stacked(ref: ImageRef) -> NDArray[Any]:
    """Read the channels (H, W, C) that lie in files of their own."""
    first, *others = (replace(ref, path=path, more=()) for path in (ref.path, *ref.more))
    channels = [read_image(first)]
    for other in others:
        channel = read_image(other)
        if channel.shape[:2] != channels[0].shape[:2]:
            found, wanted = (f"{shape[1]}x{shape[0]}" for shape in (channel.shape, channels[0].shape))
            message = f"is {found} pixels, but the first channel, {first.name}, is {wanted}"
            raise DecodeError("size-mismatch", other, message, "save all channels of an image at one size")
        channels.append(channel)
    masked = any(isinstance(channel, np.ma.MaskedArray) for channel in channels)
    return np.ma.concatenate(channels, axis=2) if masked else np.concatenate(channels, axis=2)


def image_size(image: Image) -> tuple[int, int]:
    """Return (height, width) in pixels after the EXIF orientation is applied, from the header alone.

    Raises:
        DecodeError: the file is missing or not an image, or has no such page.
    """
    ref, kind = _recognised(image)
    return READERS[kind].size(ref, kind)


def image_orientation(image: Image) -> int:
    """Return the EXIF orientation 1..8 of an image, from its header alone; 1 means that it is stored upright.

    Raises:
        DecodeError: the file is missing or not an image, or has no such page.
    """
    ref, kind = _recognised(image)
    return READERS[kind].orientation(ref, kind)


def read_mask(image: Image) -> RawMask:
    """Decode a mask file, or one page of a stack, to its values or colours; palette images give their indices.

    Returns:
        Integers (H, W), or colours (H, W, 3) in uint8.

    Raises:
        DecodeError: the file is missing, not an image, truncated or too large, holds fractions, or has no such page;
            `kind` tells which.
    """
    ref, kind = _recognised(image)
    raw = READERS[kind].mask(ref, kind)
    return hidden(ref, raw, _invalid_beside(ref, kind, raw.size))


def read_alpha(image: Image) -> RawMask:
    """Decode the alpha channel of an image, or the transparency of its palette, to values (H, W): 0 is transparent.

    Raises:
        DecodeError: as `read_mask`; also if the file has no alpha channel.
    """
    ref, kind = _recognised(image)
    return (tiff if kind == "tiff" else raster).alpha(ref, kind)


def count_pages(path: Path) -> Pages:
    """Count the pages of a file, from its header alone; only a TIFF, by its suffix, or a Zarr store may have more.

    Raises:
        DecodeError: the file is missing or not an image.
    """
    if is_store(path):
        return zarr_image.pages(ImageRef(path))
    if path.suffix.lower() not in TIFF_SUFFIXES:
        return Pages(1)
    ref, kind = _recognised(path)
    return tiff.pages(ref, kind) if kind == "tiff" else Pages(1)


def is_lossy(image: Image) -> bool:
    """Tell whether a file is compressed with loss (JPEG, most WebP), which blurs the labels of a mask.

    Raises:
        DecodeError: the file is missing or not an image.
    """
    return raster.is_lossy(*_recognised(image))


def _recognised(image: Image) -> tuple[ImageRef, str]:
    ref = ImageRef.of(image)
    if is_store(ref.path):
        return ref, "zarr"
    try:
        with ref.path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except FileNotFoundError:
        raise DecodeError("unreadable", ref, "does not exist", "check the path") from None
    except IsADirectoryError:
        raise DecodeError("unreadable", ref, "is a folder and no Zarr store", "give the path of one image") from None
    except OSError as error:
        raise DecodeError("unreadable", ref, f"cannot be opened ({error.strerror})", "check its permissions") from None
    if not head:
        raise DecodeError("unreadable", ref, "is empty (0 bytes)", "copy it again from its source, or remove it")
    kind = _kind(head)
    if kind is None:
        message, cure = described(head)
        known = ", ".join(sorted(READERS.keys() - {"zarr"}))
        raise DecodeError("unreadable", ref, message, cure or f"save it as one of {known}, or remove it")
    if ref.page is not None and kind != "tiff":
        message = f"cannot be read: a {kind.upper()} file holds one image"
        raise DecodeError("unreadable", ref, message, "leave out the page")
    return ref, kind


def _kind(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)
