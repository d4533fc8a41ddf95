"""Heads that label every pixel: the last 1x1 convolution, and the auxiliary one. They know but the classes' number."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import nn

from maskwright.models.layers.blocks import ConvNormAct, initialise

if TYPE_CHECKING:
    from torch import Tensor


class PixelHead(nn.Sequential):
    """Dropout of whole channels, then a 1x1 convolution to logits.

    Args:
        inputs: channels of the decoder's map.
        classes: logits a pixel.
        dropout: share of the channels that are dropped, 0..1.
        kernel: side of the convolution, odd, for those who made it larger than 1.
    """

    def __init__(self, inputs: int, classes: int, dropout: float = 0.0, kernel: int = 1) -> None:
        super().__init__(nn.Dropout2d(dropout), nn.Conv2d(inputs, classes, kernel, padding=kernel // 2))
        nn.init.normal_(cast("Tensor", self[1].weight), std=0.01)
        nn.init.zeros_(self.bias)

    @property
    def bias(self) -> Tensor:
        """The constants (K,) of the logits."""
        return cast("Tensor", self[1].bias)


class AuxHead(nn.Module):
    """An auxiliary classifier on one level of the backbone (Zhao et al. 2017, section 3.3): 3x3, then `PixelHead`.

    Args:
        level: index into the backbone's pyramid; behind it stand the further maps of the decoder, where it has any.
        inputs: channels of that level.
        classes: logits a pixel.
        dropout: share of the channels that are dropped, 0..1.
        hidden: have the 3x3 convolution; without it the head is a `PixelHead` alone.

    Attributes:
        level: as above.
    """

    def __init__(self, level: int, inputs: int, classes: int, dropout: float = 0.1, *, hidden: bool = True) -> None:
        super().__init__()
        self.level = level
        middle = max(inputs // 4, 1) if hidden else inputs
        self.block = ConvNormAct(inputs, middle) if hidden else nn.Identity()
        initialise(self)
        self.classifier = PixelHead(middle, classes, dropout)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return logits (N, K, h, w) at the stride of this head's level."""
        return cast("Tensor", self.classifier(self.block(features[self.level])))
