"""What GDAL keeps apart from the pixels of a raster: a value for no data beside the file, a mask of valid pixels in it.

Knows no labels, and decodes no image but that mask.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from maskwright.data.readers.arrays import number
from maskwright.data.readers.errors import DecodeError
from maskwright.data.readers.tiff_file import ERRORS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.core.records import ImageRef
    from maskwright.data.readers.tiff_file import TiffImage

_SUFFIX = ".aux.xml"


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
