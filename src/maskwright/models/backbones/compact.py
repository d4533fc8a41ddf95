"""The compact backbone: a small residual network to train from scratch on a few CPU cores. Knows no task.

Basic residual blocks (He et al. 2016, "Deep Residual Learning for Image Recognition", figure 5 left; section 3.3,
projection shortcuts where the shape changes), narrow and soon at a coarse stride, because on a CPU the fine strides
take nearly all the time. Where we differ: a 3x3 stem without pooling instead of 7x7 with pooling, and the last norm of
a block starts at 0 (Goyal et al. 2017, section 5.1), so that every block starts as the identity. Dilation, if used, is
that of Yu et al. 2017: the first block of a dilated stage keeps the previous dilation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import Backbone, load_backbone
from maskwright.models.layers.blocks import ConvNormAct, initialise

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: ReLU(F(x) + x), He et al. 2016, equations 1 and 2.

    Args:
        inputs, outputs: channels.
        stride: of the first convolution and the shortcut.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = ConvNormAct(inputs, outputs, stride=stride)
        self.conv2 = ConvNormAct(outputs, outputs, act=False)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else ConvNormAct(inputs, outputs, 1, stride=stride, act=False)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map (N, outputs, ceil(H / stride), ceil(W / stride)) for `x` (N, inputs, H, W)."""
        return cast("Tensor", self.act(self.conv2(self.conv1(x)) + self.shortcut(x)))


class Compact(Backbone):
    """Stem and residual stages; see `build` for the settings."""

    def __init__(self, in_channels: int, widths: Sequence[int], depths: Sequence[int], stem: int) -> None:
        strides = [stem * 2**index for index in range(len(widths))]
        outer = [2] if stem == 4 else []
        super().__init__(in_channels, [*widths[: len(outer)], *widths], [*outer, *strides])
        self.stem = ConvNormAct(in_channels, widths[0], stride=2)
        self.stages = nn.ModuleList()
        inputs, before = widths[0], 2
        for width, depth, stride in zip(widths, depths, strides, strict=True):
            blocks = [BasicBlock(inputs, width, stride // before)]
            blocks += [BasicBlock(width, width) for _ in range(depth - 1)]
            self.stages.append(nn.Sequential(*blocks))
            inputs, before = width, stride
        initialise(self)
        for block in self.modules():
            if isinstance(block, BasicBlock):
                nn.init.zeros_(cast("Tensor", block.conv2[1].weight))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the pyramid of `x` (N, C, H, W): the map of the stem, if it is finer, then that of each stage."""
        x = self.stem(x)
        levels = [x, *self.run_stages(self.stages, x)]
        return levels[-len(self.channels) :]


def build(
    in_channels: int,
    weights: Path | None = None,
    *,
    widths: Sequence[int] = (32, 64, 128, 256),
    depths: Sequence[int] = (2, 2, 2, 2),
    stem: int = 4,
    output_stride: int = 32,
    multi_grid: Sequence[int] = (),
) -> Compact:
    """Build the compact backbone.

    Args:
        in_channels: of the image.
        weights: safetensors file with this backbone's weights to start from.
        widths: channels of each stage; their number is the number of stages.
        depths: residual blocks of each stage.
        stem: stride of the first stage: 4, or 2 for structures a few pixels thin (3.9 times the multiply-adds).
        output_stride: largest stride; stages beyond it are dilated instead.
        multi_grid: factors on the dilation of the last stage's blocks, as in DeepLab; see `dilation`.

    Raises:
        MaskwrightError: an invalid setting, or weights that do not fit.
    """
    if len(widths) != len(depths) or not widths or min(*widths, *depths) < 1:
        raise MaskwrightError(
            f"compact: widths {list(widths)} and depths {list(depths)} do not match: give both one number, 1 or more, "
            "for each stage"
        )
    if stem not in {2, 4}:
        raise MaskwrightError(f"compact: stem is {stem}, but must be 2 or 4")
    backbone = Compact(in_channels, widths, depths, stem)
    if output_stride != 32 or multi_grid:
        backbone.set_output_stride(output_stride, multi_grid)
    if weights is not None:
        load_backbone(backbone, weights)
    return backbone
