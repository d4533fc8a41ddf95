"""Heads that label every pixel: the last 1x1 convolution, and the auxiliary head. Know only the number of classes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from maskwright.core.errors import MaskwrightError
from maskwright.models.layers.blocks import ConvNormAct, initialise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from maskwright.models.backbones.base import Backbone


class Head(nn.Module, ABC):
    """Base class: `forward` turns what the decoder returns into logits (N, K, h, w)."""

    @property
    @abstractmethod
    def bias(self) -> Tensor:
        """The bias (K,) of the logits: a constant added here is added to every pixel's logits."""

    def set_progress(self, progress: float) -> None:
        """Receive the share of the training that is done, 0..1, before each step; ignored by most heads."""


class PixelHead(nn.Sequential, Head):
    """Dropout of whole channels, then a 1x1 convolution to logits.

    Args:
        inputs: channels of the decoder's map.
        classes: number of logits per pixel.
        dropout: share of the channels that are dropped, 0..1.
        kernel: side of the convolution, odd; larger than 1 for some published networks.
    """

    def __init__(self, inputs: int, classes: int, dropout: float = 0.0, kernel: int = 1) -> None:
        super().__init__(nn.Dropout2d(dropout), nn.Conv2d(inputs, classes, kernel, padding=kernel // 2))
        nn.init.normal_(cast("Tensor", self[1].weight), std=0.01)
        nn.init.zeros_(self.bias)

    @property
    def bias(self) -> Tensor:
        """The bias (K,) of the logits."""
        return cast("Tensor", self[1].bias)


class AtrousHead(Head):
    """Parallel atrous 3x3 convolutions to logits, one per rate, summed (DeepLabV2 on ResNet-101).

    Args:
        inputs: channels of the decoder's map.
        classes: number of logits per pixel.
        rates: dilations.
        dropout: share of the channels that are dropped, 0..1.
    """

    def __init__(self, inputs: int, classes: int, rates: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout2d(dropout)
        # The sum needs one bias, not one per branch.
        self.branches = nn.ModuleList(
            nn.Conv2d(inputs, classes, 3, padding=rate, dilation=rate, bias=place == 0)
            for place, rate in enumerate(rates)
        )
        for weight in self.branches.parameters():
            nn.init.normal_(weight, std=0.01)
        nn.init.zeros_(self.bias)

    @property
    def bias(self) -> Tensor:
        """The bias (K,) of the logits."""
        return cast("Tensor", self.branches[0].bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, K, h, w) for `x` (N, inputs, h, w)."""
        x = self.dropout(x)
        return torch.stack([branch(x) for branch in self.branches]).sum(dim=0)


class AuxHead(nn.Module):
    """An auxiliary classifier on one level of the backbone (Zhao et al. 2017, section 4): 3x3, then `PixelHead`.

    Args:
        level: index into the backbone's pyramid, followed by the further maps of the decoder, if it has any.
        inputs: channels of that level.
        classes: number of logits per pixel.
        dropout: share of the channels that are dropped, 0..1.
        hidden: include the 3x3 convolution; without it the head is only a `PixelHead`.

    Attributes:
        level: as above.
    """

    def __init__(self, level: int, inputs: int, classes: int, dropout: float, *, hidden: bool = True) -> None:
        super().__init__()
        self.level = level
        middle = max(inputs // 4, 1) if hidden else inputs
        self.block = ConvNormAct(inputs, middle) if hidden else nn.Identity()
        initialise(self)
        self.classifier = PixelHead(middle, classes, dropout)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return logits (N, K, h, w) at the stride of this head's level; `features` holds maps (N, C_i, h_i, w_i)."""
        return cast("Tensor", self.classifier(self.block(features[self.level])))


def aux_heads(backbone: Backbone, levels: Sequence[int], classes: int, dropout: float = 0.0) -> nn.ModuleList:
    """Add an auxiliary head to each of the levels: deep supervision (Lee et al. 2015) of any architecture.

    Args:
        backbone: whose levels are read.
        levels: 0 for the finest, -1 for the coarsest.
        classes: number of logits per pixel.
        dropout: share of the channels that are dropped, 0..1.

    Raises:
        MaskwrightError: an unknown level, or one given twice.
    """
    count = len(backbone.channels)
    places = [level % count for level in levels if -count <= level < count]
    if len(places) != len(levels) or len(set(places)) != len(places):
        raise MaskwrightError(
            f"model.aux_levels is {list(levels)}, but the backbone has the levels 0 to {count - 1}, of stride "
            f"{', '.join(map(str, backbone.reductions))}: name each at most once"
        )
    return nn.ModuleList(AuxHead(level, backbone.channels[level], classes, dropout) for level in places)


def aux_before_last(backbone: Backbone, classes: int, dropout: float = 0.0) -> list[AuxHead]:
    """Return an auxiliary head on the level before the last, as in PSPNet: `aux_heads` for a `Segmenter`."""
    level = max(len(backbone.channels) - 2, 0)
    return [AuxHead(level, backbone.channels[level], classes, dropout)]
