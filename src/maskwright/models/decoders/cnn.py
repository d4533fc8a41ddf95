"""The plain encoder-decoder: convolutions and pooling on the way down, upsampling and convolutions on the way up.

Badrinarayanan, Kendall, Cipolla 2015 (in print 2017), "SegNet: A Deep Convolutional Encoder-Decoder Architecture for
Image Segmentation", sections 3 and 3.1: the small network, SegNet-Basic (four encoders, four decoders), without pooling
indices. No skips, no context, no pretrained weights: a baseline that shows what these are worth.

    encoder i: 3x3 convolution, norm, ReLU, 2x2 max pooling
    decoder i: bilinear upsampling by 2, 3x3 convolution, norm, ReLU

Expected: on CamVid test SegNet-Basic reaches 47.7 mIoU, and a variant with fixed bilinear upsampling 43.3 (their table
1, median frequency balancing). Ours lies between the two: it upsamples, then convolves.

Where we differ: 3x3 kernels instead of 7x7; 32, 64, 128 and 256 channels instead of 64 throughout, which costs less at
the fine strides; a ReLU in the decoder, which SegNet-Basic lacks; the decoder stops at stride 4 unless `finest` is 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from maskwright.core.errors import MaskwrightError
from maskwright.models.heads.pixel import PixelHead
from maskwright.models.layers.blocks import ConvNormAct, height_width, initialise, resize
from maskwright.models.segmenter import Decoder, Segmenter

if TYPE_CHECKING:
    from maskwright.models.backbones.base import Backbone


class PlainDecoder(Decoder):
    """Upsample the last level by 2 and convolve, repeatedly.

    Args:
        backbone: its last level is the input; the decoder has the same widths as the backbone.
        finest: stride of the result.
    """

    def __init__(self, backbone: Backbone, finest: int) -> None:
        inputs, stride = backbone.channels[-1], backbone.reductions[-1]
        widths = dict(zip(backbone.reductions, backbone.channels, strict=True))
        blocks = []
        while stride > finest:
            stride //= 2
            width = widths.get(stride, inputs)
            blocks.append(ConvNormAct(inputs, width))
            inputs = width
        super().__init__(inputs, stride)
        self.blocks = nn.ModuleList(blocks)
        initialise(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return a map (N, channels, H / stride, W / stride)."""
        x = features[-1]
        for block in self.blocks:
            height, width = height_width(x)
            x = cast("Tensor", block(resize(x, (2 * height, 2 * width))))
        return x


def build(backbone: Backbone, classes: int, dropout: float = 0.0, *, finest: int = 4) -> Segmenter:
    """Compose the plain encoder-decoder.

    Args:
        backbone: image to pyramid; only the last level is used.
        classes: number of logits.
        dropout: before the last layer.
        finest: stride of the last block, and the native stride: 1, 2, 4 ...; larger is cheaper and coarser.

    Raises:
        MaskwrightError: `finest` is not one of these.
    """
    if finest not in {1, 2, 4, 8, 16}:
        raise MaskwrightError(f"cnn: finest is {finest}, but must be 1, 2, 4, 8 or 16")
    decoder = PlainDecoder(backbone, finest)
    return Segmenter(backbone, decoder, PixelHead(decoder.channels, classes, dropout), classes)
