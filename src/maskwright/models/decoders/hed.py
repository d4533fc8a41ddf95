"""HED: edges from every stage of a network, each stage trained on its own, and fused.

Xie, Tu 2015, "Holistically-Nested Edge Detection": a 1x1 convolution scores the last map of each stage of VGG-16 before
its pooling; the scores are enlarged to the image bilinearly, and a learned weighted sum of them, which starts as their
mean, is trained along with them (equations 1 to 4; figure 3).

Expected: 0.788 ODS on BSDS500 after a correction by the authors (0.782 in the paper), with pretrained weights:
`--backbone vgg16` with `--set model.pretrained=true` or `--weights FILE`. This has 14.7 million weights.

Where we differ: any backbone; by default VGG-16 has a quarter of its width and batch normalisation, to train from
scratch on a CPU; the image is padded to a multiple of 16 instead of by 35 pixels; the fused scores predict, and not
their mean with those of the sides; the side outputs are weighted by the plan (`loss.auxiliary`; as many as there are
sides in the paper).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from maskwright.models.backbones.base import pyramid_levels
from maskwright.models.heads.pixel import PixelHead
from maskwright.models.heads.sides import FusedHead, side_outputs
from maskwright.models.segmenter import Decoder, Segmenter

if TYPE_CHECKING:
    from maskwright.models.backbones.base import Backbone


class SideScores(Decoder):
    """Logits of the deepest level of each stride.

    Args:
        backbone: its levels are the input.
        classes: number of logits.
        dropout: before each side output.
    """

    def __init__(self, backbone: Backbone, classes: int, dropout: float) -> None:
        levels = pyramid_levels(backbone.reductions)
        super().__init__(classes * len(levels), backbone.reductions[levels[0]])
        self.levels = levels
        self.scores = nn.ModuleList(PixelHead(backbone.channels[level], classes, dropout) for level in levels)

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return the side outputs (N, K, H / s_i, W / s_i), finest first; the same again for their auxiliary heads."""
        sides = [score(features[level]) for level, score in zip(self.levels, self.scores, strict=True)]
        return sides, sides


def build(backbone: Backbone, classes: int, dropout: float = 0.0) -> Segmenter:
    """Compose HED.

    Args:
        backbone: image to pyramid.
        classes: number of logits.
        dropout: before each side output.
    """
    decoder = SideScores(backbone, classes, dropout)
    count = len(decoder.levels)
    return Segmenter(backbone, decoder, FusedHead(count, classes), classes, side_outputs(backbone, count))
