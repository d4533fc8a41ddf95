"""Facts of an image that may explain why a model does badly on it. Knows no model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwright.ops.draw import to_rgb8

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

FACTS = {
    "brightness": ("dark", "bright"),
    "contrast": ("low-contrast", "high-contrast"),
    "sharpness": ("blurred", "sharp"),
    "colourfulness": ("colourless", "colourful"),
    "size": ("small", "large"),
}
"""Fact -> what images with a low and a high value are called."""
_LONGEST = 512


def image_facts(image: NDArray[Any]) -> dict[str, float]:
    """Measure an image (H, W) or (H, W, C) of any dtype.

    Returns:
        brightness: mean of the grey values, 0..1.
        contrast: their standard deviation.
        sharpness: logarithm of the variance of their Laplacian, relative to their variance (Pech-Pacheco et al. 2000,
            "Diatom autofocusing in brightfield microscopy"), at a longest side of 512 pixels.
        colourfulness: Hasler and Suesstrunk 2003, "Measuring colourfulness in natural images".
        size: megapixels.
    """
    rgb = to_rgb8(image)
    height, width = rgb.shape[:2]
    shrink = min(1.0, _LONGEST / max(height, width))
    small = cv2.resize(
        rgb, (max(1, round(width * shrink)), max(1, round(height * shrink))), interpolation=cv2.INTER_AREA
    )
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    variance = float(grey.var())
    edges = float(cv2.Laplacian(grey, cv2.CV_32F).var())
    red, green, blue = (small[..., channel].astype(np.float32) / 255 for channel in range(3))
    across, along = red - green, (red + green) / 2 - blue
    spread = np.hypot(across.std(), along.std()) + 0.3 * np.hypot(across.mean(), along.mean())
    return {
        "brightness": float(grey.mean()),
        "contrast": float(np.sqrt(variance)),
        "sharpness": float(np.log10(max(edges, 1e-9) / max(variance, 1e-6))),
        "colourfulness": float(spread),
        "size": height * width / 1e6,
    }
