"""What the tests against other implementations share: norms set going, weights copied across, outputs compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterable

smp_only = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def shaken(module: nn.Module) -> Any:
    """Give every norm statistics and weights of its own, so that none of them can be left out unnoticed."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for tensor in (layer.weight, layer.running_var):
                nn.init.uniform_(tensor, 0.7, 1.3)
            for tensor in (layer.bias, layer.running_mean):
                nn.init.normal_(tensor, std=0.1)
    return module.eval()


def same(target: nn.Module, source: nn.Module | Iterable[nn.Module]) -> None:
    """Copy all values across in the order of definition, each onto one of its own shape."""
    source = source if isinstance(source, nn.Module) else nn.ModuleList(source)
    ours, theirs = target.state_dict(), source.state_dict()
    assert len(ours) == len(theirs)
    target.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))


def close(ours: Tensor, theirs: Tensor) -> None:
    """Compare logits: the largest difference, relative to the largest logit."""
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()
