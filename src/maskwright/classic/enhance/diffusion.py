"""Coherence-enhancing diffusion: smoothing along lines and edges, which closes gaps in them, and not across."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.classic.edges.gradients import Tensor, structure
from maskwright.classic.planes import blurred, check_range, enhancement

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEP = 0.25
"""Of time, the largest stable one: the eigenvalues of the discrete operator are 8 at most, and 2 / 8 is the limit."""
ACROSS = 0.001
"""Diffusivity across lines, and everywhere where there are none."""
COHERENT = 0.01
"""Contrast of a line, as a share of the range, at which the diffusivity along it is 1 / e of the greatest."""


@enhancement
def coherence(
    planes: NDArray[np.float32], sigma: float = 0.7, reach: float = 4.0, time: float = 5.0
) -> NDArray[np.float32]:
    """Diffuse along lines and edges: interrupted lines grow together, and noise on them disappears.

    Weickert 1999, "Coherence-enhancing diffusion filtering". The diffusion tensor has the eigenvectors of the structure
    tensor of all bands, the eigenvalue `ACROSS` across, and along lines one that rises to 1 with their coherence.
    Explicit scheme with steps of time of at most `STEP`; the energy of each cell of four pixels is averaged over its
    four pairs of differences, so that the sum of all values is kept and their variance never grows.

    Args:
        planes: image (H, W) or (H, W, C), any real dtype.
        sigma: of the Gaussian whose derivatives are used, in pixels.
        reach: sigma of the Gaussian over which directions are averaged: the length of the gaps to close, in pixels.
        time: of diffusion; a line is smoothed as by a Gaussian of variance 2 time.

    Raises:
        MaskwrightError: not an image, or a value outside its range.
    """
    check_range("sigma", sigma, 0, 100)
    check_range("reach", reach, 0, 100)
    check_range("time", time, 0, 1000)
    values = planes.astype(np.float64)
    if min(planes.shape[1:]) == 1:
        return planes
    steps = int(np.ceil(time / STEP))
    for _ in range(steps):
        tensor = structure(values.astype(np.float32), sigma)
        diffusion = _diffusion(Tensor(*(blurred(part, reach) for part in tensor)))
        values += time / steps * np.stack([_divergence(plane, *diffusion) for plane in values])
    return values.astype(np.float32)


def _diffusion(tensor: Tensor) -> Tensor:
    """Return the diffusion tensor at the corners between pixels, planes (H - 1, W - 1), from the structure tensor."""
    quarter = np.float32(0.25)
    at_corners = Tensor(*(quarter * (part[:-1, :-1] + part[:-1, 1:] + part[1:, :-1] + part[1:, 1:]) for part in tensor))
    contrast = np.maximum(at_corners.coherent, np.float32(1e-9))
    more = np.float32(1 - ACROSS) * np.exp(-np.minimum((np.float32(COHERENT) / contrast) ** 4, np.float32(100)))
    x, y = np.cos(at_corners.angle), np.sin(at_corners.angle)
    least = np.float32(ACROSS)
    return Tensor(least + more * y * y, -more * x * y, least + more * x * x)


def _divergence(
    plane: NDArray[np.float64], xx: NDArray[np.float32], xy: NDArray[np.float32], yy: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return div(D grad u) (H, W), with no flow through the border."""
    top, bottom = np.diff(plane[:-1], axis=1), np.diff(plane[1:], axis=1)
    left, right = np.diff(plane[:, :-1], axis=0), np.diff(plane[:, 1:], axis=0)
    mixed_x, mixed_y = xy * (left + right) / 4, xy * (top + bottom) / 4
    flows = xx * top / 2 + mixed_x, xx * bottom / 2 + mixed_x, yy * left / 2 + mixed_y, yy * right / 2 + mixed_y
    total = np.zeros_like(plane)
    upper, lower, before, after = slice(None, -1), slice(1, None), slice(None, -1), slice(1, None)
    for flow, source, target in zip(
        flows,
        ((upper, before), (lower, before), (upper, before), (upper, after)),
        ((upper, after), (lower, after), (lower, before), (lower, after)),
        strict=True,
    ):
        total[source] += flow
        total[target] -= flow
    return total
