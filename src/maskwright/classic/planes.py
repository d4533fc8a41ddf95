"""Any image as planes of float32 in a common range, without gaps. Knows no filter.

These rules serve every method of this room:

- Of 8-bit values, 255 is the range. Other types say nothing about the values that a camera uses, so the range is that
  from the 0.1th to the 99.9th percentile of a band, or from its least to its greatest value if these are equal. Three
  bands, taken for RGB, have one range.
- A missing value (`ops.no_data`) continues the nearest value of its band, just as the image is continued beyond its
  border. It makes no edge, and the caller empties the result there.
- Three bands, taken for RGB, are compared in CIE L*a*b*.
"""

from __future__ import annotations

import functools
from numbers import Real
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple, ParamSpec

import cv2
import numpy as np
from scipy import ndimage

from maskwright.core.errors import MaskwrightError
from maskwright.ops.no_data import missing, no_data

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

BORDER = cv2.BORDER_REFLECT
"""How images go on beyond their border: mirrored, the last pixel twice. Works for images of one pixel too."""
SAMPLE = 1_000_000  # pixels from which the range is estimated
ROUNDING = 1e-6
"""A range below this share of the values is the rounding of a constant band."""
LAB_UNIT = 25.0
"""CIELAB units that count as 1 in `colours`."""
P = ParamSpec("P")


class Planes(NamedTuple):
    """An image for the filters.

    Attributes:
        values: float32 (C, H, W), finite, in units of `span`, with 0 at `low`.
        low: (C,) value of the image that became 0.
        span: (C,) range of the values.
        gone: bool (H, W), pixels without data in any band; None if there are none.
    """

    values: NDArray[np.float32]
    low: NDArray[np.float64]
    span: NDArray[np.float64]
    gone: NDArray[np.bool_] | None


def planes_of(image: NDArray[Any]) -> Planes:
    """Convert an image to planes.

    Args:
        image: (H, W) or (H, W, C), any real dtype.

    Raises:
        MaskwrightError: the array is not an image.
    """
    check_image(image)
    bands = np.moveaxis(np.atleast_3d(image), 2, 0)
    low, span = np.transpose([_range(bands)] * 3 if len(bands) == 3 else [_range(band[None]) for band in bands])
    values = np.stack([_filled(band, *ends) for band, *ends in zip(bands, low, span, strict=True)])
    return Planes(values, low, span, no_data(image))


def check_image(image: NDArray[Any]) -> None:
    """Refuse an array that is not an image.

    Raises:
        MaskwrightError: so it is.
    """
    check_array(image, "an image")
    if image.ndim not in {2, 3} or 0 in image.shape or image.dtype.kind not in "buif":
        raise MaskwrightError(
            f"an array of {image.dtype} and shape {image.shape} is not an image: give real numbers (height, width) or "
            "(height, width, bands), all above 0"
        )


def check_array(given: object, what: str) -> None:
    """Refuse what is no array.

    Raises:
        MaskwrightError: so it is.
    """
    if not isinstance(given, np.ndarray):
        raise MaskwrightError(f"a {type(given).__name__} is not {what}: read the file, and give a NumPy array")


def enhancement(
    method: Callable[Concatenate[NDArray[np.float32], P], NDArray[np.float32]],
) -> Callable[Concatenate[NDArray[Any], P], NDArray[Any]]:
    """Turn a function of planes (C, H, W) to planes into one of images, which keeps their shape, dtype and holes."""

    @functools.wraps(method)
    def of_image(image: NDArray[Any], /, *args: P.args, **kwargs: P.kwargs) -> NDArray[Any]:
        planes = planes_of(image)
        values = np.moveaxis(method(planes.values, *args, **kwargs), 0, 2) * planes.span + planes.low
        values = values.reshape(image.shape)
        values = _rounded(values, image.dtype).astype(image.dtype)
        if isinstance(image, np.ma.MaskedArray):
            return np.ma.masked_array(values, np.ma.getmaskarray(image))
        return values if (gone := missing(image)) is None else np.where(gone, image, values)

    return of_image


