"""Plain vision transformers (ViT, DINOv2, DINOv3, ...) from timm, with a pyramid built from their single map of tokens.

Li, Mao, Girshick, He 2022, "Exploring Plain Vision Transformer Backbones for Object Detection", figure 2, the
simple feature pyramid. With T the last map, at the stride S of the patches:

    stride S/4: deconvolution(GELU(LN(deconvolution(T)))),  S/2: deconvolution(T),  S: T,  2S: maximum over 2x2 of T

`spread` takes the four maps from the blocks at a quarter, half, three quarters and the end of the depth instead of all
from the last, similar to Bao et al. 2022 (BEiT) before UPerNet: blocks 4, 6, 8 and 12 of 12.

A decoder needs strides that divide each other. Patches of 14 pixels (DINOv2) have a stride of 14, so the image, not the
map, is resized: to 14/16 of its size, where the patches are 16 pixels of the original apart. Position embeddings are
interpolated to any size anyway, the tokens stay sharp, and a forward pass costs no more. In general S is the smallest
power of two that is at least the patch size.

Where we differ: the 1x1 and 3x3 convolutions after each level are left to the decoders, which begin with their own;
each map is normalised first, because timm returns features from before the last norm. Knows no task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import Backbone
from maskwright.models.backbones.timm_backbone import TimmBackbone, create
from maskwright.models.layers.blocks import resize
from maskwright.models.layers.norm import ChannelNorm

if TYPE_CHECKING:
    from pathlib import Path

LEVELS = 4
FAMILIES = ("vision_transformer", "deit", "eva")
"""Modules of timm that contain plain transformers."""


class PlainTransformer(Backbone):
    """A timm transformer and the pyramid built from it.

    Args:
        trunk: returns one map, or one for each of the four levels, all at the stride of its patches.
        output_stride: coarser levels are left out.
    """

    def __init__(self, trunk: TimmBackbone, output_stride: int) -> None:
        width, patch = trunk.channels[-1], trunk.reductions[-1]
        half, quarter = max(width // 2, 1), max(width // 4, 1)
        stride = 1 << (patch - 1).bit_length()
        if not LEVELS <= stride <= output_stride:
            raise MaskwrightError(
                f"timm's {trunk.name}, with patches of {patch} pixels, cannot run at output stride "
                f"{output_stride}: set output_stride=32, or choose a backbone that can be dilated, such as resnet18"
            )
        strides = [step for step in (stride // 4, stride // 2, stride, stride * 2) if step <= output_stride]
        super().__init__(trunk.in_channels, (quarter, half, width, width)[: len(strides)], strides)
        self.patch, self.stride = patch, stride
        self.settled = len(strides) < LEVELS  # the levels that were left out do not exist
        self.trunk = trunk
        self.norms = nn.ModuleList(ChannelNorm(width) for _ in trunk.reductions[-len(strides) :])
        up = nn.ConvTranspose2d(half, quarter, 2, 2)
        levels = [
            nn.Sequential(nn.ConvTranspose2d(width, half, 2, 2), ChannelNorm(half), nn.GELU(), up),
            nn.ConvTranspose2d(width, half, 2, 2),
            nn.Identity(),
            nn.MaxPool2d(2),
        ]
        self.levels = nn.ModuleList(levels[: len(strides)])

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the pyramid of `x` (N, C, H, W)."""
        grid = x.shape[2] // self.stride, x.shape[3] // self.stride
        tokens = self.trunk(resize(x, (grid[0] * self.patch, grid[1] * self.patch)))
        maps = [norm(level) for norm, level in zip(self.norms, tokens[-len(self.norms) :], strict=True)]
        return [level(maps[min(index, len(maps) - 1)]) for index, level in enumerate(self.levels)]

    def set_gradient_checkpointing(self, enable: bool) -> None:
        """Keep only the input of each block, and recompute the rest in the backward pass."""
        self.trunk.set_gradient_checkpointing(enable)


def build(
    name: str, in_channels: int, weights: Path | None = None, *, output_stride: int = 32, spread: bool = False
) -> PlainTransformer:
    """Build a plain transformer with its pyramid.

    Args:
        name: in timm, with or without a tag (`vit_small_patch14_dinov2`, ...).
        in_channels: of the image; timm adapts weights for another number (summed or repeated).
        weights: safetensors file with timm's names to start the transformer from, with or without a classifier.
        output_stride: largest stride, 16 or 32: decoders that use only the last level see finer detail at 16.
        spread: take the levels from four blocks, evenly spaced in depth, instead of all from the last.

    Raises:
        MaskwrightError: an unknown network, one without features, or weights that do not fit.
    """
    if output_stride not in {8, 16, 32}:
        raise MaskwrightError(f"{name}: output_stride is {output_stride}, but must be 8, 16 or 32")
    indices: list[int] = [-1]
    if spread:
        depth = _depth(name)
        if depth < LEVELS:
            raise MaskwrightError(f"timm's {name} has {depth} blocks, but spread=true needs {LEVELS} or more")
        indices = [depth * (index + 1) // LEVELS - 1 for index in range(LEVELS)]
    trunk = create(name, in_channels, weights, out_indices=indices, dynamic_img_size=True)
    return PlainTransformer(trunk, output_stride)


def _depth(name: str) -> int:
    """Return the number of blocks; the network is built on the meta device."""
    import timm

    with torch.device("meta"):
        return len(timm.create_model(name).blocks)
