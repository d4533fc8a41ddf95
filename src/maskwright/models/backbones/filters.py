"""A backbone without weights: a fixed bank of filters, which describe each pixel by its surroundings at several scales.

For models that decide pixel by pixel, such as a forest. The bank is that of interactive labelling (Sommer et al. 2011,
"ilastik"): at each scale the smoothed image, the length of its gradient, its Laplacian, and the eigenvalues of its
Hessian and of its structure tensor (summed over the channels: Di Zenzo 1986).

Where we differ: derivatives are central differences of the smoothed image, and the structure tensor is smoothed at the
scale of its gradients.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import Backbone

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

REACH = 3.0
"""Radius of a Gaussian, in standard deviations."""


class Filters(Backbone):
    """One level (N, C + scales * (5 C + 2), H, W): the image itself, and the responses at each scale.

    It always computes in float32: whoever compares the responses with thresholds depends on their exact values.
    """

    settled = True

    def __init__(self, in_channels: int, sigmas: Sequence[float]) -> None:
        super().__init__(in_channels, [in_channels + len(sigmas) * (5 * in_channels + 2)], [1])
        self.sigmas = tuple(sigmas)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the responses to `x` (N, C, H, W)."""
        device = "cpu" if x.is_meta else x.device.type  # torch knows no autocast for tensors without values
        with torch.autocast(device, enabled=False):
            x = x.float()
            return [torch.cat([x, *(response for sigma in self.sigmas for response in responses(x, sigma))], dim=1)]


def responses(x: Tensor, sigma: float) -> list[Tensor]:
    """Return the responses to `x` (N, C, H, W) at one scale, (N, 5 C + 2, H, W) in all."""
    smooth = gaussian(x, sigma)
    down, across = difference(smooth, 2), difference(smooth, 3)
    vertical, mixed, horizontal = difference(down, 2), difference(down, 3), difference(across, 3)
    products = torch.stack([down * down, down * across, across * across]).sum(dim=2)
    tensor = gaussian(products, sigma).unsqueeze(2)
    return [
        smooth,
        (down * down + across * across).sqrt(),
        vertical + horizontal,
        *eigenvalues(vertical, mixed, horizontal),
        *eigenvalues(tensor[0], tensor[1], tensor[2]),
    ]


def gaussian(x: Tensor, sigma: float) -> Tensor:
    """Smooth `x` (N, C, H, W) by a Gaussian; beyond its edge the map continues with the last value."""
    radius = math.ceil(REACH * sigma)
    places = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-(places**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).reshape(1, 1, -1, 1)
    maps = x.reshape(-1, 1, *x.shape[2:])
    maps = F.conv2d(F.pad(maps, (0, 0, radius, radius), mode="replicate"), kernel)
    maps = F.conv2d(F.pad(maps, (radius, radius, 0, 0), mode="replicate"), kernel.transpose(2, 3))
    return maps.reshape(x.shape)


def difference(x: Tensor, axis: int) -> Tensor:
    """Return the central difference of `x` (N, C, H, W) along `axis`, 2 or 3."""
    padded = F.pad(x, (0, 0, 1, 1) if axis == 2 else (1, 1, 0, 0), mode="replicate")
    length = x.shape[axis]
    return (padded.narrow(axis, 2, length) - padded.narrow(axis, 0, length)) / 2


def eigenvalues(first: Tensor, mixed: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """Return the larger and the smaller eigenvalue of the matrices [[first, mixed], [mixed, last]]."""
    mean, half = (first + last) / 2, torch.hypot((first - last) / 2, mixed)
    return mean + half, mean - half


def build(
    in_channels: int, weights: Path | None = None, *, sigmas: tuple[float, ...] = (0.7, 1.0, 1.6, 3.5, 5.0, 10.0)
) -> Filters:
    """Build the bank of filters.

    Args:
        in_channels: of the image.
        weights: must be None.
        sigmas: standard deviations of the Gaussians, in pixels at the working resolution.

    Raises:
        MaskwrightError: no scale, one outside 0..100, or weights, of which it has none.
    """
    if not sigmas or not all(0 < sigma <= 100 for sigma in sigmas):
        raise MaskwrightError(f"filters: sigmas is {list(sigmas)}, but must be numbers above 0 and up to 100")
    if weights is not None:
        raise MaskwrightError(
            f"{weights} cannot be loaded: the backbone filters has no weights. Leave the file out, or give a bundle of "
            "a whole model"
        )
    return Filters(in_channels, sigmas)
