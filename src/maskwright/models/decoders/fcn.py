"""FCN on a dilated backbone: one 3x3 convolution and a classifier at stride 8; the common baseline.

Long, Shelhamer, Darrell 2015, "Fully Convolutional Networks for Semantic Segmentation", in the form that has replaced
the original: a residual network dilated to output stride 8 (Yu et al. 2017) instead of VGG-16 with skips, a 3x3 block
before the classifier, and an auxiliary classifier on the level before the last (Zhao et al. 2017, section 4).

Expected: 60.5 mIoU on COCO val2017 with the VOC classes, with a ResNet-50, as torchvision reports for its network; our
tests load torchvision's weights into this network and compare the outputs.

Where we differ from torchvision: dropout is off by default, and drops whole channels; an image whose size is not a
multiple of the stride is padded to one by its edge, and the logits are cropped, where torchvision rounds up at each
level; the default backbone is a ResNet-18.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from maskwright.models.heads.pixel import PixelHead, aux_before_last
from maskwright.models.layers.blocks import ConvNormAct, initialise
from maskwright.models.segmenter import Decoder, Segmenter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from maskwright.models.backbones.base import Backbone


class FCNDecoder(Decoder):
    """One 3x3 block on the last level, to a quarter of its channels."""

    def __init__(self, backbone: Backbone) -> None:
        inputs = backbone.channels[-1]
        super().__init__(max(inputs // 4, 1), backbone.reductions[-1])
        self.block = ConvNormAct(inputs, self.channels)
        initialise(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return a map (N, channels, H / stride, W / stride)."""
        return cast("Tensor", self.block(features[-1]))

    def adapt(self, reductions: Sequence[int]) -> None:
        """Adopt a changed output stride."""
        self.stride = reductions[-1]


def build(backbone: Backbone, classes: int, dropout: float = 0.0, *, auxiliary: bool = True) -> Segmenter:
    """Compose FCN.

    Args:
        backbone: image to pyramid, dilated to output stride 8.
        classes: number of logits.
        dropout: before the last layers.
        auxiliary: add the auxiliary classifier on the level before the last.
    """
    decoder = FCNDecoder(backbone)
    aux = aux_before_last(backbone, classes, dropout) if auxiliary else []
    return Segmenter(backbone, decoder, PixelHead(decoder.channels, classes, dropout), classes, aux)
