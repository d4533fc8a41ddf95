"""U-Net: upsample, concatenate with the backbone's level, two 3x3 convolutions; repeated down to stride 1.

Ronneberger, Fischer, Brox 2015, "U-Net: Convolutional Networks for Biomedical Image Segmentation", section 2
(figure 1). With `attention`: Oktay et al. 2018, "Attention U-Net: Learning Where to Look for the Pancreas",
figures 1 and 2, additive gates on the skips.

Three names, one decoder:

- `unet`, the modern form: any backbone, nearest-neighbour upsampling, padded convolutions with batch normalisation,
  256 to 16 channels. With `layout=smp` it equals that of segmentation_models.pytorch; our tests load its weights and
  compare.
- `unet2015`, the form of the paper: the backbone `unet` (64 to 1024 channels), 2x2 up-convolutions that halve the
  channels, 512 to 64 in the expansive path, no normalisation: 23 convolutional layers, 31.0 million parameters. With
  `valid=true` the convolutions have no padding: 572 x 572 in, 388 x 388 out. Every image or tile is then extended by
  reflection (figure 2), so that each pixel gets its label.
- `attention_unet`, the modern form with gates; the decoder's coarser map is the gating signal.

Expected: 0.0003529 warping error on the ISBI 2012 challenge (table 1), 0.9203 IoU on PhC-U373 (table 2). Gates: Dice of
the pancreas on CT-150 0.840 against 0.814 without (Oktay et al., table 1).

Where we differ: images are extended by reflection, as in the paper, only with `valid`; otherwise their edge is
repeated. The plan decides on the paper's weighted loss and elastic deformations. Gates: two dimensions instead of
three, no deep supervision, and no convolution or norm around the gate, as in the equations.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import ladder
from maskwright.models.heads.pixel import PixelHead
from maskwright.models.layers.blocks import DoubleConv, crop_centre, height_width, initialise
from maskwright.models.layers.gate import gates
from maskwright.models.segmenter import Decoder, Segmenter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.models.backbones.base import Backbone

LAYOUTS = ("modern", "paper", "smp")


class UNetDecoder(Decoder):
    """One block for each halving of the stride, with the backbone's level of that stride if there is one.

    Args:
        backbone: its levels are the input.
        channels: output channels of each block, coarsest first; the last repeats if there are more blocks.
        finest: stride of the result.
        transposed: upsample by a learned convolution to the channels of the block.
        attention: add a gate to each skip except the finest.
    """

    def __init__(
        self, backbone: Backbone, channels: Sequence[int], finest: int, *, transposed: bool, attention: bool
    ) -> None:
        deepest, steps = ladder(backbone.reductions, finest)
        strides = [backbone.reductions[deepest], *(stride for stride, _ in steps)]
        widths = [channels[min(index, len(channels) - 1)] for index in range(len(steps))]
        before = [backbone.channels[deepest], *widths]
        super().__init__(before[-1], strides[-1])
        self.deepest = deepest
        self.skips = [level for _, level in steps]
        self.factors = [coarse // fine for coarse, fine in pairwise(strides)]
        skip_channels = [None if level is None else backbone.channels[level] for level in self.skips]
        self.transposed = transposed
        self.ups, self.blocks = nn.ModuleList(), nn.ModuleList()
        for inputs, skip, width, factor in zip(before, skip_channels, widths, self.factors, strict=False):
            # Nearest-neighbour upsampling has no layer; the identity keeps the tensor names in files.
            self.ups.append(nn.ConvTranspose2d(inputs, width, factor, factor) if transposed else nn.Identity())
            arriving = (width if transposed else inputs) + (skip or 0)
            coarse = inputs if factor == 2 and not transposed and not backbone.valid else 0
            block = DoubleConv(arriving, width, norm=backbone.normalised, valid=backbone.valid, coarse=coarse)
            self.blocks.append(block)
        self.gates = gates(skip_channels if attention else [None] * len(steps), before, self.factors)
        initialise(self, "fan_out" if backbone.normalised else "fan_in")
        if backbone.valid:
            self.margin = self._lost(backbone)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return a map (N, channels, H / stride, W / stride), without the margin if there is one."""
        x = features[self.deepest]
        rungs = zip(self.skips, self.gates, self.ups, self.factors, self.blocks, strict=True)
        for skip, gate, up, factor, block in rungs:
            height, width = height_width(x)
            level = None if skip is None else crop_centre(features[skip], (factor * height, factor * width))
            if level is not None and not isinstance(gate, nn.Identity):
                level = gate(level, x)
            if not self.transposed and not self.margin:
                x = cast("DoubleConv", block).joined(x, level, factor)
            else:
                finer = up(x) if self.transposed else F.interpolate(x, scale_factor=factor, mode="nearest")
                x = cast("Tensor", block(finer if level is None else torch.cat([finer, level], dim=1)))
        return x

    def _lost(self, backbone: Backbone) -> int:
        """Count the pixels of the image that convolutions without padding remove on each side."""
        length = backbone.fitted(1)
        side = backbone.lengths(length)[self.deepest]
        for factor in self.factors:
            side = factor * side - 4
        return (length - side * self.stride) // 2


def check_decoder_options(
    model: str, channels: Sequence[int], finest: int, layout: str, layouts: Sequence[str]
) -> None:
    """Refuse options that no U-Net can be built from; see `build` for each.

    Raises:
        MaskwrightError: an invalid option.
    """
    if not channels or min(channels) < 1 or finest not in {1, 2, 4, 8, 16}:
        raise MaskwrightError(
            f"{model}: channels {list(channels)} must be 1 or more each, and finest, {finest}, one of 1, 2, 4, 8 and 16"
        )
    if layout not in layouts:
        raise MaskwrightError(f"{model}: layout is {layout!r}, but must be one of {', '.join(layouts)}")


def build(
    backbone: Backbone,
    classes: int,
    dropout: float = 0.0,
    *,
    channels: Sequence[int] = (256, 128, 64, 32, 16),
    finest: int = 1,
    layout: str = "modern",
    attention: bool = False,
) -> Segmenter:
    """Compose U-Net.

    Args:
        backbone: image to pyramid.
        classes: number of logits.
        dropout: before the last layer.
        channels: output channels of each block, coarsest first; the last repeats if there are more blocks.
        finest: stride of the last block, and the native stride: 1, 2, 4 ...; larger is cheaper and coarser.
        layout: `modern`; `paper` for up-convolutions instead of nearest-neighbour upsampling; `smp` for a last
            convolution of 3x3, as in segmentation_models.pytorch.
        attention: add a gate to each skip except the finest.

    Raises:
        MaskwrightError: an invalid option.
    """
    check_decoder_options("unet", channels, finest, layout, LAYOUTS)
    decoder = UNetDecoder(backbone, channels, finest, transposed=layout == "paper", attention=attention)
    head = PixelHead(decoder.channels, classes, dropout, 3 if layout == "smp" else 1)
    return Segmenter(backbone, decoder, head, classes)
