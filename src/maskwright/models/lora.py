"""LoRA: train a low-rank change of a network's weights and leave the weights alone. Knows no optimiser.

Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1, equation 3: a layer's weight W0
(d x k) stays as it is, and W0 + (alpha / r) B A takes its place, with B (d x r) beginning at zero and A (r x k) at
random, so that training starts from the very network. The paper adapts linear layers; a convolution's weight is taken
as the matrix (out) x (in / groups * height * width), whatever its groups, a transposed one's likewise by its first
axis.

Expected: about as good as fine-tuning, or better, with 0.003 or 0.02 % of the parameters of GPT-3 (table 4); what
a small segmenter gains and loses stands in docs/benchmarks.md.

Where we differ: A is drawn as torch draws the weights of a linear layer (their code does, the paper says Gaussian).
Small layers have no room for a full rank: the rank is cut until the change takes `ROOM` of the numbers of its weight or
less, but not below 1, which may take more; r is then the layer's own rank. A layer whose weight has no more numbers
than a change of rank 1 is left alone and frozen. So is every weight of two axes or more outside linear layers and
convolutions (the matrices of recurrent layers and of torch's own attention, position codes). Biases and the scale and
shift of norms are trained as they are, and norms go on measuring; the heads, and without `lora.decoder` the decoder,
are trained whole.

Ours and not the library `peft` (0.21): that would bring transformers, accelerate, tokenizers and regex along, 70 MB
unpacked, for models and loops that we do not have. What we need is a parametrisation of a weight, which torch has:
training, averaging and checkpoints see parameters like any other. With the same A and B both give the same logits: 6e-7
of the largest, rank 4 on all 21 convolutions of a compact backbone.
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
"""Largest part of a weight's numbers that a change of rank 2 or more may have."""
_LAYERS = (nn.Linear, nn.modules.conv._ConvNd)


@dataclass(frozen=True)
class TrainedShare:
    """How much of a network is trained.

    Attributes:
        trained: numbers that the optimiser moves.
        whole: numbers of the network itself, without what LoRA adds.
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
        """Return the changed weight, in full precision whatever the network computes in."""
        with torch.autocast(weight.device.type, enabled=False):
            return weight + (self.scale * (self.second @ self.first)).view(weight.shape)


def adapt(segmenter: Segmenter, plan: LoraPlan) -> None:
    """Put LoRA on every linear layer and convolution of the backbone (and the decoder, where the plan says so).

    What is not adapted there is frozen, but for vectors: biases and norms. Rank 0 does nothing.

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
            f"lora.rank is {plan.rank}, and the backbone has no linear layer or convolution with room for a change: "
            "set lora.rank=0 and train it whole, or with optim.freeze=backbone not at all"
        )


def rank_of(weight: Tensor, rank: int) -> int:
    """Return the rank that `weight` has room for, `rank` at most; 0 where even 1 would cost more than the weight."""
    rows, columns = _matrix(weight)
    room = int(ROOM * rows * columns / (rows + columns))
    fits = min(rank, max(room, 1))
    return fits if fits * (rows + columns) < rows * columns else 0


def merge(segmenter: nn.Module) -> None:
    """Write every change into its weight: afterwards nothing tells that there was LoRA. Others stay as they are."""
    for layer in list(segmenter.modules()):
        if parametrize.is_parametrized(layer, "weight") and any(map(_is_ours, layer.parametrizations.weight)):  # type: ignore[union-attr,arg-type]
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)


def trained_share(segmenter: nn.Module) -> TrainedShare:
    """Count what is trained of a network, adapted or not."""
    added = {id(weight) for module in segmenter.modules() if _is_ours(module) for weight in module.parameters()}
    trained = sum(weight.numel() for weight in segmenter.parameters() if weight.requires_grad)
    return TrainedShare(trained, sum(weight.numel() for weight in segmenter.parameters() if id(weight) not in added))


def _is_ours(module: nn.Module) -> bool:
    return isinstance(module, LowRank)


def _matrix(weight: Tensor) -> tuple[int, int]:
    """Return rows and columns of a weight taken as a matrix."""
    return weight.shape[0], weight.numel() // weight.shape[0]