def _rounded(values: NDArray[np.floating], dtype: np.dtype[Any]) -> NDArray[np.floating]:
    """Return the nearest values that a type can hold."""
    if dtype.kind == "b":
        return (values >= 0.5).astype(np.float64)
    if dtype.kind == "f":
        return values
    limits = np.iinfo(dtype)
    top = float(limits.max)
    if int(top) > limits.max:  # the largest integer of 64 bits is no float
        top = np.nextafter(top, 0)
    return np.clip(np.round(values.astype(np.float64)), limits.min, top)


def seen(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Convert three planes, taken for RGB, to CIE L*a*b*, and leave any other number of planes as it is.

    Distances in L*a*b* are those that people see. The root of the mean of the three squared differences is 1 between
    black and white, as it is for one plane.
    """
    if len(values) != 3:
        return values
    pixels = np.ascontiguousarray(np.moveaxis(np.clip(values, 0, 1), 0, 2))
    return np.moveaxis(cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB), 2, 0) * np.float32(3**0.5 / 100)


def colours(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return an image as float32 (H, W, C), whose Euclidean distance is a difference of colour, 4 from black to white.

    Values beyond the range are cut off.

    Args:
        image: (H, W) or (H, W, C), any real dtype.

    Raises:
        MaskwrightError: the array is not an image.
    """
    values = seen(np.clip(planes_of(image).values, 0, 1))
    return np.ascontiguousarray(np.moveaxis(values, 0, 2)) * np.float32(100 / LAB_UNIT / len(values) ** 0.5)


def slope(colour: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the length (H, W) of the gradient over all planes (H, W, C), by Sobel's operator, per pixel."""
    squares = np.zeros(colour.shape[:2], np.float32)
    for channel in range(colour.shape[2]):
        plane = np.ascontiguousarray(colour[:, :, channel])
        for across, down in ((1, 0), (0, 1)):
            squares += np.square(
                cv2.Sobel(plane, cv2.CV_32F, across, down, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
            )
    return np.sqrt(squares)


def blurred(plane: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Smooth a plane (H, W) with a Gaussian of `sigma` pixels; 0 leaves it as it is."""
    return plane if sigma == 0 else np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma, borderType=BORDER), np.float32)


def neighbour(plane: NDArray[np.float32], down: int, across: int) -> NDArray[np.float32]:
    """Return for each pixel (H, W) the value one step away; of a pixel at the border, the border's value."""
    around = np.pad(plane, 1, mode="edge")
    return around[1 + down : 1 + down + plane.shape[0], 1 + across : 1 + across + plane.shape[1]]


def check_range(name: str, value: float, least: float, greatest: float) -> None:
    """Refuse a parameter outside its range.

    Raises:
        MaskwrightError: it is outside, NaN, or no number.
    """
    number = isinstance(value, Real)
    if not number or not least <= value <= greatest:
        shown = f"{value:g}" if number else repr(value)
        raise MaskwrightError(f"`{name}` is {shown}, and it must be a number from {least:g} to {greatest:g}", name)


def _range(bands: NDArray[Any]) -> tuple[float, float]:
    """Return the value that becomes 0, and the range of the values, of bands (C, H, W) together."""
    if bands.dtype == np.uint8:
        return 0.0, 255.0
    step = max(1, int(np.sqrt(bands.size / SAMPLE)))
    sample = np.ma.masked_invalid(bands[:, ::step, ::step]).compressed().astype(np.float64)
    if not sample.size:
        return 0.0, 1.0
    low, high = np.percentile(sample, (0.1, 99.9))
    if low == high:
        low, high = sample.min(), sample.max()
    rounding = ROUNDING * max(abs(low), abs(high))
    return float(low), float(high - low) if high - low > rounding else 1.0


def _filled(band: NDArray[Any], low: float, span: float) -> NDArray[np.float32]:
    """Scale a band (H, W), and continue its values where they are missing."""
    gone = missing(band)
    values = np.asarray((np.asarray(band, np.float64) - low) / span, np.float32)
    if gone is None:
        return values
    if gone.all():
        return np.zeros_like(values)
    rows, columns = ndimage.distance_transform_edt(gone, return_distances=False, return_indices=True)
    return np.asarray(values[rows, columns])
