"""U-Net in its modern form: upsample, put the backbone's level beside, two 3x3 convolutions; down to full resolution.

Ronneberger, Fischer, Brox 2015, "U-Net: Convolutional Networks for Biomedical Image Segmentation", section 2
(figure 1), over any backbone.

Expected: no single figure; as a decoder it is the one of segmentation_models.pytorch, and our tests load its weights
into this network and compare the outputs.

Where we differ from the paper: the contracting path is the backbone; nearest-neighbour upsampling instead of
up-convolutions; padded convolutions with batch normalisation instead of valid ones without; 256 to 16 channels instead
of 512 to 64; images are continued by repeating their edge instead of mirroring it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import pyramid_levels
from maskwright.models.heads.pixel import PixelHead
from maskwright.models.layers.blocks import ConvNormAct, initialise
from maskwright.models.segmenter import Decoder, Segmenter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.models.backbones.base import Backbone


class UNetDecoder(Decoder):
    """One block a halving of the stride, with the backbone's level of that stride where it has one.

    Args:
        backbone: whose levels are read.
        channels: of each block, coarsest first; the last one repeats where there are more blocks.
        finest: stride of the result.
    """

    def __init__(self, backbone: Backbone, channels: Sequence[int], finest: int) -> None:
        *fine, deepest = pyramid_levels(backbone.reductions, finest)
        steps: list[tuple[int, int | None]] = [(backbone.reductions[level], level) for level in reversed(fine)]
        before = backbone.reductions[deepest]
        stride = steps[-1][0] if steps else before
        while stride >= 2 * finest:
            stride //= 2
            steps.append((stride, None))
        widths = [channels[min(index, len(channels) - 1)] for index in range(len(steps))]
        inputs = backbone.channels[deepest]
        super().__init__(widths[-1] if widths else inputs, stride)
        self.deepest = deepest
        self.skips = [skip for _, skip in steps]
        self.factors: list[int] = []
        self.blocks = nn.ModuleList()
        for (stride, skip), width in zip(steps, widths, strict=True):
            beside = 0 if skip is None else backbone.channels[skip]
            self.blocks.append(nn.Sequential(ConvNormAct(inputs + beside, width), ConvNormAct(width, width)))
            self.factors.append(before // stride)
            inputs, before = width, stride
        initialise(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return a map (N, channels, H / stride, W / stride)."""
        x = features[self.deepest]
        for factor, skip, block in zip(self.factors, self.skips, self.blocks, strict=True):
            x = F.interpolate(x, scale_factor=factor, mode="nearest")
            x = cast("Tensor", block(x if skip is None else torch.cat([x, features[skip]], dim=1)))
        return x


def build(
    backbone: Backbone,
    classes: int,
    dropout: float = 0.0,
    *,
    channels: Sequence[int] = (256, 128, 64, 32, 16),
    finest: int = 1,
    head_kernel: int = 1,
) -> Segmenter:
    """Compose U-Net.

    Args:
        backbone: image to pyramid.
        classes: number of logits.
        dropout: before the last layer.
        channels: of each block, coarsest first; the last one repeats where there are more blocks.
        finest: stride of the last block, and the native stride: 1, 2, 4 ...; larger is cheaper and coarser.
        head_kernel: side of the last convolution: 1 as in the paper, 3 as in segmentation_models.pytorch.

    Raises:
        MaskwrightError: an option outside its rule.
    """
    if not channels or min(channels) < 1 or finest not in {1, 2, 4, 8, 16}:
        raise MaskwrightError(
            f"unet: channels {list(channels)} must be 1 or more each, and finest, {finest}, one of 1, 2, 4, 8 and 16"
        )
    if head_kernel not in {1, 3}:
        raise MaskwrightError(f"unet: head_kernel is {head_kernel}, and it must be 1 or 3")
    decoder = UNetDecoder(backbone, channels, finest)
    return Segmenter(backbone, decoder, PixelHead(decoder.channels, classes, dropout, head_kernel), classes)
