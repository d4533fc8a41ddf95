"""Filters of one step that make edges steeper, or smooth all but edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwright.classic.planes import BORDER, blurred, check_range, enhancement

if TYPE_CHECKING:
    from numpy.typing import NDArray


@enhancement
def unsharp(planes: NDArray[np.float32], sigma: float = 2.0, amount: float = 1.0) -> NDArray[np.float32]:
    """Unsharp masking: add what a Gaussian takes away.

    Gonzalez and Woods, "Digital Image Processing", 4th edition 2018, section 3.6. An edge gets steeper, and overshoots
    on both sides by up to half of `amount` times its height.

    Args:
        planes: image (H, W) or (H, W, C), any real dtype.
        sigma: of the Gaussian, in pixels.
        amount: factor of what is added.

    Raises:
        MaskwrightError: not an image, or a value outside its range.
    """
    check_range("sigma", sigma, 0.1, 100)
    check_range("amount", amount, 0, 100)
    return np.stack([plane + np.float32(amount) * (plane - blurred(plane, sigma)) for plane in planes])


@enhancement
def guided(planes: NDArray[np.float32], radius: int = 4, contrast: float = 0.1) -> NDArray[np.float32]:
    """Guided filter, each band guided by itself: smooths what varies less than `contrast`, and keeps edges.

    He, Sun, Tang 2010, "Guided image filtering": in each window the result is a linear function of the guide,
    q = a p + b with a = var / (var + contrast^2), and a pixel averages all windows that it is in.

    Args:
        planes: image (H, W) or (H, W, C), any real dtype.
        radius: of the window, 2 radius + 1 pixels wide.
        contrast: standard deviation in a window at which half of it is kept.

    Raises:
        MaskwrightError: not an image, or a value outside its range.
    """
    check_range("radius", radius, 1, 1000)
    check_range("contrast", contrast, 1e-3, 100)

    def mean(plane: NDArray[np.float64]) -> NDArray[np.float64]:
        return cv2.blur(plane, (2 * int(radius) + 1,) * 2, borderType=BORDER)

    def of_plane(plane: NDArray[np.float64]) -> NDArray[np.float64]:
        average = mean(plane)
        variance = np.maximum(mean(plane * plane) - average * average, 0)
        kept = variance / (variance + contrast**2)
        return mean(kept) * plane + mean((1 - kept) * average)

    return np.stack([of_plane(plane.astype(np.float64)) for plane in planes]).astype(np.float32)


@enhancement
def bilateral(planes: NDArray[np.float32], sigma: float = 3.0, contrast: float = 0.1) -> NDArray[np.float32]:
    """Bilateral filter: average over pixels that are near and alike.

    Tomasi and Manduchi 1998, "Bilateral filtering for gray and color images". Three bands are compared together,
    by the mean of their differences, any other number each for itself. By OpenCV, in a window of 1.5 sigma on each
    side.

    Args:
        planes: image (H, W) or (H, W, C), any real dtype.
        sigma: of the distance, in pixels.
        contrast: sigma of the difference in value.

    Raises:
        MaskwrightError: not an image, or a value outside its range.
    """
    check_range("sigma", sigma, 0.1, 100)
    check_range("contrast", contrast, 1e-3, 100)
    together = [np.ascontiguousarray(np.moveaxis(planes, 0, 2))] if len(planes) == 3 else planes
    scale = contrast * len(planes) / len(together)  # OpenCV adds the differences of the bands up
    smooth = [cv2.bilateralFilter(part, -1, scale, sigma, borderType=BORDER) for part in together]
    return np.moveaxis(smooth[0], 2, 0) if len(planes) == 3 else np.stack(smooth)
