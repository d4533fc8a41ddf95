"""How far a network looks: the effective receptive field.

Luo, Li, Urtasun, Zemel 2016, "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks": the
gradient of one output with respect to the pixels. What kernels and strides allow is far more than what has a weight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch

from maskwright.diagnosis.cam import prepared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from maskwright.inference.predictor import Predictor
    from maskwright.models.segmenter import Segmenter


class Field(NamedTuple):
    """The radii, in pixels of the image, within which a share of the influence on one pixel lies.

    Attributes:
        half: within which half of it lies.
        most: within which 95 % lies.
        side: of the part of the image that the network sees at once, for comparison.
    """

    half: float
    most: float
    side: int


def receptive_field(predictor: Predictor, network: Segmenter, images: Sequence[NDArray[Any]]) -> list[Field]:
    """Measure the influence of pixels on the likeliest class of the middle pixel, in each of some images.

    Args:
        predictor: prepares the images.
        network: of the predictor.
        images: (H, W) or (H, W, C), each no larger than what the network sees at once.
    """
    return [_field(predictor, network, image) for image in images]


def _field(predictor: Predictor, network: Segmenter, image: NDArray[Any]) -> Field:
    pixels = prepared(predictor, image).requires_grad_()
    height, width = pixels.shape[2:]
    row, column = height // 2, width // 2
    with torch.enable_grad():
        logits = cast("Tensor", network(pixels))[0, :, row, column]
        (gradient,) = torch.autograd.grad(logits.max(), pixels)
    weight = gradient[0].abs().sum(0).cpu().double().numpy()
    rows, columns = np.indices(weight.shape)
    scale = image.shape[0] / height
    distance = np.hypot(rows - row, columns - column)
    return Field(
        scale * radius(weight, distance, 0.5),
        scale * radius(weight, distance, 0.95),
        min(image.shape[0], image.shape[1]),
    )


def radius(weight: NDArray[np.float64], distance: NDArray[np.float64], share: float) -> float:
    """Return the distance within which a share of the weight lies; both (h, w)."""
    order = np.argsort(distance, axis=None)
    summed = np.cumsum(weight.ravel()[order])
    if summed[-1] == 0:
        return 0.0
    return float(distance.ravel()[order[np.searchsorted(summed, share * summed[-1])]])
