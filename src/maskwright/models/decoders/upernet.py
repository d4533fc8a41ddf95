"""UPerNet: pyramid pooling on the coarsest level, a feature pyramid on top of it, and all levels fused at the finest.

Xiao, Liu, Zhou, Jiang, Sun 2018, "Unified Perceptual Parsing for Scene Understanding", section 3 (figure 4): the
pyramid pooling module of PSPNet on the last level of the backbone, the top-down pathway of Lin et al. 2017 over the
others, a 3x3 convolution on each sum, and one more on all of them, upsampled to the finest level and concatenated. Of
the paper's heads we keep the one for objects and stuff.

Expected: 41.22 mIoU on ADE20K val with a ResNet-50 (their table 2, objects alone).

Where we differ: 64 channels by default (512 in the paper: width=512); upsampling does not align corners.
level_norm=true first normalises the channels of each level, which Swin, ViT and ConvNeXt backbones need, because timm
returns their levels before the last norm; segmentation_models.pytorch does it for all backbones. The default backbone
is our compact one (a ResNet-50 in the paper).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import pyramid_levels
from maskwright.models.heads.pixel import PixelHead, aux_before_last
from maskwright.models.layers.blocks import ConvNormAct, height_width, initialise, resize
from maskwright.models.layers.norm import ChannelNorm
from maskwright.models.layers.pyramid import PyramidPooling
from maskwright.models.segmenter import Decoder, Segmenter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.models.backbones.base import Backbone

FINEST = 4


class UPerNetDecoder(Decoder):
    """Pooling, top-down sums, fusion.

    Args:
        backbone: its levels are the input.
        width: channels of all layers.
        grids: cells of the pyramid pooling.
        level_norm: normalise the levels first.
    """

    def __init__(self, backbone: Backbone, width: int, grids: Sequence[int], *, level_norm: bool) -> None:
        levels = pyramid_levels(backbone.reductions, FINEST)
        super().__init__(width, backbone.reductions[levels[0]])
        self.levels = levels
        *finer, last = [backbone.channels[level] for level in levels]
        self.norms = nn.ModuleList(ChannelNorm(inputs) if level_norm else nn.Identity() for inputs in [*finer, last])
        self.pooling = PyramidPooling(last, width, grids)
        self.bottleneck = ConvNormAct(self.pooling.channels, width)
        self.laterals = nn.ModuleList(ConvNormAct(inputs, width, 1) for inputs in finer)
        self.blends = nn.ModuleList(ConvNormAct(width, width) for _ in finer)
        self.fuse = ConvNormAct(width * len(levels), width)
        initialise(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return a map (N, width, H / stride, W / stride)."""
        maps = [cast("Tensor", norm(features[level])) for level, norm in zip(self.levels, self.norms, strict=True)]
        x = cast("Tensor", self.bottleneck(self.pooling(maps[-1])))
        sums = [x]
        for lateral, finer in zip(reversed(self.laterals), maps[-2::-1], strict=True):
            x = lateral(finer) + resize(x, height_width(finer))
            sums.insert(0, x)
        blended = [blend(total) for blend, total in zip(self.blends, sums[:-1], strict=True)]
        size = height_width(maps[0])
        return cast("Tensor", self.fuse(torch.cat([resize(part, size) for part in [*blended, sums[-1]]], dim=1)))


def build(
    backbone: Backbone,
    classes: int,
    dropout: float = 0.0,
    *,
    width: int = 64,
    grids: Sequence[int] = (1, 2, 3, 6),
    level_norm: bool = False,
    auxiliary: bool = False,
) -> Segmenter:
    """Compose UPerNet.

    Args:
        backbone: image to pyramid.
        classes: number of logits.
        dropout: before the last layers.
        width: channels of the pyramid and of the fusion.
        grids: cells of the pyramid pooling.
        level_norm: normalise each level's channels first, which transformers and ConvNeXt need.
        auxiliary: add an auxiliary classifier on the level before the last.

    Raises:
        MaskwrightError: an invalid option.
    """
    if width < 1 or not grids or min(grids) < 1:
        raise MaskwrightError(
            f"upernet: width {width} and grids {list(grids)} must all be 1 or more, and at least one grid is needed"
        )
    decoder = UPerNetDecoder(backbone, width, grids, level_norm=level_norm)
    aux = aux_before_last(backbone, classes, dropout) if auxiliary else []
    return Segmenter(backbone, decoder, PixelHead(width, classes, dropout), classes, aux)
