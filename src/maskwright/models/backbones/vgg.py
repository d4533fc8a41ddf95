"""VGG: plain stacks of 3x3 convolutions with pooling between them; its fully connected layers as convolutions.

Simonyan & Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image Recognition", table 1, column D
(VGG-16): stages of 2, 2, 3, 3, 3 convolutions with 64, 128, 256, 512, 512 channels, each followed by max pooling. fc6
and fc7 as convolutions of 7x7 and 1x1, both with 4096 channels, are those of Long et al. 2015, section 3.1. At an
output stride below 32 it is the network of Chen et al. 2015, "Semantic Image Segmentation with Deep Convolutional Nets
and Fully Connected CRFs", section 3.1: the last poolings keep the resolution, the layers after them are dilated, and
every pooling is 3x3, as in the authors' published layers. With `unpooled` each level is the map before its pooling, as
edges need it (Xie & Tu 2015, "Holistically-Nested Edge Detection", section 3.1).

Expected: 14.7 million weights in the convolutions, 134.3 million with fc6 and fc7; the weights of torchvision and timm
load into it and give the same outputs.

Where we differ: fc6 is padded, so that every level is aligned with the image; batch normalisation (Ioffe & Szegedy
2015) and a factor on all widths are options, because the network of the paper hardly learns from scratch and is far too
slow on a CPU: `vgg16` is the paper's, `vgg16_narrow` ours.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import Backbone
from maskwright.models.layers.blocks import ConvAct, ConvNormAct, initialise
from maskwright.models.weights import load_exactly, read_network

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FIRST, MOST_TIMES = 64, 8
FULLY = 4096
_PUBLISHED = "features.0.weight"
# fc6 and fc7 are matrices in torchvision's files, convolutions in timm's.
_FULLY_NAMES = (("classifier.0", "classifier.3"), ("pre_logits.fc1", "pre_logits.fc2"))


@dataclass(frozen=True)
class Shape:
    """The variant of VGG; see `build`."""

    width_factor: float
    depths: Sequence[int]
    batch_norm: bool
    fully: bool
    output_stride: int
    unpooled: bool

    @property
    def widths(self) -> list[int]:
        """Channels of each stage."""
        full = [FIRST * min(2**stage, MOST_TIMES) for stage in range(len(self.depths))]
        return [max(round(width * self.width_factor), 1) for width in full]

    @property
    def strides(self) -> list[int]:
        """Stride of each stage."""
        first = 0 if self.unpooled else 1
        return [min(2 ** (stage + first), self.output_stride) for stage in range(len(self.depths))]

    @property
    def fully_widths(self) -> list[int]:
        """Channels of fc7, or none; scaled by the factor squared, or fc6 would have nine tenths of all weights."""
        return [max(round(FULLY * self.width_factor**2), 1)] if self.fully else []

    @property
    def dense(self) -> bool:
        """Whether any pooling keeps the resolution."""
        return self.output_stride < 2 ** len(self.depths) and not self.unpooled


class VGG(Backbone):
    """Stages of convolutions and pooling; one level per stage, and fc7 as an optional last level."""

    def __init__(self, in_channels: int, shape: Shape) -> None:
        fully = shape.fully_widths
        super().__init__(in_channels, shape.widths + fully, shape.strides + shape.strides[-1:] * len(fully))
        self.normalised = shape.batch_norm
        self.settled = shape.dense or shape.unpooled  # poolings cannot be changed back
        self.stages = nn.ModuleList()
        block = ConvNormAct if shape.batch_norm else ConvAct
        inputs, before, dilation = in_channels, 1, 1
        for width, depth, stride in zip(shape.widths, shape.depths, shape.strides, strict=True):
            layers = [block(inputs if place == 0 else width, width, dilation=dilation) for place in range(depth)]
            kernel, step = 3 if shape.dense else 2, stride // before
            parts: dict[str, nn.Module] = {str(place): layer for place, layer in enumerate(layers)}
            pooling: dict[str, nn.Module] = {"pooling": nn.MaxPool2d(kernel, step, kernel // 3)} if stride > 1 else {}
            self.stages.append(nn.Sequential(OrderedDict(pooling | parts if shape.unpooled else parts | pooling)))
            dilation = dilation * 2 // step if shape.dense else 1
            inputs, before = width, stride
        for width in fully:
            # Never normalised, as in torchvision's vgg16_bn.
            self.stages.append(nn.Sequential(ConvAct(inputs, width, 7, dilation=dilation), ConvAct(width, width, 1)))
        initialise(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the pyramid of `x` (N, C, H, W)."""
        return self.run_stages(self.stages, x)


