"""Batch normalisation folded into the convolution before it, for prediction. Knows no task and no engine.

In evaluation a batch normalisation is an affine map of each channel, and so is part of the convolution whose output it
takes (Jacob et al. 2018, section 3.2):

    w' = w g / sqrt(v + e)        b' = (b - m) g / sqrt(v + e) + h

with running mean m and variance v, weight g, bias h and epsilon e. Maps change by rounding only. What follows what is
found by a small image that goes through the network, so this holds for networks of any library.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_weights
from torch.utils._pytree import tree_leaves

from maskwright.models.dispatch import DispatchMode
from maskwright.models.layers.norm import BatchNorm2d, BatchNormAct2d

if TYPE_CHECKING:
    from collections.abc import Iterator

_FOLDED = (nn.BatchNorm2d, BatchNorm2d, BatchNormAct2d)
"""Layers of which all is known; one that is derived from them may do more."""
SIDE = 64
"""Of the image that goes through the network, in pixels."""


@torch.no_grad()
def fold_batch_norms(network: nn.Module, channels: int) -> None:
    """Fold every batch normalisation that is all that uses the output of a convolution, in place.

    Args:
        network: in evaluation mode; it cannot be trained, saved or loaded any more.
        channels: of its images.
    """
    norms = {
        id(module.running_mean): module
        for module in network.modules()
        if isinstance(module, nn.BatchNorm2d) and type(module) in _FOLDED
    }
    if not norms:
        return
    convs = {
        id(module.weight): module
        for module in network.modules()
        if isinstance(module, nn.Conv2d) and "weight" in dict(module.named_parameters(recurse=False))  # no LoRA
    }
    with _Watch() as watch:
        network(torch.zeros(1, channels, SIDE, SIDE, device=next(network.parameters()).device))
    folded = set()
    for weight, mean in watch.pairs():
        if weight in convs and mean in norms:
            _fold(convs[weight], norms[mean])
            folded.add(norms[mean])
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if child in folded:
                setattr(parent, name, _rest(child))


class _Watch(DispatchMode):
    """Sees which convolution made the tensor that a batch normalisation takes, and what else uses it."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[int, tuple[int, Tensor]] = {}  # output -> weight; the output is kept, so its id is its own
        self._uses: Counter[int] = Counter()
        self._norms: list[tuple[int, int, int]] = []  # input, weight that made it, running mean

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, and note its tensors."""
        found = func(*args, **(kwargs or {}))
        self._uses.update({id(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)})
        name = func.overloadpacket.__name__
        if name == "convolution":
            self._made[id(found)] = id(args[1]), found
            self._uses[id(found)] = 0  # those of a tensor before it
        elif "batch_norm" in name and id(args[0]) in self._made:
            self._norms.append((id(args[0]), self._made[id(args[0])][0], id(args[3])))
        return found

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Yield the ids of weight and running mean for each convolution and batch normalisation to fold."""
        found = Counter((weight, mean) for taken, weight, mean in self._norms if self._uses[taken] == 1)
        for (weight, mean), times in found.items():
            if self._uses[weight] == self._uses[mean] == times:  # a network may see its image at several scales
                yield weight, mean


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )


def _rest(norm: nn.Module) -> nn.Module:
    """Return what a batch normalisation does besides."""
    rest = nn.Sequential(norm.drop, norm.act) if isinstance(norm, BatchNormAct2d) else nn.Identity()
    return rest.eval()
