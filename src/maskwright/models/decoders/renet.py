"""ReNet: recurrent layers directly on the pixels; the image passes through no convolution.

Visin, Kastner, Cho, Matteucci, Courville, Bengio 2015, "ReNet: A Recurrent Neural Network Based Alternative to
Convolutional Networks": the image is cut into patches, each a vector of pixels, and ReNet layers (see
`models.layers.renet`) replace the convolution and pooling layers. The paper classifies whole images; transposed
convolutions lead back to the size of the image, as in ReSeg (Visin et al. 2016).
    patches of 4x4 pixels -> ReNet -> ReNet -> transposed convolutions -> 1x1 convolution

Expected: no figure for segmentation; as a classifier 12.35 % error on CIFAR-10. It sees texture only through patches
and sweeps, and needs more steps than a convolutional network for the same score.

Where we differ: segmentation instead of classification, so no fully connected layers; small enough for a CPU, with two
layers of 64 units and patches of 4x4 in the first layer only; batch normalisation in the transposed convolutions, as in
our ReSeg.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.models.decoders.reseg import Settings, compose

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.models.backbones.base import Backbone
    from maskwright.models.segmenter import Segmenter


def build(
    backbone: Backbone,
    classes: int,
    dropout: float = 0.0,
    *,
    units: Sequence[int] = (64, 64),
    patches: Sequence[int] = (1, 1),
    cell: str = "gru",
    filters: Sequence[int] = (50, 50),
) -> Segmenter:
    """Compose ReNet for segmentation.

    Args:
        backbone: `patches`, or any other backbone, whose last level is then swept.
        classes: number of logits.
        dropout: before the last layer.
        units: recurrent units per direction, for each ReNet layer.
        patches: side of the patches, for each ReNet layer, in addition to those of the backbone.
        cell: vanilla (tanh), lstm or gru.
        filters: channels of each transposed convolution; those beyond the size of the image are left out, and if there
            are too few, the logits keep the remaining stride.

    Raises:
        MaskwrightError: an invalid option.
    """
    return compose("renet", backbone, classes, dropout, Settings(units, patches, cell, filters))
