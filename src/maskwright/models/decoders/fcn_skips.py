"""FCN-32s, FCN-16s and FCN-8s: the first fully convolutional networks, which add up the scores of several levels.

Long, Shelhamer, Darrell 2015, "Fully Convolutional Networks for Semantic Segmentation", sections 3.1 to 4.2 (figure 3);
layers as in the authors' published networks (voc-fcn32s, voc-fcn16s, voc-fcn8s).

    s32 = score(fc7)
    s16 = up2(s32) + score(pool4)        FCN-16s and 8s
    s8  = up2(s16) + score(pool3)        FCN-8s
    logits = the last of these, upsampled bilinearly to the image

Scores are 1x1 convolutions; those of pool3 and pool4 start at 0. `up2` is a transposed convolution that starts as
bilinear interpolation and is learned (fixed in the published networks); the last upsampling is fixed. With `staged`,
one training follows the paper from 32s to 16s to 8s, each for an equal share of the steps. Alternatively, start from
the coarser network's bundle with `--from RUN --model fcn16s`.

Expected: 59.4, 62.4 and 62.7 mIoU on a part of PASCAL VOC 2011 val (their table 2; 63.6, 65.0 and 65.5 as retrained by
the authors), with pretrained weights: `--backbone vgg16` with `--set model.pretrained=true` or `--weights FILE`.

Where we differ: fc6 is padded and the image is padded to a multiple of 32, instead of padding the image by 100 pixels
and cropping (away from the edge this is the same network, up to a small shift; a test compares it with the authors'
layers); by default VGG-16 has a quarter of its width and batch normalisation, to train from scratch on a CPU; the loss
is computed at stride 4 unless `finest` is 1; dropout is off by default, and drops whole channels of fc7 only; by
default all skips are trained at once, without the factors on pool3 and pool4 that the authors' network has for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import pyramid_levels
from maskwright.models.heads.skip import SkipHead
from maskwright.models.segmenter import Decoder, Segmenter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from maskwright.models.backbones.base import Backbone


COARSEST = 32


class Levels(Decoder):
    """Pass some levels of the pyramid on to a head that scores each of them.

    Args:
        backbone: its levels are the input.
        levels: indices into its pyramid.
        stride: at which the logits are compared with the labels.
    """

    def __init__(self, backbone: Backbone, levels: Sequence[int], stride: int) -> None:
        super().__init__(backbone.channels[levels[0]], stride)
        self.levels = tuple(levels)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the chosen maps (N, C_i, H / s_i, W / s_i), in the order of `levels`."""
        return [features[level] for level in self.levels]


def build(
    stride: int,
    backbone: Backbone,
    classes: int,
    dropout: float = 0.0,
    *,
    finest: int = 4,
    staged: bool = False,
) -> Segmenter:
    """Compose FCN-32s, 16s or 8s.

    Args:
        stride: 32, 16 or 8: that of the finest level that is scored.
        backbone: image to pyramid, with a level at each stride from `stride` on.
        classes: number of logits.
        dropout: before the score of the last level.
        finest: stride of the logits in the loss: 1 (every pixel, as in the paper), 2, 4 or 8.
        staged: train the skips one after the other, the finest last; not for fcn32s, which has none.

    Raises:
        MaskwrightError: an invalid option, or a level that the backbone lacks.
    """
    name = f"fcn{stride}s"
    if finest not in {1, 2, 4, 8}:
        raise MaskwrightError(f"{name}: finest is {finest}, but must be 1, 2, 4 or 8")
    if staged and stride == COARSEST:
        raise MaskwrightError(f"{name}: staged is true, but fcn32s has no skips: leave it out, or choose fcn8s")
    levels = pyramid_levels(backbone.reductions)[::-1]
    there = {backbone.reductions[level]: level for level in levels}
    last = backbone.reductions[levels[0]]
    wanted = [last]
    while wanted[-1] > stride:
        wanted.append(wanted[-1] // 2)
    missing = [number for number in wanted if number not in there]
    if last < stride or missing:
        raise MaskwrightError(
            f"{name} needs levels from stride 32 to {stride}, each of half the stride of the one before, but this "
            f"backbone has {sorted(there)}: choose a backbone with a whole pyramid, such as vgg16_narrow or resnet18, "
            "and output_stride=32"
        )
    chosen = [there[number] for number in wanted]
    head = SkipHead([backbone.channels[level] for level in chosen], classes, dropout, staged=staged)
    return Segmenter(backbone, Levels(backbone, chosen, finest), head, classes)
