"""What the tests against other implementations share: norms set going, weights copied across, outputs compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Iterable

smp_only = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def shaken(module: nn.Module) -> Any:
    """Give every weight and statistic a value of its own, so that none of them can be left out unnoticed."""
    for name, tensor in module.state_dict().items():
        if name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight")):
            nn.init.uniform_(tensor, 0.7, 1.3)
        elif tensor.ndim == 1 and tensor.is_floating_point():
            nn.init.normal_(tensor, std=0.1)
        elif tensor.ndim > 1 and tensor.is_floating_point():
            nn.init.kaiming_normal_(tensor)
    return module.eval()


def awake(module: nn.Module) -> Any:
    """Let every branch take part: blocks that start as the identity pass nothing back to their convolutions."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
    return module


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


def unnoticed(network: nn.Module, image: Tensor) -> list[str]:
    """Name the tensors whose rows may change places without `close` seeing it: a wrong one would pass as right."""
    whole = network(image)
    found = []
    for name, tensor in network.state_dict().items():
        before = tensor.clone()
        if tensor.is_floating_point() and tensor.ndim and not torch.equal(before, before.roll(1, 0)):
            tensor.copy_(before.roll(1, 0))
            if (network(image) - whole).abs().max() < 1e-3 * whole.abs().max():
                found.append(name)
            tensor.copy_(before)
    return found


def continued(image: Tensor, step: int) -> Tensor:
    """Continue an image by reflection, right and below, to a multiple of `step`, as our networks do inside."""
    return F.pad(image, (0, -image.shape[3] % step, 0, -image.shape[2] % step), mode="reflect")


def weights_of(*modules: nn.Module) -> int:
    """Count the weights of some modules."""
    return sum(weight.numel() for module in modules for weight in module.parameters())


def receptive_fields(*parts: nn.Module) -> list[tuple[int, int]]:
    """Return (pixels along a side, stride) after each of `parts`, which come one after the other from the image on.

    By the rule of Long et al. 2015, section 3: a layer of kernel k at stride s and dilation d widens the field by
    (k - 1) d strides of the layers before it. The layers of a part must stand in a row.
    """
    field, stride, found = 1, 1, []
    for part in parts:
        for layer in part.modules():
            if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
                rate = getattr(layer, "dilation", 1)  # an average has none
                kernel, step, rate = (_side(value) for value in (layer.kernel_size, layer.stride, rate))
                field += (kernel - 1) * rate * stride
                stride *= step
        found.append((field, stride))
    return found


def _side(value: int | tuple[int, ...]) -> int:
    return value if isinstance(value, int) else value[0]
