"""PSPNet: context from averages over grids of several sizes, on a backbone dilated to stride 8.

Zhao, Shi, Qi, Wang, Jia 2017, "Pyramid Scene Parsing Network", section 3.2 (figure 3): grids of 1, 2, 3 and 6 cells,
each reduced to a quarter of the channels, concatenated with the features; section 4: an auxiliary classifier on the
level before the last, with loss weight 0.4 (section 5.1).

Expected: 41.68 mIoU on ADE20K val with a ResNet-50 and the auxiliary loss (their table 1).

Depth: the pooling follows the last of four stages, dilated to stride 8 (segmentation_models.pytorch cuts the network
off after the second). The authors' deep stem, three 3x3 convolutions instead of one 7x7, is the backbone
`timm:resnet50s` (or `resnet101s`).

Where we differ: corners are aligned when resizing only with `align_corners=true` (the authors' code aligns them);
dropout is off by default (0.1 in the authors' code); the first block of a dilated stage keeps the previous rate, as in
torchvision, unless `multi_grid=[1]` gives it the rate of the stage, as in the authors' code; the default backbone is a
ResNet-18.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from maskwright.core.errors import MaskwrightError
from maskwright.models.heads.pixel import PixelHead, aux_before_last
from maskwright.models.layers.blocks import ConvNormAct, initialise
from maskwright.models.layers.pyramid import PyramidPooling
from maskwright.models.segmenter import Decoder, Segmenter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from maskwright.models.backbones.base import Backbone


class PSPDecoder(Decoder):
    """Pyramid pooling on the last level, then one 3x3 block to a quarter of its channels.

    Args:
        backbone: its last level is the input.
        grids: cells along each side.
        align_corners: see `resize`.
    """

    def __init__(self, backbone: Backbone, grids: Sequence[int], *, align_corners: bool = False) -> None:
        inputs = backbone.channels[-1]
        super().__init__(max(inputs // 4, 1), backbone.reductions[-1])
        each = max(inputs // len(grids), 1)
        self.pooling = PyramidPooling(inputs, each, grids, align_corners=align_corners)
        self.block = ConvNormAct(self.pooling.channels, self.channels)
        initialise(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return a map (N, channels, H / stride, W / stride)."""
        return cast("Tensor", self.block(self.pooling(features[-1])))

    def adapt(self, reductions: Sequence[int]) -> None:
        """Adopt a changed output stride; the grids do not change."""
        self.stride = reductions[-1]


def build(
    backbone: Backbone,
    classes: int,
    dropout: float = 0.0,
    *,
    grids: Sequence[int] = (1, 2, 3, 6),
    auxiliary: bool = True,
    align_corners: bool = False,
) -> Segmenter:
    """Compose PSPNet.

    Args:
        backbone: image to pyramid, dilated to output stride 8.
        classes: number of logits.
        dropout: before the last layers.
        grids: cells of the pyramid pooling.
        auxiliary: add the auxiliary classifier on the level before the last.
        align_corners: align the corner pixels' centres when resizing, the logits included.

    Raises:
        MaskwrightError: no grid, or one without cells.
    """
    if not grids or min(grids) < 1:
        raise MaskwrightError(f"pspnet: grids {list(grids)} must be 1 or more each, and at least one is needed")
    decoder = PSPDecoder(backbone, grids, align_corners=align_corners)
    aux = aux_before_last(backbone, classes, dropout) if auxiliary else []
    return Segmenter(backbone, decoder, PixelHead(decoder.channels, classes, dropout), classes, aux)
