"""The Mix Transformer (MiT), SegFormer's backbone: a pyramid of transformers without position embeddings.

Xie, Wang, Yu, Anandkumar, Alvarez, Luo 2021, "SegFormer: Simple and Efficient Design for Semantic Segmentation with
Transformers", section 3.1 (figure 2, table 6):

- overlapped patch merging: a convolution of kernel 7 and stride 4, later 3 and 2, then layer normalisation;
- efficient self-attention: Attention(Q, K, V) = softmax(Q K^T / sqrt(d)) V (equation 1), with K and V from a sequence
  shortened R^2 times by a convolution of kernel and stride R (equation 2);
- Mix-FFN: x = MLP(GELU(Conv3x3(MLP(x)))) + x (equation 3), with a depthwise convolution, whose zero padding carries the
  position.

Where we differ: keys and values are shortened by the strided convolution of the authors' code, where the paper writes a
reshape and a linear layer; the expansion is 4 in each stage, as in the code, where table 6 gives 8, 8, 4, 4 up to B4
(set `expansions` for that); no stochastic depth by default (0.1 in the code), because minutes of training from scratch
do not overfit. Knows no task.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import Backbone, load_backbone

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STEM = 4
EPS = 1e-6


class PatchEmbedding(nn.Module):
    """Overlapping patches to tokens: map (N, C, H, W) to (N, H / stride, W / stride, outputs)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
        self.norm = nn.LayerNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens (N, H / stride, W / stride, outputs) for `x` (N, inputs, H, W)."""
        return cast("Tensor", self.norm(self.project(x).permute(0, 2, 3, 1)))


class Attention(nn.Module):
    """Self-attention over all tokens of a map, keys and values from a map `ratio` times smaller along each side."""

    def __init__(self, width: int, heads: int, ratio: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.shorten = nn.Conv2d(width, width, ratio, ratio) if ratio > 1 else nn.Identity()
        self.norm = nn.LayerNorm(width) if ratio > 1 else nn.Identity()
        self.key_value = nn.Linear(width, 2 * width)
        self.project = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, H, W, C) for `x` (N, H, W, C)."""
        short = self.norm(self.shorten(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
        key, value = self.key_value(short).chunk(2, dim=-1)
        mixed = F.scaled_dot_product_attention(self._split(self.query(x)), self._split(key), self._split(value))
        return cast("Tensor", self.project(mixed.transpose(1, 2).reshape(x.shape)))

    def _split(self, x: Tensor) -> Tensor:
        """Return (N, heads, H W, C / heads) for `x` (N, H, W, C)."""
        return x.flatten(1, 2).unflatten(-1, (self.heads, -1)).transpose(1, 2)


class MixFFN(nn.Module):
    """Two layers for each token, and a depthwise 3x3 convolution over the map between them."""

    def __init__(self, width: int, expansion: int) -> None:
        super().__init__()
        inner = width * expansion
        self.expand = nn.Linear(width, inner)
        self.mix = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.reduce = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, H, W, C) for `x` (N, H, W, C)."""
        mixed = self.mix(self.expand(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return cast("Tensor", self.reduce(F.gelu(mixed)))


class Block(nn.Module):
    """x + Attention(LN(x)), then x + MixFFN(LN(x)).

    Args:
        width: channels.
        heads: of the attention.
        ratio: R.
        expansion: of the Mix-FFN.
        drop_path: probability that a sample skips either branch in training (Huang et al. 2016).
    """

    def __init__(self, width: int, heads: int, ratio: int, expansion: int, drop_path: float) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.norm1, self.norm2 = nn.LayerNorm(width, EPS), nn.LayerNorm(width, EPS)
        self.attention = Attention(width, heads, ratio)
        self.ffn = MixFFN(width, expansion)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, H, W, C) for `x` (N, H, W, C)."""
        x = x + self._kept(self.attention(self.norm1(x)))
        return x + self._kept(self.ffn(self.norm2(x)))

    def _kept(self, branch: Tensor) -> Tensor:
        """Zero the branch (N, H, W, C) for some samples, and scale it up for the others to compensate."""
        if not self.training or self.drop_path == 0:
            return branch
        keep = 1 - self.drop_path
        mask = torch.rand(branch.shape[0], 1, 1, 1, device=branch.device) < keep
        return branch * (mask / keep).to(branch.dtype)


class Stage(nn.Module):
    """Patch embedding, blocks, normalisation: one level of the pyramid."""

    def __init__(self, embedding: PatchEmbedding, blocks: Sequence[Block], width: int) -> None:
        super().__init__()
        self.embedding = embedding
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(width, EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map (N, width, H', W') for the previous one (N, C, H, W)."""
        return cast("Tensor", self.norm(self.blocks(self.embedding(x)))).permute(0, 3, 1, 2)


class MixTransformer(Backbone):
    """The stages in sequence; the setting of each is (width, depth, heads, expansion).

    R halves from stage to stage and is 1 in the last (table 6): all keys and values have the last stage's stride.
    """

    settled = True  # at a finer stride the convolutions by R would not fit small maps, and would see other keys

    def __init__(self, in_channels: int, settings: Sequence[tuple[int, int, int, int]], drop_path: float) -> None:
        widths = [width for width, *_ in settings]
        super().__init__(in_channels, widths, [STEM * 2**index for index in range(len(widths))])
        total = sum(depth for _, depth, *_ in settings)
        drops = iter([drop_path * index / max(total - 1, 1) for index in range(total)])
        self.stages = nn.ModuleList()
        inputs, kernel, stride = in_channels, 7, STEM
        for index, (width, depth, heads, expansion) in enumerate(settings):
            ratio = 2 ** (len(settings) - 1 - index)
            blocks = [Block(width, heads, ratio, expansion, next(drops)) for _ in range(depth)]
            self.stages.append(Stage(PatchEmbedding(inputs, width, kernel, stride), blocks, width))
            inputs, kernel, stride = width, 3, 2
        _initialise(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the pyramid of `x` (N, C, H, W)."""
        return self.run_stages(self.stages, x)


def _initialise(module: nn.Module) -> None:
    """Draw linear weights with a standard deviation of 0.02, convolutions as He et al. 2015 (fan out of one group)."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=0.02)
        elif isinstance(layer, nn.Conv2d):
            fan_out = layer.kernel_size[0] * layer.kernel_size[1] * layer.out_channels // layer.groups
            nn.init.normal_(layer.weight, std=math.sqrt(2 / fan_out))
        if isinstance(layer, nn.Linear | nn.Conv2d) and layer.bias is not None:
            nn.init.zeros_(layer.bias)


def build(
    in_channels: int,
    weights: Path | None = None,
    *,
    widths: Sequence[int] = (32, 64, 160, 256),
    depths: Sequence[int] = (2, 2, 2, 2),
    heads: Sequence[int] = (1, 2, 5, 8),
    expansions: Sequence[int] = (4, 4, 4, 4),
    drop_path: float = 0.0,
) -> MixTransformer:
    """Build a Mix Transformer; the defaults are MiT-B0's.

    Args:
        in_channels: of the image.
        weights: safetensors file with this backbone's weights to start from.
        widths: channels of each stage; their number is the number of stages.
        depths: blocks of each stage.
        heads: number of attention heads of each stage; a stage's width is a multiple of its heads.
        expansions: expansion factor of each stage's Mix-FFN.
        drop_path: probability of skipping a branch in the last block; it rises linearly from 0 in the first.

    Raises:
        MaskwrightError: an invalid setting, or weights that do not fit.
    """
    lists = {"widths": widths, "depths": depths, "heads": heads, "expansions": expansions}
    said = ", ".join(f"{name} {list(values)}" for name, values in lists.items())
    if len({len(values) for values in lists.values()}) != 1 or not widths or min(map(min, lists.values())) < 1:
        raise MaskwrightError(f"mit: {said} do not match: give each one number, 1 or more, for each stage")
    if any(width % count for width, count in zip(widths, heads, strict=True)):
        raise MaskwrightError(f"mit: {said}: each width must be a multiple of its heads")
    if not 0 <= drop_path < 1:
        raise MaskwrightError(f"mit: drop_path is {drop_path}, but must be at least 0 and below 1")
    backbone = MixTransformer(in_channels, list(zip(*lists.values(), strict=True)), drop_path)
    if weights is not None:
        load_backbone(backbone, weights)
    return backbone
