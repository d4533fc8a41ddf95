"""DPT: the maps of a vision transformer, fused from the coarsest to the finest. Uses the transformers library's layers.

Ranftl, Bochkovskiy, Koltun 2021, "Vision Transformers for Dense Prediction": each map passes through residual
convolution units and is added to the fused coarser maps, which are then upsampled by 2; the segmentation head is a 3x3
convolution, dropout, a 1x1 convolution and a final upsampling by 2.

Expected: 49.02 mIoU on ADE20K (their abstract), with the hybrid of convolutions and transformer, which cannot be
imported.

Where we differ: the layers are the library's, and the logits are equal. The final upsampling is done by the segmenter,
which must align corners for it: an import sets align_corners=true. Dropout drops whole channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from torch import Tensor, nn

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.transformers_backbone import described
from maskwright.models.heads.pixel import PixelHead
from maskwright.models.layers.blocks import ConvNormAct, initialise
from maskwright.models.layers.norm import convert_batch_norm
from maskwright.models.segmenter import Decoder, Segmenter
from maskwright.models.weights.transformers_config import explain_build_errors

if TYPE_CHECKING:
    from maskwright.models.backbones.base import Backbone


class DptDecoder(Decoder):
    """Fusion of all levels, and the convolution before the classifier.

    Args:
        backbone: all its levels are the input.
        settings: the library's configuration.
    """

    def __init__(self, backbone: Backbone, settings: Any) -> None:
        from transformers.models.dpt.modeling_dpt import DPTFeatureFusionStage

        width, doublings = settings.fusion_hidden_size, 2 ** len(backbone.channels)
        if backbone.reductions[-1] % doublings:
            raise MaskwrightError(
                f"dpt: levels of stride {', '.join(map(str, backbone.reductions))} cannot be upsampled by 2 "
                f"{len(backbone.channels)} times: the last must be a multiple of {doublings}"
            )
        super().__init__(width, backbone.reductions[-1] // doublings)
        self.convs = nn.ModuleList(nn.Conv2d(inputs, width, 3, padding=1, bias=False) for inputs in backbone.channels)
        self.fusion = DPTFeatureFusionStage(settings)
        self.last = ConvNormAct(width, width)
        convert_batch_norm(self)
        initialise(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return a map (N, width, H / stride, W / stride)."""
        maps = [conv(x) for conv, x in zip(self.convs, features, strict=True)]
        return cast("Tensor", self.last(self.fusion(maps)[-1]))


def build(backbone: Backbone, classes: int, dropout: float = 0.0) -> Segmenter:
    """Compose DPT.

    Args:
        backbone: `transformers`, with a description of type dpt.
        classes: number of logits.
        dropout: before the last layer.

    Raises:
        MaskwrightError: another backbone, or strides that do not fit together.
    """
    settings = described(backbone, "dpt")
    with explain_build_errors("dpt", "dpt"):
        decoder = DptDecoder(backbone, settings)
    return Segmenter(backbone, decoder, PixelHead(decoder.channels, classes, dropout), classes)
