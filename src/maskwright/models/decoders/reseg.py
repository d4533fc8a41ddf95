"""ReSeg: recurrent layers sweep the features of a convolutional network in four directions; the result is upsampled.

Visin, Ciccone, Romero, Kastner, Cho, Bengio, Matteucci, Courville 2016, "ReSeg: A Recurrent Neural Network-based Model
for Semantic Segmentation":

    features of a convolutional network, VGG-16 up to conv3_3 (stride 4, 256 channels)
    -> ReNet layers (see `models.layers.renet`), each with a patch size and a number of units
    -> transposed convolutions, with kernels as large as their stride, each followed by a ReLU, back to the image
    -> 1x1 convolution to the classes

Every position depends on the whole image after one ReNet layer. The authors' published settings for CamVid (the file
evaluate_camvid_with_cb.py of their repository) are our defaults: conv3_3, two layers of 100 GRUs per direction on
patches of 1x1, two transposed convolutions 2x2 with 50 filters.

Expected: 58.8 mIoU on CamVid, 11 classes at 360x480, on features pretrained on ImageNet.

Where we differ: the default features are those of our compact network, cut at stride 8, to train from scratch; for the
authors' features set `model.backbone=timm:vgg16`, which is then computed no further than needed. Batch normalisation
precedes each ReLU and replaces the bias; without it little is learned in minutes. The cell is an option (GRU in the
paper). The first sweep is vertical, as in the paper's text; the authors' code begins with the horizontal one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from maskwright.core.errors import MaskwrightError
from maskwright.models.heads.pixel import PixelHead
from maskwright.models.layers.blocks import height_width
from maskwright.models.layers.norm import BatchNorm2d
from maskwright.models.layers.renet import ReNet, check_cell
from maskwright.models.segmenter import Decoder, Segmenter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.models.backbones.base import Backbone


@dataclass(frozen=True)
class Settings:
    """The options of a recurrent decoder; see `build` for each."""

    units: Sequence[int]
    patches: Sequence[int]
    cell: str
    filters: Sequence[int]

    def check(self, model: str, coarsest: int) -> None:
        """Refuse options that cannot be built on a map of stride `coarsest`.

        Raises:
            MaskwrightError: an invalid option.
        """
        check_cell(model, self.cell)
        if len(self.units) != len(self.patches) or not self.units or min(*self.units, *self.patches) < 1:
            raise MaskwrightError(
                f"{model}: units {list(self.units)} and patches {list(self.patches)} do not match: give both one "
                "number, 1 or more, for each ReNet layer"
            )
        if min(self.filters, default=1) < 1:
            raise MaskwrightError(f"{model}: filters {list(self.filters)} must be 1 or more each")
        if coarsest % self.stride(coarsest):
            raise MaskwrightError(
                f"{model}: with patches {list(self.patches)} and {len(self.filters)} filters the result has stride "
                f"{self.stride(coarsest)}, coarser than the backbone's {coarsest}: give more filters, one for each "
                "transposed convolution"
            )

    def factors(self, coarsest: int) -> list[int]:
        """Return the upsampling factor of each transposed convolution, on a map of stride `coarsest`."""
        return _primes(coarsest * math.prod(self.patches))[: len(self.filters)]

    def stride(self, coarsest: int) -> int:
        """Return the stride of the result."""
        return coarsest * math.prod(self.patches) // math.prod(self.factors(coarsest))


class RecurrentDecoder(Decoder):
    """ReNet layers on the backbone's last level, then transposed convolutions towards the size of the image.

    Args:
        backbone: its last level is the input.
        settings: already checked.
    """

    def __init__(self, backbone: Backbone, settings: Settings) -> None:
        inputs, stride = backbone.channels[-1], backbone.reductions[-1]
        factors = settings.factors(stride)
        channels = [2 * settings.units[-1], *settings.filters[: len(factors)]]
        super().__init__(channels[-1], settings.stride(stride))
        self.gain = stride // self.stride
        self.sweeps = nn.Sequential()
        for units, patch in zip(settings.units, settings.patches, strict=True):
            self.sweeps.append(ReNet(inputs, units, patch, settings.cell))
            inputs = 2 * units
        self.upsampling = nn.Sequential()
        for factor, before, after in zip(factors, channels, channels[1:], strict=False):
            step = nn.ConvTranspose2d(before, after, factor, factor, bias=False)
            # He et al. 2015, equation 10: with steps that do not overlap, a result sums over `before` weights.
            nn.init.normal_(step.weight, std=math.sqrt(2 / before))
            self.upsampling.extend([step, BatchNorm2d(after), nn.ReLU(inplace=True)])

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return a map (N, channels, H / stride, W / stride), without what the padding of the patches added."""
        height, width = height_width(features[-1])
        x = cast("Tensor", self.upsampling(self.sweeps(features[-1])))
        return x[:, :, : height * self.gain, : width * self.gain]


def _primes(number: int) -> list[int]:
    """Return the prime factors of `number`, descending: large steps belong where the map is small."""
    factors, candidate = [], 2
    while number > 1:
        while number % candidate:
            candidate += 1
        factors.append(candidate)
        number //= candidate
    return factors[::-1]


def compose(model: str, backbone: Backbone, classes: int, dropout: float, settings: Settings) -> Segmenter:
    """Compose a recurrent segmenter; see `build`.

    Args:
        model: its name, for messages.
        backbone: whose last level is swept.
        classes: number of logits.
        dropout: before the last layer.
        settings: of the decoder.

    Raises:
        MaskwrightError: an invalid option.
    """
    settings.check(model, backbone.reductions[-1])
    decoder = RecurrentDecoder(backbone, settings)
    return Segmenter(backbone, decoder, PixelHead(decoder.channels, classes, dropout), classes)


def build(
    backbone: Backbone,
    classes: int,
    dropout: float = 0.0,
    *,
    units: Sequence[int] = (100, 100),
    patches: Sequence[int] = (1, 1),
    cell: str = "gru",
    filters: Sequence[int] = (50, 50),
) -> Segmenter:
    """Compose ReSeg.

    Args:
        backbone: image to pyramid; its last level is swept.
        classes: number of logits.
        dropout: before the last layer.
        units: recurrent units per direction, for each ReNet layer.
        patches: side of the patches, for each ReNet layer.
        cell: vanilla (tanh), lstm or gru.
        filters: channels of each transposed convolution; those beyond the size of the image are left out, and if there
            are too few, the logits keep the remaining stride.

    Raises:
        MaskwrightError: an invalid option.
    """
    return compose("reseg", backbone, classes, dropout, Settings(units, patches, cell, filters))
