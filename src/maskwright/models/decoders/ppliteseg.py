"""PP-LiteSeg: our real-time model for a CPU. A light decoder that blends its levels by attention, on STDC.

Peng et al. 2022, "PP-LiteSeg: A Superior Real-Time Semantic Segmentation Model", section 3 (figure 2):

    simple pyramid pooling (3.3):  y = conv3x3(sum over grids 1, 2, 4 of upsampled(conv1x1(average over the grid)))
    for the levels of stride 32, 16, 8, blend (3.2, equations 1 and 2, spatial attention):
        low = conv3x3(level)       up = upsampled(y)
        a   = sigmoid(conv(conv([mean up, max up, mean low, max low])))         means and maxima over the channels
        y   = conv3x3(up * a + low * (1 - a))
    flexible decoder (3.1):        y has 128, 64 and 32 channels, fewer the finer the map

Expected: 72.0 mIoU on Cityscapes test at 512x1024 (PP-LiteSeg-T, STDC1; their table 2), weights pretrained on ImageNet.

Chosen among four models, measured once (one seed; the scripts are not kept) at 512x512 with 19 classes, batch of one,
one thread of an AVX-512 EPYC, channels_last; mIoU on the demo data after 150 steps from scratch, the same for all (6
crops of 192x192, AdamW, peak 0.002):

    model           parameters  multiply-adds  float32   bf16    mIoU
    PP-LiteSeg-T        8.03 M         5.71 G   130 ms    72 ms  0.77
    DDRNet-23-slim      5.70 M         4.54 G    97 ms    54 ms  0.37
    PIDNet-S            7.63 M         5.90 G   139 ms    72 ms  0.27
    BiSeNetV2           3.36 M        12.30 G   275 ms   137 ms  not trained: the slowest by far
    swiftnet, ours      2.95 M         3.17 G    73 ms    42 ms  0.68

DDRNet-23-slim is a quarter faster, but without weights pretrained on ImageNet it learns too slowly for minutes on a
CPU, at least at this learning rate; no other was tried. PIDNet was trained without its boundary head, which needs
separate labels.

Where we differ: the auxiliary heads on the decoder's coarser maps are in the authors' code, not in the paper; ours have
a quarter of their map's channels inside instead of 64. The code also blends at stride 32, where the paper has two
blends; we follow the code. The classifier has a bias. Spatial attention only; the paper's other kind, over channels, is
used in neither PP-LiteSeg-T nor B.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import pyramid_levels
from maskwright.models.heads.pixel import AuxHead, PixelHead
from maskwright.models.layers.blocks import ConvNormAct, height_width, initialise, resize
from maskwright.models.layers.pyramid import average_cells
from maskwright.models.layers.windows import Averaging, moving_average
from maskwright.models.segmenter import Decoder, Segmenter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.models.backbones.base import Backbone


class SimplePooling(Averaging):
    """Averages over grids, reduced, upsampled and summed (section 3.3): lighter than PSPNet's, which concatenates."""

    def __init__(self, inputs: int, outputs: int, grids: Sequence[int]) -> None:
        super().__init__()
        self.grids = tuple(grids)
        self.branches = nn.ModuleList(ConvNormAct(inputs, outputs, 1) for _ in self.grids)
        self.refine = ConvNormAct(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs, H, W) for `x` (N, inputs, H, W)."""
        size = height_width(x)
        pooled = [branch(self._average(x, grid)) for grid, branch in zip(self.grids, self.branches, strict=True)]
        total = torch.stack([resize(part, size) for part in pooled]).sum(dim=0)
        return cast("Tensor", self.refine(total))

    def _average(self, x: Tensor, grid: int) -> Tensor:
        if self.window is None:
            return average_cells(x, (grid, grid))
        return moving_average(x, (self.window[0] / grid, self.window[1] / grid))


class AttentionFusion(nn.Module):
    """Blend a level of the backbone with the decoder's coarser map, pixel by pixel (section 3.2).

    Args:
        level: channels of the backbone's level.
        inputs: channels of the coarser map.
        outputs: channels of the result.
    """

    def __init__(self, level: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.lateral = ConvNormAct(level, inputs)
        self.attention = nn.Sequential(ConvNormAct(4, 2), ConvNormAct(2, 1, act=False))
        self.blend = ConvNormAct(inputs, outputs)

    def forward(self, level: Tensor, below: Tensor) -> Tensor:
        """Return (N, outputs, H, W) for a level (N, level, H, W) and a coarser map (N, inputs, h, w)."""
        low = self.lateral(level)
        up = resize(below, height_width(low))
        seen = [part for x in (up, low) for part in (x.mean(1, keepdim=True), x.amax(1, keepdim=True))]
        share = torch.sigmoid(self.attention(torch.cat(seen, dim=1)))
        return cast("Tensor", self.blend(up * share + low * (1 - share)))


class PPLiteSegDecoder(Decoder):
    """Pooling on the last level, one fusion for each level, one 3x3 block.

    The results of all fusions except the last are returned too, for the auxiliary heads.

    Args:
        backbone: its levels of stride 8 and coarser are the input.
        channels: of each fusion's result, the finest first; the last one repeats if there are more levels.
        grids: of the pooling.
    """

    def __init__(self, backbone: Backbone, channels: Sequence[int], grids: Sequence[int]) -> None:
        self.levels = pyramid_levels(backbone.reductions, finest=8)
        self.widths = [channels[min(place, len(channels) - 1)] for place in range(len(self.levels))]
        super().__init__(self.widths[0], backbone.reductions[self.levels[0]])
        inputs = channels[-1]
        self.pooling = SimplePooling(backbone.channels[self.levels[-1]], inputs, grids)
        self.fusions = nn.ModuleList()
        for level, width in zip(self.levels[::-1], self.widths[::-1], strict=True):
            self.fusions.append(AttentionFusion(backbone.channels[level], inputs, width))
            inputs = width
        self.block = ConvNormAct(inputs, inputs)
        initialise(self)

    def forward(self, features: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return a map (N, channels, H / stride, W / stride), and the coarser maps before it, coarsest first."""
        x = self.pooling(features[self.levels[-1]])
        results = []
        for level, fusion in zip(self.levels[::-1], self.fusions, strict=True):
            x = fusion(features[level], x)
            results.append(x)
        return cast("Tensor", self.block(x)), results[:-1]


def build(
    backbone: Backbone,
    classes: int,
    dropout: float = 0.0,
    *,
    channels: Sequence[int] = (32, 64, 128),
    grids: Sequence[int] = (1, 2, 4),
    auxiliary: bool = True,
) -> Segmenter:
    """Compose PP-LiteSeg.

    Args:
        backbone: image to pyramid.
        classes: number of logits.
        dropout: before the last layers.
        channels: widths of the decoder, the finest first: 32, 64, 128 for PP-LiteSeg-T; 64, 96, 128, on STDC2, for B.
        grids: cells of the pooling.
        auxiliary: add a classifier on every map of the decoder except the finest.

    Raises:
        MaskwrightError: an invalid option.
    """
    if not channels or not grids or min(*channels, *grids) < 1:
        raise MaskwrightError(
            f"ppliteseg: channels {list(channels)} and grids {list(grids)} must be 1 or more each, and at least one of "
            "each is needed"
        )
    decoder = PPLiteSegDecoder(backbone, channels, grids)
    first = len(backbone.channels)
    widths = decoder.widths[:0:-1] if auxiliary else []
    aux = [AuxHead(first + place, width, classes, dropout) for place, width in enumerate(widths)]
    return Segmenter(backbone, decoder, PixelHead(decoder.channels, classes, dropout), classes, aux)
