"""SegFormer: a decoder made only of linear layers, on the Mix Transformer.

Xie, Wang, Yu, Anandkumar, Alvarez, Luo 2021, "SegFormer: Simple and Efficient Design for Semantic Segmentation with
Transformers", section 3.2, equation 4: each level F_i is projected to C channels by a linear layer and interpolated to
stride 4; another linear layer, with batch normalisation and ReLU, fuses the four; a last one gives the logits.

    F = ReLU(BN(Linear(4C, C)(concat_i upsample(Linear(C_i, C)(F_i)))))

Expected: 37.4 mIoU on ADE20K val with MiT-B0 and C = 256, 51.0 with B5 and C = 768 (their table 1a); our tests
load the weights of transformers and segmentation_models.pytorch into this network and compare the outputs.

Where we differ: the fusion runs on each level before it is upsampled, and the results are added. This is the same
function (a 1x1 convolution and an interpolation commute), and the fusion needs a third of the multiply-adds: of 4
parts, (1 + 1/4 + 1/16 + 1/64) remain. C is 128 by default (width=256 for B0 and B1, 768 from B2 on).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import Tensor, nn
from torch.nn import functional as F

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import pyramid_levels
from maskwright.models.heads.pixel import PixelHead
from maskwright.models.layers.blocks import height_width, initialise, resize
from maskwright.models.layers.norm import BatchNorm2d
from maskwright.models.segmenter import Decoder, Segmenter

if TYPE_CHECKING:
    from maskwright.models.backbones.base import Backbone

FINEST = 4


class SegFormerDecoder(Decoder):
    """One linear layer for each level, and one that fuses them.

    Args:
        backbone: its levels are the input.
        width: C.
    """

    def __init__(self, backbone: Backbone, width: int) -> None:
        levels = pyramid_levels(backbone.reductions, FINEST)
        super().__init__(width, backbone.reductions[levels[0]])
        self.levels = levels
        self.linears = nn.ModuleList(nn.Conv2d(backbone.channels[level], width, 1) for level in self.levels)
        # The fusing convolution, split along its inputs: one slice for each level.
        self.fuse = nn.ModuleList(nn.Conv2d(width, width, 1, bias=False) for _ in self.levels)
        self.norm = BatchNorm2d(width)
        initialise(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return a map (N, width, H / stride, W / stride)."""
        size = height_width(features[self.levels[0]])
        parts = [
            resize(cast("Tensor", fuse(linear(features[level]))), size)
            for level, linear, fuse in zip(self.levels, self.linears, self.fuse, strict=True)
        ]
        return F.relu(self.norm(sum(parts[1:], start=parts[0])))


def build(backbone: Backbone, classes: int, dropout: float = 0.0, *, width: int = 128) -> Segmenter:
    """Compose SegFormer.

    Args:
        backbone: image to pyramid.
        classes: number of logits.
        dropout: before the last layer (0.1 in the authors' code).
        width: C, the channels of the decoder.

    Raises:
        MaskwrightError: an invalid option.
    """
    if width < 1:
        raise MaskwrightError(f"segformer: width is {width}, but must be 1 or more")
    decoder = SegFormerDecoder(backbone, width)
    return Segmenter(backbone, decoder, PixelHead(width, classes, dropout), classes)