def build(  # noqa: PLR0913 - its keywords are options of users, each with its line below
    in_channels: int,
    weights: Path | None = None,
    *,
    width_factor: float = 1.0,
    depths: Sequence[int] = (2, 2, 3, 3, 3),
    batch_norm: bool = False,
    fully: bool = False,
    output_stride: int = 32,
    unpooled: bool = False,
) -> VGG:
    """Build a VGG network.

    Args:
        in_channels: of the image; published weights for another number are averaged over their channels.
        weights: safetensors file to start from: this backbone's own, torchvision's, or timm's.
        width_factor: factor on all widths, squared for fc6 and fc7; 1 gives the paper's.
        depths: convolutions of each stage.
        batch_norm: normalise after every convolution of the stages.
        fully: add fc6 and fc7, as convolutions, as the last level.
        output_stride: largest stride, 8, 16 or 32; stages beyond it are dilated instead.
        unpooled: return each stage's map before its pooling, from stride 1 on, without the last pooling.

    Raises:
        MaskwrightError: an invalid setting, or weights that do not fit.
    """
    if not 0 < width_factor <= 4:
        raise MaskwrightError(f"vgg: width_factor is {width_factor}, but must be above 0 and at most 4")
    if not 1 <= len(depths) <= 5 or min(depths) < 1:
        raise MaskwrightError(f"vgg: depths {list(depths)} must be one to five numbers, 1 or more each")
    if output_stride not in {8, 16, 32}:
        raise MaskwrightError(f"vgg: output_stride is {output_stride}, but must be 8, 16 or 32")
    if unpooled and (fully or output_stride != 32):
        raise MaskwrightError(
            f"vgg: unpooled is true, which goes with fully=false and output_stride=32, but fully is {fully} and "
            f"output_stride {output_stride}: set unpooled=false, or leave the others out"
        )
    backbone = VGG(in_channels, Shape(width_factor, depths, batch_norm, fully, output_stride, unpooled))
    if weights is not None:
        tensors, backbone.notes = read_network(weights, {*backbone.state_dict(), _PUBLISHED})
        published = _PUBLISHED in tensors
        load_exactly(backbone, _renamed(tensors, backbone) if published else tensors, str(weights))
    return backbone


def _renamed(tensors: Mapping[str, Tensor], backbone: VGG) -> dict[str, Tensor]:
    """Rename the tensors of torchvision's or timm's network to our names, layer by layer in their order."""
    numbers = [re.fullmatch(r"features\.(\d+)\.weight", name) for name in tensors]
    theirs = [f"features.{n}" for n in sorted(int(n[1]) for n in numbers if n and tensors[n[0]].ndim == 4)]
    for pair in _FULLY_NAMES:
        theirs += [name for name in pair if f"{name}.weight" in tensors]
    ours = {name: layer[0] for name, layer in backbone.named_modules() if isinstance(layer, ConvAct | ConvNormAct)}
    found: dict[str, Tensor] = {}
    for (our, layer), their in zip(ours.items(), theirs, strict=False):
        found |= _layer(tensors, our, their)
        weight = found[f"{our}.0.weight"]
        if weight.ndim == 2:  # as many numbers as the convolution, in the same order
            found[f"{our}.0.weight"] = weight.unflatten(1, (-1, *cast("nn.Conv2d", layer).kernel_size))
    first = f"{next(iter(ours))}.0.weight"
    if found[first].shape[1] != backbone.in_channels:
        mean = found[first].sum(dim=1, keepdim=True) / backbone.in_channels
        found[first] = mean.repeat(1, backbone.in_channels, 1, 1)
    return found


def _layer(tensors: Mapping[str, Tensor], our: str, their: str) -> dict[str, Tensor]:
    """Return one convolution with its norm, if it has one, under our names.

    A norm cancels the bias of the convolution before it, so the bias is subtracted from the running mean instead.
    """
    weight, bias = tensors[f"{their}.weight"], tensors[f"{their}.bias"]
    room, _, number = their.rpartition(".")
    norm = f"{room}.{int(number) + 1}" if number.isdecimal() else ""
    if f"{norm}.running_mean" not in tensors:
        return {f"{our}.0.weight": weight, f"{our}.0.bias": bias}
    kept = ("weight", "bias", "running_var", "num_batches_tracked")
    found = {f"{our}.1.{name}": tensors[f"{norm}.{name}"] for name in kept}
    return {**found, f"{our}.0.weight": weight, f"{our}.1.running_mean": tensors[f"{norm}.running_mean"] - bias}
