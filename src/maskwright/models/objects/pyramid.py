"""The feature pyramid that Mask R-CNN looks at. Lin et al. 2017, "Feature Pyramid Networks". Knows no box."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from torch import nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from maskwright.models.backbones.base import pyramid_levels
from maskwright.models.segmenter import Decoder

if TYPE_CHECKING:
    from torch import Tensor

    from maskwright.models.backbones.base import Backbone

FINEST = 4


class Pyramid(Decoder):
    """The feature pyramid of the levels from stride 4 on, and one level more, at twice the coarsest stride.

    Args:
        backbone: its levels are the input.
        width: channels of the pyramid.
        norm: with batch normalisation.
    """

    def __init__(self, backbone: Backbone, width: int, *, norm: bool) -> None:
        levels = pyramid_levels(backbone.reductions, FINEST)
        super().__init__(width, backbone.reductions[levels[0]])
        self.levels = levels
        self.strides = [backbone.reductions[level] for level in levels]
        self.fpn = FeaturePyramidNetwork(
            [backbone.channels[level] for level in levels],
            width,
            LastLevelMaxPool(),
            norm_layer=nn.BatchNorm2d if norm else None,
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the levels (N, width, h, w), finest first."""
        named = OrderedDict((str(place), features[level]) for place, level in enumerate(self.levels))
        return list(self.fpn(named).values())
