"""FPN for segmentation: the sum of a feature pyramid's levels, each brought to stride 4 by convolutions.

Kirillov, Girshick, He, Dollar 2019, "Panoptic Feature Pyramid Networks", section 3.1 (figure 3), the semantic branch:
every level passes through one step of (3x3 convolution, group norm, ReLU, upsampling by 2) for each doubling from
stride 4 to its own, the finest level through one step without upsampling; the results are added and classified. The
pyramid is that of Lin, Dollar, Girshick, He, Hariharan, Belongie 2017, "Feature Pyramid Networks for Object Detection",
section 3 (figure 3):

    P_i = Conv3x3(M_i),  M_i = Conv1x1(C_i) + nearest(M_(i+1)),  M_5 = Conv1x1(C_5)

Expected: 77.7 mIoU on Cityscapes val with a ResNet-101 (their table 1a).

Where we differ: 64 and 32 channels by default (width=256, branch_width=128 in the paper), on our compact backbone (a
ResNet-101 in the paper). segmentation_models.pytorch omits Conv3x3 and aligns corners: smooth=false,
align_corners=true.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from torch import Tensor, nn
from torch.nn import functional as F

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import pyramid_levels
from maskwright.models.heads.pixel import PixelHead
from maskwright.models.layers.blocks import height_width, initialise
from maskwright.models.segmenter import Decoder, Segmenter

if TYPE_CHECKING:
    from maskwright.models.backbones.base import Backbone

FINEST = 4
GROUPS = 32


class Climb(nn.Sequential):
    """(3x3 convolution, group norm, ReLU, upsampling by 2), `steps` times; one step without upsampling if `steps` is 0.

    Args:
        inputs, outputs: channels.
        steps: number of upsamplings.
        align_corners: of the upsampling.
    """

    def __init__(self, inputs: int, outputs: int, steps: int, *, align_corners: bool) -> None:
        # At least four channels per group: a group of one channel at one pixel would be normalised to zero.
        groups = math.gcd(GROUPS, max(outputs // 4, 1))
        layers: list[nn.Module] = []
        for _ in range(max(steps, 1)):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.GroupNorm(groups, outputs)]
            layers += [nn.ReLU(inplace=True)]
            if steps:
                layers += [nn.Upsample(scale_factor=2, mode="bilinear", align_corners=align_corners)]
            inputs = outputs
        super().__init__(*layers)


class FPNDecoder(Decoder):
    """The pyramid, then a `Climb` for each of its levels.

    Args:
        backbone: its levels are the input.
        width: channels of the pyramid.
        branch_width: channels of the climbs.
        smooth: apply a 3x3 convolution to each sum.
        align_corners: of the climbs.
    """

    def __init__(self, backbone: Backbone, width: int, branch_width: int, *, smooth: bool, align_corners: bool) -> None:
        levels = pyramid_levels(backbone.reductions, FINEST)
        super().__init__(branch_width, backbone.reductions[levels[0]])
        self.levels = levels
        steps = [(backbone.reductions[level] // self.stride).bit_length() - 1 for level in levels]
        self.laterals = nn.ModuleList(nn.Conv2d(backbone.channels[level], width, 1) for level in levels)
        self.smooths = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) if smooth else nn.Identity() for _ in levels)
        self.climbs = nn.ModuleList(Climb(width, branch_width, count, align_corners=align_corners) for count in steps)
        initialise(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return a map (N, branch_width, H / stride, W / stride)."""
        parts = zip(self.levels[::-1], self.laterals[::-1], self.smooths[::-1], self.climbs[::-1], strict=True)
        above: Tensor | None = None
        total: Tensor | None = None
        for level, lateral, smooth, climb in parts:
            merged = cast("Tensor", lateral(features[level]))
            if above is not None:
                merged = merged + F.interpolate(above, size=height_width(merged), mode="nearest")
            climbed = cast("Tensor", climb(smooth(merged)))
            total = climbed if total is None else total + climbed
            above = merged
        assert total is not None
        return total


def build(
    backbone: Backbone,
    classes: int,
    dropout: float = 0.0,
    *,
    width: int = 64,
    branch_width: int = 32,
    smooth: bool = True,
    align_corners: bool = False,
) -> Segmenter:
    """Compose FPN.

    Args:
        backbone: image to pyramid.
        classes: number of logits.
        dropout: before the last layer.
        width: channels of the pyramid.
        branch_width: channels of the branch that upsamples each level, 4 or more.
        smooth: apply a 3x3 convolution to each sum of the pyramid.
        align_corners: align the corner pixels' centres when the branches upsample.

    Raises:
        MaskwrightError: an invalid option.
    """
    if width < 1 or branch_width < 4:
        raise MaskwrightError(f"fpn: width {width} must be 1 or more, and branch_width {branch_width} 4 or more")
    decoder = FPNDecoder(backbone, width, branch_width, smooth=smooth, align_corners=align_corners)
    return Segmenter(backbone, decoder, PixelHead(branch_width, classes, dropout), classes)
