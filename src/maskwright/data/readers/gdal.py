"""What GDAL keeps apart from the pixels of a raster: a value for no data, and a mask of valid pixels.

The value lies in NAME.aux.xml. The mask lies in a page of a TIFF, or in NAME.msk, which is a TIFF beside an image of
any kind. Knows no labels, and decodes no image but that mask.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from maskwright.core.records import ImageRef
from maskwright.data.readers.arrays import NO_DATA, number
from maskwright.data.readers.errors import DecodeError
from maskwright.data.readers.tiff_file import ERRORS, TiffImage
from maskwright.data.readers.tiff_pixels import stored

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.data.readers.arrays import RawMask

_SUFFIX, _MASK_SUFFIX = ".aux.xml", ".msk"


def declared_beside(ref: ImageRef) -> float | None:
    """Return the value for no data in NAME.aux.xml; None without such a file, or if it declares none.

    Raises:
        DecodeError: the file is damaged, or declares several values.
    """
    path = ref.path.with_name(ref.path.name + _SUFFIX)
    if not os.path.isfile(path):  # noqa: PTH113 (a name that is too long is no file, and no error)
        return None
    try:
        tree = ElementTree.fromstring(path.read_bytes())  # noqa: S314 (expat limits how far entities grow)
    except (ElementTree.ParseError, ValueError, LookupError, OSError) as error:
        message = f"has a file {path.name} that cannot be read ({error})"
        raise DecodeError("unreadable", ref, message, f"write {path.name} again, or remove it") from None
    values = {number(entry.text) for entry in tree.iterfind("PAMRasterBand/NoDataValue")}
    if len(values) > 1:
        message = f"has several values for no data in {path.name}, but one must mean it in all bands"
        raise DecodeError("unreadable", ref, message, "save it with one value for no data")
    return values.pop() if values else None


def invalid(tiff: TiffImage) -> NDArray[np.bool_] | None:
    """Return where the mask inside a TIFF says that nothing is valid, as (H, W), as stored; None without a mask.

    Raises:
        DecodeError: the mask cannot be decoded.
    """
    page = tiff.mask_page()
    if page is None:
        return None
    try:
        valid: NDArray[Any] = np.asarray(page.asarray()).reshape(tiff.size)
    except ERRORS as error:
        message = f"has a mask of valid pixels that cannot be decoded ({error})"
        raise DecodeError("unreadable", tiff.ref, message, "save it without compression, or without the mask") from None
    return np.asarray(valid == 0)


def _mask_beside(ref: ImageRef) -> Path:
    return ref.path.with_name(ref.path.name + _MASK_SUFFIX)


def has_mask_beside(ref: ImageRef) -> bool:
    """Tell whether there is a file NAME.msk; pages of a stack have none."""
    return ref.page is None and os.path.isfile(_mask_beside(ref))  # noqa: PTH113 (a name that is too long is no file)


def invalid_beside(ref: ImageRef, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return where NAME.msk says that a band is not valid, as (H, W), as stored.

    Args:
        ref: the image, which has such a file.
        size: (height, width) of the image as stored.

    Raises:
        DecodeError: the file is damaged, or has another size.
    """
    path = _mask_beside(ref)
    cure = f"write {path.name} again, or remove it"
    try:
        with TiffImage(ImageRef(path), "tiff") as tiff:
            tiff.check()
            found, valid = tiff.size, np.atleast_3d(stored(tiff)).all(axis=2)
    except (DecodeError, *ERRORS) as error:
        raise DecodeError("unreadable", ref, f"has a file {path.name} that cannot be read ({error})", cure) from None
    if found != size:
        message = f"is {size[1]}x{size[0]} pixels, but {path.name} is {found[1]}x{found[0]}"
        raise DecodeError("size-mismatch", ref, message, cure)
    return np.asarray(~valid)


def hidden(ref: ImageRef, raw: RawMask, gone: NDArray[np.bool_] | None) -> RawMask:
    """Mark the values of a mask file (H, W) that are not valid.

    Raises:
        DecodeError: it holds colours or a palette, which have no value for that.
    """
    if gone is None or not gone.any():
        return raw
    if raw.array.ndim == 3 or raw.palette is not None:
        message = (
            f"has a mask of valid pixels ({np.count_nonzero(gone):,} are not), but colours, which cannot be left out"
        )
        raise DecodeError("other-convention", ref, message, "save it as plain values without a palette")
    return replace(raw, array=np.where(gone, NO_DATA, raw.array.astype(np.int64)), nodata=raw.nodata | {NO_DATA})
