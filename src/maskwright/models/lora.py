"""LoRA: trains a low-rank change of a network's weights and leaves the weights unchanged. Knows no optimiser.

Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1, equation 3: a layer's weight W0
(d x k) is frozen and replaced by W0 + (alpha / r) B A, with B (d x r) initialised to zero and A (r x k) at random, so
that training starts from the same network. The paper adapts linear layers; a convolution's weight is treated as the
matrix (out) x (in / groups * height * width), whatever its groups, that of a transposed one likewise by its first axis.

Expected: about as good as fine-tuning, or better, with 0.003 or 0.02 % of the parameters of GPT-3 (table 4);
docs/benchmarks.md shows what a small segmenter gains and loses.

Where we differ: A is drawn as torch draws the weights of a linear layer (as in the authors' code; the paper says
Gaussian). Small layers have no room for the full rank: the rank is reduced until the change has at most `ROOM` of the
numbers of its weight, but not below 1, which may have more; r is then the layer's own rank. A layer whose weight has no
more numbers than a change of rank 1 is not adapted, and frozen. So is every weight of two axes or more outside linear
layers and convolutions (the matrices of recurrent layers and of torch's own attention, position embeddings). Biases and
the scale and shift of norms are trained directly, and norms keep updating their statistics; the heads, and without
`lora.decoder` the decoder, are trained in full.

We do not use the library `peft` (0.21): it would add transformers, accelerate, tokenizers and regex, 70 MB unpacked,
for models and loops that we do not have. We need only a parametrisation of a weight, which torch has: training,
averaging and checkpoints see ordinary parameters. With the same A and B both give the same logits, up to 6e-7 of the
largest (rank 4 on all 21 convolutions of a compact backbone).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from maskwright.core.plan import LoraPlan
    from maskwright.models.segmenter import Segmenter

ROOM = 1 / 16
"""Largest share of a weight's numbers that a change of rank 2 or more may have."""
_LAYERS = (nn.Linear, nn.modules.conv._ConvNd)


@dataclass(frozen=True)
class TrainedShare:
    """How much of a network is trained.

    Attributes:
        trained: number of parameters that the optimiser updates.
        whole: number of parameters of the network itself, without those that LoRA adds.
    """

    trained: int
    whole: int

    def __str__(self) -> str:
        """Write `31,905 of 2,841,006 parameters (1.1 %)`."""
        return f"{self.trained:,} of {self.whole:,} parameters ({self.trained / max(self.whole, 1):.1%})"


class LowRank(nn.Module):
    """Turn a weight W into W + scale * B A, A (rank, columns), B (rows, rank), W taken as (rows, columns).

    Args:
        weight: of any shape; its first axis gives the rows.
        rank: r.
        scale: alpha / r.
    """

    def __init__(self, weight: Tensor, rank: int, scale: float) -> None:
        super().__init__()
        rows, columns = _matrix(weight)
        self.scale = scale
        self.first = nn.Parameter(weight.new_empty(rank, columns).uniform_(-1.0, 1.0) / math.sqrt(columns))
        self.second = nn.Parameter(weight.new_zeros(rows, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the changed weight (shape of `weight`), in full precision whatever the precision of the network."""
        with torch.autocast(weight.device.type, enabled=False):
            return weight + (self.scale * (self.second @ self.first)).view(weight.shape)


def adapt(segmenter: Segmenter, plan: LoraPlan) -> None:
    """Add LoRA to every linear layer and convolution of the backbone (and the decoder, if the plan says so).

    All other weights of these parts are frozen, except vectors: biases and norms. Rank 0 does nothing.

    Raises:
        MaskwrightError: no layer has room for it.
    """
    if not plan.rank:
        return
    parts = [segmenter.backbone, segmenter.decoder] if plan.decoder else [segmenter.backbone]
    adapted = 0
    for part in parts:
        for weight in part.parameters():
            weight.requires_grad_(weight.ndim <= 1)
        for layer in [module for module in part.modules() if isinstance(module, _LAYERS)]:
            weight = cast("nn.Parameter", layer.weight)
            rank = rank_of(weight, plan.rank)
            if rank:
                change = LowRank(weight, rank, plan.alpha / rank)
                parametrize.register_parametrization(layer, "weight", change)
                adapted += 1
    if not adapted:
        raise MaskwrightError(
            f"lora.rank is {plan.rank}, but the backbone has no linear layer or convolution with room for a change: "
            "set lora.rank=0 to train it in full, or optim.freeze=backbone not to train it"
        )


def rank_of(weight: Tensor, rank: int) -> int:
    """Return the rank that `weight` (any shape) has room for, up to `rank`; 0 if even rank 1 is larger than it."""
    rows, columns = _matrix(weight)
    room = int(ROOM * rows * columns / (rows + columns))
    fits = min(rank, max(room, 1))
    return fits if fits * (rows + columns) < rows * columns else 0


def merge(segmenter: nn.Module) -> None:
    """Add every change to its weight and remove LoRA; modules without LoRA are unchanged."""
    for layer in list(segmenter.modules()):
        if parametrize.is_parametrized(layer, "weight") and any(map(_is_ours, layer.parametrizations.weight)):  # type: ignore[union-attr,arg-type]
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)


def trained_share(segmenter: nn.Module) -> TrainedShare:
    """Count the trained parameters of a network, with or without LoRA."""
    added = {id(weight) for module in segmenter.modules() if _is_ours(module) for weight in module.parameters()}
    trained = sum(weight.numel() for weight in segmenter.parameters() if weight.requires_grad)
    return TrainedShare(trained, sum(weight.numel() for weight in segmenter.parameters() if id(weight) not in added))


def _is_ours(module: nn.Module) -> bool:
    return isinstance(module, LowRank)


def _matrix(weight: Tensor) -> tuple[int, int]:
    """Return rows and columns of a weight, treated as a matrix."""
    return weight.shape[0], weight.numel() // weight.shape[0]
