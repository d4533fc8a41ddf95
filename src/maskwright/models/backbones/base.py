"""What a backbone promises: image to feature pyramid, finest level first. Knows no particular network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class Backbone(nn.Module, ABC):
    """Base class: `forward(x (N, C, H, W))` returns one feature map a level, finest first.

    Decoders read nothing but the attributes below, so any backbone fits any decoder that finds the strides it needs.
    H and W are multiples of the largest reduction (`Segmenter` sees to that); level i is then exactly
    (N, channels[i], H / reductions[i], W / reductions[i]).

    Attributes:
        in_channels: C.
        channels: of each level.
        reductions: stride of each level against the image, ascending; a dilated network repeats its last one.
        normalised: whether its convolutions are batch normalised; a decoder that continues it may do the same.
    """

    normalised = True

    def __init__(self, in_channels: int, channels: Sequence[int], reductions: Sequence[int]) -> None:
        super().__init__()
        assert len(channels) == len(reductions)
        assert list(reductions) == sorted(reductions)
        self.in_channels = in_channels
        self.channels = tuple(channels)
        self.reductions = tuple(reductions)

    @abstractmethod
    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the feature pyramid of `x`."""

    @abstractmethod
    def set_gradient_checkpointing(self, enable: bool) -> None:
        """Recompute activations in the backward pass instead of keeping them, or stop doing so."""


def pyramid_levels(reductions: Sequence[int], finest: int = 1) -> tuple[int, ...]:
    """Choose one level a stride: the deepest of each, none finer than `finest`, finest first.

    Args:
        reductions: of a backbone, ascending.
        finest: smallest stride wanted; where the backbone has none so fine, its own finest is first.

    Returns:
        indices into the backbone's levels; never empty.
    """
    deepest = {reduction: index for index, reduction in enumerate(reductions) if reduction >= finest}
    return tuple(deepest.values()) or (len(reductions) - 1,)
