"""DeepLabV3: atrous spatial pyramid pooling with image-level features, on a backbone with a multi-grid.

Chen, Papandreou, Schroff, Adam 2017, "Rethinking Atrous Convolution for Semantic Image Segmentation", section 3.3
(figure 5): a 1x1 convolution, 3x3 convolutions of rates 6, 12, 18 at output stride 16 (doubled at 8) and the global
average, 256 channels each, concatenated, then 1x1 convolutions to 256 and to the logits. Section 3.2.1, multi-grid: the
blocks of the last stage use the rate of the stage times (1, 2, 4).

Output stride: trained at 16, predicted at 8 (section 4.3), with the same weights: `predict.output_stride: 8` in the
plan, `maskwright predict --output-stride 8`, `load(run, output_stride=8)`, or `Segmenter.set_output_stride(8)`.

Expected: 77.21 mIoU on PASCAL VOC 2012 val with a ResNet-101 trained and predicted at output stride 16, and 78.51
predicted at 8 (their table 6).

Where we differ: any backbone; if the last stage has fewer blocks than the multi-grid has factors, the remaining factors
are unused, and if it has more, the factors repeat. `refine=true` adds the 3x3 convolution before the logits that
torchvision and segmentation_models.pytorch have, `auxiliary=true` torchvision's auxiliary classifier; with these and
`multi_grid=[]` (theirs has none) our tests load their weights into this network and compare the outputs. An image whose
size is not a multiple of the stride is padded to one by its edge, and the logits are cropped; theirs round up at each
level, or refuse it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from maskwright.core.errors import MaskwrightError
from maskwright.models.heads.pixel import PixelHead, aux_before_last
from maskwright.models.layers.aspp import AtrousPyramid
from maskwright.models.layers.blocks import ConvNormAct, initialise
from maskwright.models.segmenter import Decoder, Segmenter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.models.backbones.base import Backbone


class DeepLabV3Decoder(Decoder):
    """ASPP on the last level.

    Args:
        backbone: its last level is the input.
        width: channels.
        rates: of ASPP at output stride 16.
        refine: add a 3x3 convolution.
    """

    def __init__(self, backbone: Backbone, width: int, rates: Sequence[int], *, refine: bool) -> None:
        stride = backbone.reductions[-1]
        super().__init__(width, stride)
        self.pooling = AtrousPyramid(backbone.channels[-1], width, rates, stride, separable=False)
        self.refine = ConvNormAct(width, width) if refine else nn.Identity()
        initialise(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return a map (N, width, H / stride, W / stride)."""
        return cast("Tensor", self.refine(self.pooling(features[-1])))

    def adapt(self, reductions: Sequence[int]) -> None:
        """Adjust the rates to a changed output stride."""
        self.stride = reductions[-1]
        self.pooling.fit(self.stride)


def build(
    backbone: Backbone,
    classes: int,
    dropout: float = 0.0,
    *,
    width: int = 256,
    rates: Sequence[int] = (6, 12, 18),
    refine: bool = False,
    auxiliary: bool = False,
) -> Segmenter:
    """Compose DeepLabV3.

    Args:
        backbone: image to pyramid, dilated to output stride 16 or 8.
        classes: number of logits.
        dropout: before the last layers.
        width: channels of ASPP.
        rates: dilations of ASPP at output stride 16; adjusted to the backbone's.
        refine: add a 3x3 convolution between ASPP and the logits.
        auxiliary: add an auxiliary classifier on the level before the last.

    Raises:
        MaskwrightError: an invalid option.
    """
    if min(width, *rates, 1) < 1:
        raise MaskwrightError(f"deeplabv3: width {width} and rates {list(rates)} must all be 1 or more")
    decoder = DeepLabV3Decoder(backbone, width, rates, refine=refine)
    aux = aux_before_last(backbone, classes, dropout) if auxiliary else []
    return Segmenter(backbone, decoder, PixelHead(width, classes, dropout), classes, aux)
