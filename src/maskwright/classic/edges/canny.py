"""Canny's edges, at one scale and at the best of several: maxima of the gradient along its own direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.classic.edges.gradients import Response, structure
from maskwright.classic.planes import check_range, neighbour

if TYPE_CHECKING:
    from numpy.typing import NDArray

GAMMA = 0.5
"""Lindeberg's exponent of the normalised derivative: the best scale of a blurred step is then its own blur."""
RATIO = 2**0.5
"""Of one scale to the next."""
SCALES = 4


def canny(planes: NDArray[np.float32], sigma: float = 2.0) -> Response:
    """Canny's maxima: the gradient where it is greatest along its own direction, 0 elsewhere.

    Canny 1986, "A computational approach to edge detection". His last step, hysteresis with automatic thresholds, is
    that of every method: `classic.edges.find_edges`. Of several bands, the gradient is Di Zenzo's.

    Args:
        planes: float32 (C, H, W).
        sigma: of the Gaussian whose derivatives are used, in pixels.

    Raises:
        MaskwrightError: a sigma outside 0..100.
    """
    tensor = structure(planes, sigma)
    strength = tensor.strength
    return Response(maxima(strength, tensor.angle), strength)


def multiscale(planes: NDArray[np.float32], sigma: float = 2.0) -> Response:
    """Canny's maxima at the scale that suits each place: sharp edges at a fine scale, blurred ones at a coarse one.

    Lindeberg 1998, "Edge detection and ridge detection with automatic scale selection": the edge strength is the
    gradient times t^(gamma / 2), with variance t and gamma = 1/2, and an edge lies where it is greatest along its
    direction and over scales.

    Args:
        planes: float32 (C, H, W).
        sigma: the finest of the `SCALES` scales, each `RATIO` times the one before, in pixels.

    Raises:
        MaskwrightError: a sigma outside 0.5..100.
    """
    check_range("sigma", sigma, 0.5, 100)
    best = angle = np.zeros(planes.shape[1:], np.float32)
    for ratio in RATIO ** np.arange(SCALES):
        tensor = structure(planes, min(sigma * ratio, 100))
        # `structure` measures a step as 1 at every scale, which is gamma = 1.
        strength = tensor.strength * np.float32(ratio ** (GAMMA - 1))
        angle = np.where(strength > best, tensor.angle, angle)
        best = np.maximum(strength, best)
    return Response(maxima(best, angle), best)


def maxima(strength: NDArray[np.float32], angle: NDArray[np.float32]) -> NDArray[np.float32]:
    """Keep strengths (H, W) that are not below those one pixel further on and back along a direction.

    The two are interpolated between the pixels around, as Canny does. Of two equal maxima side by side, both stay.

    Args:
        strength: (H, W).
        angle: (H, W), directions modulo pi, from the x axis towards the y axis.
    """
    x, y = np.cos(angle), np.sin(angle)
    steep = np.abs(y) > np.abs(x)
    share = np.minimum(np.abs(x), np.abs(y)) / np.maximum(np.abs(x), np.abs(y))
    same = (x < 0) == (y < 0)
    kept = np.ones(strength.shape, np.bool_)
    for sign in (1, -1):
        straight = np.where(steep, neighbour(strength, sign, 0), neighbour(strength, 0, sign))
        falling, rising = neighbour(strength, sign, sign), neighbour(strength, -sign, sign)
        diagonal = np.where(same, falling, np.where(steep, neighbour(strength, sign, -sign), rising))
        kept &= strength >= straight + share * (diagonal - straight)
    return strength * kept
