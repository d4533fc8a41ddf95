"""DeepLab v1 with a large field of view: VGG-16 at stride 8, and one atrous convolution that sees 224 pixels.

Chen, Papandreou, Kokkinos, Murphy, Yuille 2015, "Semantic Image Segmentation with Deep Convolutional Nets and Fully
Connected CRFs", sections 3.1 and 5 (DeepLab-LargeFOV, tables 1 and 2); layers as in the authors' published network.

    VGG-16, pool4 and pool5 at stride 1, conv5 atrous of rate 2;  pool5a: average over 3x3
    fc6: 3x3, rate 12, 1024 channels;  fc7: 1x1, 1024;  fc8: 1x1 to the classes;  all at stride 8

The paper applies a dense CRF to the result (section 4): `--postprocess crf` when predicting.

Expected: 62.25 mIoU on PASCAL VOC 2012 val, 67.64 with the CRF (their table 1), 20.5 million weights (table 2), with
pretrained weights: `--backbone vgg16` with `--set model.pretrained=true` or `--weights FILE`.

Where we differ: fc6 and fc7 are initialised at random, where the authors subsample the weights of VGG-16; by default
VGG-16 has a quarter of its width and batch normalisation, to train from scratch on a CPU (`vgg16` is the paper's); the
image is padded to a multiple of 8, where the authors require 8n + 1 pixels and align corners; dropout is off by
default, and drops whole channels of fc7 only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import nn

from maskwright.core.errors import MaskwrightError
from maskwright.models.heads.pixel import PixelHead
from maskwright.models.layers.aspp import FieldsOfView
from maskwright.models.layers.blocks import initialise
from maskwright.models.segmenter import Decoder, Segmenter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from maskwright.models.backbones.base import Backbone


class FieldsOfViewDecoder(Decoder):
    """fc6 and fc7 on the last level, once for each rate; DeepLab v2 has several.

    Args:
        backbone: its last level is the input; it also says whether to normalise.
        width: channels of fc6 and fc7; 0 for twice those of the last level, which is 1024 on VGG-16.
        rates: dilation of each fc6.
        averaged: apply a 3x3 average first, as the authors' published layers do in v1.
    """

    def __init__(self, backbone: Backbone, width: int, rates: Sequence[int], *, averaged: bool = False) -> None:
        inputs = backbone.channels[-1]
        fields = FieldsOfView(inputs, width or 2 * inputs, rates, normalised=backbone.normalised)
        super().__init__(fields.channels, backbone.reductions[-1])
        self.pool = nn.AvgPool2d(3, 1, 1) if averaged else nn.Identity()
        self.fields = fields
        initialise(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return a map (N, channels, H / stride, W / stride)."""
        return cast("Tensor", self.fields(self.pool(features[-1])))


def build(backbone: Backbone, classes: int, dropout: float = 0.0, *, width: int = 0, rate: int = 12) -> Segmenter:
    """Compose DeepLab-LargeFOV.

    Args:
        backbone: image to pyramid, dilated to output stride 8.
        classes: number of logits.
        dropout: before the last layer.
        width: channels of fc6 and fc7; 0 for twice those of the last level, which is 1024 on VGG-16.
        rate: dilation of fc6.

    Raises:
        MaskwrightError: an invalid option.
    """
    if width < 0 or rate < 1:
        raise MaskwrightError(f"deeplabv1: width {width} must be 0 or more, and rate {rate} 1 or more")
    decoder = FieldsOfViewDecoder(backbone, width, (rate,), averaged=True)
    return Segmenter(backbone, decoder, PixelHead(decoder.channels, classes, dropout), classes)
