"""Side outputs: logits at several scales, each trained on its own, and their fusion. Knows no architecture.

A decoder with side outputs returns their logits twice: as the maps of `FusedHead`, which predicts, and as further maps,
each of which a `SideOutput` presents to the training as auxiliary logits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from maskwright.models.heads.pixel import Head
from maskwright.models.layers.blocks import height_width, resize

if TYPE_CHECKING:
    from maskwright.models.backbones.base import Backbone


class FusedHead(Head):
    """A weighted sum of side outputs for each channel, resized to the finest of them; it starts as their mean.

    Args:
        count: number of side outputs.
        classes: number of logits per pixel.
    """

    def __init__(self, count: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((count, classes), 1 / count))
        self._bias = nn.Parameter(torch.zeros(classes))

    @property
    def bias(self) -> Tensor:
        """The bias (K,) of the logits."""
        return self._bias

    def forward(self, sides: list[Tensor]) -> Tensor:
        """Return logits (N, K, h, w) of side outputs (N, K, h_i, w_i), finest first."""
        size = height_width(sides[0])
        weights = self.weight[:, :, None, None].unbind()
        parts = [resize(side, size) * weight for side, weight in zip(sides, weights, strict=True)]
        return torch.stack(parts).sum(0) + self._bias[:, None, None]


class SideOutput(nn.Module):
    """Logits that the decoder has computed, as those of an auxiliary head.

    Args:
        place: index into the pyramid of the backbone, followed by the further maps of the decoder.
    """

    def __init__(self, place: int) -> None:
        super().__init__()
        self.place = place

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return the logits (N, K, h, w), one of `features`."""
        return features[self.place]


def side_outputs(backbone: Backbone, count: int) -> list[SideOutput]:
    """Return the auxiliary heads for a decoder with so many side outputs."""
    return [SideOutput(len(backbone.channels) + place) for place in range(count)]
