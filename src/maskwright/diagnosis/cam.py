"""Class activation maps of a region, and the test with randomised weights. Knows PyTorch's networks that emit maps.

Seg-Grad-CAM: Vinogradova, Dibrov, Myers 2020, "Towards Interpretable Semantic Segmentation via Gradient-weighted Class
Activation Mapping": the logits of a class are summed over a region, and each feature of a coarse level is weighted
by the mean of its gradient. HiResCAM: Draelos and Carin 2020, "Use HiResCAM instead of Grad-CAM for faithful
explanations of convolutional neural networks": each place is weighted by its own gradient. Where we differ: what is
summed is the logit less that of `Region.rival`, so that the map shows why the region is this and not that.

Adebayo et al. 2018, "Sanity Checks for Saliency Maps": a map that stays the same when the weights are scrambled shows
the image, and not what the network has learnt.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np
import torch

from maskwright.core.channels import CLASS_GROUP, EDGE_GROUP, emits_objects, places
from maskwright.inference.engine import TorchEngine
from maskwright.inference.predictor import Predictor
from maskwright.models.segmenter import Segmenter
from maskwright.ops.images import prepare

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from maskwright.diagnosis.region import Region

SIMILAR = 0.5
"""Rank correlation with the map of scrambled weights from which on a map says nothing about the network."""
CELLS = 8
"""Fewest cells along the shorter side of a level of the network that gives a map."""
COARSE = 16
"""Cells along each side at which maps are compared."""


def open_network(predictor: Predictor) -> Segmenter | None:
    """Return the network of a predictor, if its features and gradients can be looked at; None if not."""
    engine = predictor.engine
    if not isinstance(engine, TorchEngine) or emits_objects(predictor.card.channels):
        return None
    return engine.segmenter if isinstance(engine.segmenter, Segmenter) else None


def prepared(predictor: Predictor, image: NDArray[Any]) -> Tensor:
    """Return what the network is given for an image: (1, C, h, w), normalised."""
    engine, data = cast("TorchEngine", predictor.engine), predictor.card.data
    shape = (1, data.channels, 1, 1)
    pixels = torch.from_numpy(prepare(image, data)).to(engine.device).permute(2, 0, 1)[None].float()
    mean, std = (torch.tensor(values, device=engine.device).reshape(shape) for values in (data.mean, data.std))
    return (pixels - mean) / std


def class_activation(region: Region, network: Segmenter) -> dict[str, NDArray[np.float32]]:
    """Return the maps of Seg-Grad-CAM and HiResCAM of a region, each float32 (H, W), 0 and more."""
    pixels = prepared(region.predictor, region.image).requires_grad_()
    size = pixels.shape[2], pixels.shape[3]
    inside = cv2.resize(region.mask.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
    levels: list[Tensor] = []

    def kept(_module: torch.nn.Module, _given: Any, found: list[Tensor]) -> list[Tensor]:
        levels.extend(found)
        return [level.clone() for level in found]  # what follows may change its input in place

    hook = network.backbone.register_forward_hook(kept)
    try:
        with torch.enable_grad():
            logits = cast("Tensor", network(pixels))[0]
            level = _level(network, size)
            score = (margin(logits, region) * torch.from_numpy(inside).to(logits.device)).sum()
            (gradient,) = torch.autograd.grad(score, levels[level])
    finally:
        hook.remove()
    gradient, features = gradient[0], levels[level].detach()[0]
    found = {
        "Seg-Grad-CAM": (gradient.mean((1, 2), keepdim=True) * features).sum(0),
        "HiResCAM": (gradient * features).sum(0),
    }
    stride = network.backbone.reductions[level]
    return {name: _enlarged(values.relu(), stride, size, region.size) for name, values in found.items()}


def _level(network: Segmenter, size: tuple[int, int]) -> int:
    """Return the coarsest level that still has `CELLS` cells along the shorter side; the finest if none has."""
    reductions = network.backbone.reductions
    return max((place for place, stride in enumerate(reductions) if min(size) >= CELLS * stride), default=0)


def margin(logits: Tensor, region: Region) -> Tensor:
    """Return the logit of the region's class (h, w) less that of its rival, of logits (C, h, w) of all channels."""
    where = places(region.predictor.card.channels)
    logits = logits[where[CLASS_GROUP] if CLASS_GROUP in where else where[EDGE_GROUP]]
    own = logits[region.index]
    return own if region.rival is None else own - logits[region.rival]


def scrambled(predictor: Predictor, seed: int) -> Predictor:
    """Return a predictor whose network has the same weights in random places."""
    engine = copy.copy(cast("TorchEngine", predictor.engine))
    engine.segmenter = copy.deepcopy(engine.segmenter)
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in engine.segmenter.parameters():
            if weight.ndim > 1:
                order = torch.randperm(weight.numel(), generator=draws).to(weight.device)
                weight.copy_(weight.flatten()[order].reshape(weight.shape))
    return Predictor(engine, predictor.card)


def similarity(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the rank correlation (Spearman 1904) of two maps (H, W) at a coarse resolution; 0 if one is constant."""
    ranks = []
    for values in (one, other):
        small = cv2.resize(values, (COARSE, COARSE), interpolation=cv2.INTER_AREA).ravel()
        _, places_of, number = np.unique(small, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(number) - (number - 1) / 2)[places_of])
    if min(rank.std() for rank in ranks) == 0:
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _enlarged(values: Tensor, stride: int, size: tuple[int, int], full: tuple[int, int]) -> NDArray[np.float32]:
    """Bring a map of the coarsest level to the size of the image, without what was added at its right and bottom."""
    cells = values.cpu().numpy()
    large = cv2.resize(cells, (cells.shape[1] * stride, cells.shape[0] * stride), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.resize(large[: size[0], : size[1]], full[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
