"""Edges from first and second derivatives: Sobel, Scharr, the structure tensor of colours, Laplacian of Gaussian."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from maskwright.classic.planes import BORDER, blurred, check_range, neighbour

if TYPE_CHECKING:
    from numpy.typing import NDArray

SOBEL, SCHARR, PLAIN = (0.25, 0.5, 0.25), (3 / 16, 10 / 16, 3 / 16), (1.0,)
"""Weights across the difference: how a derivative averages over the neighbouring rows or columns."""


class Response(NamedTuple):
    """What a method says of an image: how strong the edge at each pixel is, in units of a step over the whole range.

    Saturated colours are further apart than black and white, so that their edges may be stronger than 1.

    Attributes:
        strength: float32 (H, W), 0 or more.
        profile: the same, with its maximum across each edge where the edge is, also between pixels.
    """

    strength: NDArray[np.float32]
    profile: NDArray[np.float32]

    @classmethod
    def dense(cls, strength: NDArray[np.float32]) -> Response:
        """Say that a strength falls off beside each edge, and so is its own profile."""
        return cls(strength, strength)


class Tensor(NamedTuple):
    """The structure tensor of all bands: three planes (H, W), the means of dx^2, dx dy and dy^2 over the bands."""

    xx: NDArray[np.float32]
    xy: NDArray[np.float32]
    yy: NDArray[np.float32]

    @property
    def strength(self) -> NDArray[np.float32]:
        """Root of the greater eigenvalue: the greatest rate of change in any direction, |gradient| of one band."""
        spread = np.hypot(self.xx - self.yy, 2 * self.xy)
        return np.sqrt((self.xx + self.yy + spread) / 2)

    @property
    def coherent(self) -> NDArray[np.float32]:
        """Root of the difference of the eigenvalues: 0 where the change is the same in all directions."""
        return np.sqrt(np.hypot(self.xx - self.yy, 2 * self.xy))

    @property
    def angle(self) -> NDArray[np.float32]:
        """Direction of that change, in radians from the x axis towards the y axis, modulo pi."""
        return np.arctan2(2 * self.xy, self.xx - self.yy) / 2


def sobel(planes: NDArray[np.float32], sigma: float = 0.0) -> Response:
    """Sobel's gradient. A straight step over the whole range has strength 1.

    Sobel and Feldman 1968, "A 3x3 isotropic gradient operator for image processing". Bands are joined as in `color`.

    Args:
        planes: float32 (C, H, W).
        sigma: of a Gaussian before it, in pixels.

    Raises:
        MaskwrightError: a sigma outside 0..100.
    """
    return Response.dense(structure(planes, sigma, SOBEL).strength)


def scharr(planes: NDArray[np.float32], sigma: float = 0.0) -> Response:
    """Scharr's gradient, whose strength depends less on the direction than Sobel's.

    Scharr 2000, "Optimale Operatoren in der Digitalen Bildverarbeitung" (thesis, Heidelberg).

    Args:
        planes: float32 (C, H, W).
        sigma: of a Gaussian before it, in pixels.

    Raises:
        MaskwrightError: a sigma outside 0..100.
    """
    return Response.dense(structure(planes, sigma, SCHARR).strength)


def color(planes: NDArray[np.float32], sigma: float = 2.0) -> Response:
    """Structured gradient of all bands: edges between colours of equal brightness count, opposite slopes do not cancel.

    Di Zenzo 1986, "A note on the gradient of a multi-image": the gradient tensors of the bands are added. They are also
    averaged over a Gaussian of half the sigma (Foerstner and Guelch 1987), and the strength is the root of the
    difference of the eigenvalues: change in one direction counts, and change in all directions, as in a texture, does
    not.

    Args:
        planes: float32 (C, H, W).
        sigma: of the Gaussian whose derivatives are used, in pixels.

    Raises:
        MaskwrightError: a sigma outside 0..100.
    """
    return Response.dense(_coherent(planes, sigma) / _coherent(step(sigma)[None], sigma).max())


def laplacian(planes: NDArray[np.float32], sigma: float = 3.0) -> Response:
    """Zero crossings of the Laplacian of Gaussian, each as strong as its slope; 0 elsewhere.

    Marr and Hildreth 1980, "Theory of edge detection". A crossing is marked on the pixel nearer to it; the
    squares of several bands are averaged.

    Args:
        planes: float32 (C, H, W).
        sigma: of the Gaussian, in pixels; second derivatives need more smoothing than first ones.

    Raises:
        MaskwrightError: a sigma outside 0.5..100.
    """
    check_range("sigma", sigma, 0.5, 100)
    unit = _crossings(step(sigma), sigma).max()
    strength = np.sqrt(np.mean([_crossings(plane, sigma) ** 2 for plane in planes], axis=0)) / unit
    return Response(strength, structure(planes, sigma).strength)


def structure(planes: NDArray[np.float32], sigma: float, across: tuple[float, ...] = PLAIN) -> Tensor:
    """Return the structure tensor of planes (C, H, W), scaled so that a straight step of height 1 has strength 1.

    Args:
        planes: float32 (C, H, W).
        sigma: of the Gaussian before the difference, in pixels.
        across: weights of the neighbouring rows or columns; their sum is 1.

    Raises:
        MaskwrightError: a sigma outside 0..100.
    """
    check_range("sigma", sigma, 0, 100)
    xx, xy, yy = np.zeros((3, *planes.shape[1:]), np.float32)
    for plane in planes:
        dx, dy = _differences(plane, sigma, across)
        xx += dx * dx
        xy += dx * dy
        yy += dy * dy
    unit = len(planes) * _differences(step(sigma), sigma, across)[0].max() ** 2
    return Tensor(xx / unit, xy / unit, yy / unit)


def step(sigma: float) -> NDArray[np.float32]:
    """Return a step from 0 to 1 (1, W), wide enough for a Gaussian of `sigma`: a filter's unit of strength."""
    half = int(6 * sigma) + 3
    return np.repeat(np.array([[0, 1]], np.float32), half, axis=1)


def _differences(
    plane: NDArray[np.float32], sigma: float, across: tuple[float, ...] = PLAIN
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return f(x + 1) - f(x - 1) and f(y + 1) - f(y - 1) of a smoothed plane."""
    smooth, difference, weights = blurred(plane, sigma), np.array([-1, 0, 1], np.float32), np.array(across, np.float32)
    return (
        cv2.sepFilter2D(smooth, cv2.CV_32F, difference, weights, borderType=BORDER),
        cv2.sepFilter2D(smooth, cv2.CV_32F, weights, difference, borderType=BORDER),
    )


def _coherent(planes: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    tensor = structure(planes, sigma)
    return Tensor(*(blurred(part, sigma / 2) for part in tensor)).coherent


def _crossings(plane: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Return the slope (H, W) of the Laplacian where it crosses zero, and 0 elsewhere."""
    response = cv2.Laplacian(blurred(plane, sigma), cv2.CV_32F, ksize=1, borderType=BORDER)
    crossing = np.zeros(response.shape, np.bool_)
    for down, across in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        ahead, behind = neighbour(response, down, across), neighbour(response, -down, -across)
        # Of two pixels that are equally near to the crossing, the positive one is marked.
        nearer = (np.abs(response) < np.abs(ahead)) | ((response == -ahead) & (response > 0))
        crossing |= (response * ahead < 0) & nearer
        crossing |= (response == 0) & (ahead < 0) & (behind > 0)
    return np.hypot(*_differences(response, 0.0)) * crossing
