"""How wide a pixel is, where the file says so: OME-TIFF, OME-Zarr, ImageJ's TIFF, GeoTIFF in metres. Decodes no pixel.

The resolution of other files is that of a printer or a screen, which says nothing about what was photographed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from maskwright.core.errors import MaskwrightError
from maskwright.core.pixel_size import PixelSize
from maskwright.data.readers import zarr_image
from maskwright.data.readers.geotiff import georeference
from maskwright.data.readers.tiff_file import ERRORS
from maskwright.data.readers.zarr_store import is_store

if TYPE_CHECKING:
    from maskwright.core.records import ImageRef

_TIFF = {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}
_X_RESOLUTION, _Y_RESOLUTION = 282, 283
_WORDS = {"micron": "um", "microns": "um", "micrometer": "um", "nanometer": "nm", "millimeter": "mm"}


def pixel_size(image: ImageRef, level: int = 0) -> PixelSize | None:
    """Return the size of the pixels of an image, or of a level of its pyramid.

    Returns:
        The size; None if the file does not tell it, or they are not square.
    """
    if is_store(image.path):
        return zarr_image.pixel_size(image, level)
    with image.path.open("rb") as stream:
        if stream.read(4) not in _TIFF:
            return None
    import tifffile

    try:
        with tifffile.TiffFile(image.path) as tiff:
            width, height, unit = _stated(tiff)
            times = _times(tiff, level) if level else 1.0
        if abs(width - height) > 1e-3 * width:
            return None
        return PixelSize.parse(f"{width * times!r}{_WORDS.get(unit, unit)}")
    except (
        *ERRORS,
        ZeroDivisionError,
        ElementTree.ParseError,
        MaskwrightError,
    ):  # no size, none of a known unit, or damaged
        return None


def _stated(tiff: Any) -> tuple[float, float, str]:
    """Return width, height and unit."""
    if tiff.is_ome:
        return _ome(tiff.ome_metadata)
    place = georeference(tiff.series[0].keyframe)
    metres = None if place is None else place.metres
    return _imagej(tiff) if metres is None else (*metres, "m")


def _ome(text: str | None) -> tuple[float, float, str]:
    """Return width, height and unit."""
    root = ElementTree.fromstring(text or "")  # noqa: S314 (expat limits how far entities grow)
    for pixels in root.iterfind("{*}Image/{*}Pixels"):
        (unit,) = {pixels.get(f"PhysicalSize{axis}Unit", "um") for axis in "XY"}
        return float(pixels.attrib["PhysicalSizeX"]), float(pixels.attrib["PhysicalSizeY"]), unit
    raise ValueError


def _times(tiff: Any, level: int) -> float:
    """Return how many times wider a pixel of a level is."""
    levels = tiff.series[0].levels
    return float(levels[0].keyframe.imagewidth / levels[level].keyframe.imagewidth)


def _imagej(tiff: Any) -> tuple[float, float, str]:
    """Return width, height and unit."""
    unit = (tiff.imagej_metadata or {})["unit"]
    tags = tiff.pages[0].tags
    width, height = (below / above for above, below in (tags[_X_RESOLUTION].value, tags[_Y_RESOLUTION].value))
    return width, height, unit.replace("\\u00B5", "u")
