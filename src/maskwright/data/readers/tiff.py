"""TIFF of any kind that images come in: 8, 16 and 32 bits, floats, many bands, palettes, pages. Knows no labels.

`tiff_file` reads the header and `tiff_pixels` the stored numbers; this file says what they mean. What WhiteIsZero
stores as 0 is white for every viewer: such values are inverted here, for images and masks, whatever the compression.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.data.readers.arrays import (
    RawMask,
    exif_orientation,
    plain_mask,
    plain_pixels,
    turn,
    upright,
    upright_size,
)
from maskwright.data.readers.errors import without_transparency
from maskwright.data.readers.gdal import declared_beside, hidden, invalid
from maskwright.data.readers.mask_channels import require_shown, without_one_hot
from maskwright.data.readers.tiff_file import JPEG, MIN_IS_WHITE, SEPARATED, YCBCR, Pages, TiffImage
from maskwright.data.readers.tiff_pixels import rgb, stored
from maskwright.ops.no_data import without

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.core.records import ImageRef

__all__ = ["Pages", "alpha", "image", "mask", "orientation", "pages", "size"]

_CLASSIC = {b"*\0", b"\0*"}
_TAGS_BYTES = 4096  # they are sorted, and the orientation is among the first


def pages(ref: ImageRef, kind: str) -> Pages:
    """Count the pages of a file from its header alone."""
    with TiffImage(ref, kind) as tiff:
        return tiff.pages


def size(ref: ImageRef, kind: str) -> tuple[int, int]:
    """Return (height, width) in pixels after the orientation is applied, from the header alone."""
    with TiffImage(ref, kind) as tiff:
        tiff.check()
        return upright_size(tiff.size, turn(ref, tiff.orientation))


def orientation(ref: ImageRef, kind: str) -> int:
    """Return the orientation 1..8 that the header names."""
    with ref.path.open("rb") as stream:
        head = stream.read(8)
        order = "<" if head[:2] == b"II" else ">"
        if len(head) == 8 and head[2:4] in _CLASSIC:  # read directly, since every image of a data set is asked
            stream.seek(struct.unpack_from(f"{order}I", head, 4)[0])
            return exif_orientation(head[:4] + struct.pack(f"{order}I", 8) + stream.read(_TAGS_BYTES))
    with TiffImage(ref, kind) as tiff:
        return tiff.orientation


def image(ref: ImageRef, kind: str) -> NDArray[Any]:
    """Decode to (H, W, C), upright; palette, 1-bit, CMYK and YCbCr images become RGB.

    The pages of a whole file become channels. Alpha channels are dropped: they describe how to display an image and
    not its content.
    """
    with TiffImage(ref, kind) as tiff:
        tiff.check()
        declared = None  # of converted colours it says nothing
        if tiff.photometric == SEPARATED or (tiff.photometric == YCBCR and tiff.compression not in JPEG):
            pixels: NDArray[Any] = rgb(tiff)
        elif tiff.has_palette:
            pixels = tiff.palette()[stored(tiff)]
        else:
            declared, pixels = _declared(tiff), plain(tiff, stored(tiff))
        turned = turn(ref, tiff.orientation)
        found, gone = plain_pixels(ref, upright(pixels, turned), declared), invalid(tiff)
        return found if gone is None else without(found, upright(gone, turned))


def plain(tiff: TiffImage, values: NDArray[Any]) -> NDArray[Any]:
    """Return the pixels (H, W, C) that stored numbers without a palette show, without alpha, in 8 bits if in fewer."""
    pixels = tiff.without_alpha(np.atleast_3d(_seen(tiff, values)))
    if pixels.dtype == bool:
        return np.repeat(pixels, 3, axis=2)
    return pixels * (255 // (2**tiff.bits - 1)) if tiff.bits in {2, 4} else pixels


def rows_image(tiff: TiffImage, values: NDArray[Any], gone: NDArray[np.bool_] | None) -> NDArray[Any]:
    """Turn some rows of stored numbers into those of the image, as `image` does with all of them.

    Args:
        tiff: the header.
        values: (h, W, C), as stored, of a palette or plain.
        gone: (h, W), where a mask in the file says that nothing is valid; None without one.
    """
    if tiff.has_palette:
        found = plain_pixels(tiff.ref, tiff.palette()[values[..., 0]])
    else:
        found = plain_pixels(tiff.ref, plain(tiff, values), _declared(tiff))
    return found if gone is None or not gone.any() else without(found, gone)


def mask(ref: ImageRef, kind: str) -> RawMask:
    """Decode to values (H, W) or colours (H, W, 3) as seen; palette images give their indices."""
    with TiffImage(ref, kind) as tiff:
        tiff.check()
        array = without_one_hot(ref, upright(_as_seen(tiff), turn(ref, tiff.orientation)), alpha=True)
        if array.ndim == 3 and array.shape[2] == 4:
            require_shown(ref, array[..., :3], array[..., 3])
        palette = tiff.palette() if tiff.has_palette else None
        raw = plain_mask(ref, array, _declared(tiff))
        raw = replace(RawMask.with_palette(raw.array, palette, lossy=tiff.lossy), nodata=raw.nodata, soft=raw.soft)
        gone = invalid(tiff)
        return raw if gone is None else hidden(ref, raw, upright(gone, turn(ref, tiff.orientation)))


def alpha(ref: ImageRef, kind: str) -> RawMask:
    """Decode the alpha channel to (H, W) in uint8: 0 is transparent."""
    with TiffImage(ref, kind) as tiff:
        tiff.check()
        pixels = np.atleast_3d(stored(tiff))
        places = tiff.alpha_of(pixels)
        if not places or pixels.dtype.kind != "u":
            raise without_transparency(ref)
        array = (pixels[..., places[0]] >> 8 * (pixels.dtype.itemsize - 1)).astype(np.uint8)
        return RawMask(np.ascontiguousarray(upright(array, turn(ref, tiff.orientation))))


def _as_seen(tiff: TiffImage) -> NDArray[Any]:
    """Return the stored numbers, (H, W) or (H, W, C), those of WhiteIsZero inverted; floats have no white to invert."""
    return _seen(tiff, stored(tiff))


def _seen(tiff: TiffImage, values: NDArray[Any]) -> NDArray[Any]:
    if not _is_inverted(tiff):
        return values
    return ~values if values.dtype == bool else values.dtype.type(2**tiff.bits - 1) - values


def _declared(tiff: TiffImage) -> float | None:
    """Return the value that stands for no data among those seen."""
    value = declared_beside(tiff.ref) if tiff.nodata is None else tiff.nodata
    return 2**tiff.bits - 1 - value if value is not None and _is_inverted(tiff) else value


def _is_inverted(tiff: TiffImage) -> bool:
    return tiff.photometric == MIN_IS_WHITE and tiff.series.dtype.kind in "bu"
