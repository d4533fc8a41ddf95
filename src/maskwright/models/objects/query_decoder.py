"""The two decoders of Mask2Former: pixels by deformable attention, then queries by masked attention.

Cheng et al. 2022, "Masked-attention Mask Transformer", sections 3.1 and 3.2. Knows no class and no truth.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from maskwright.models.backbones.base import pyramid_levels
from maskwright.models.layers.blocks import height_width, initialise, resize
from maskwright.models.layers.deformable import DeformableAttention, position_codes
from maskwright.models.segmenter import Decoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.models.backbones.base import Backbone

FINEST = 4
ATTENDED = 3
"""Levels, the coarsest ones, that attention looks at."""
GROUPS = 32
"""Most groups of a group normalisation."""
HALF_WAVES = (1, 2, 4, 8)
"""How many halves of a wave fit into the height and the width of a map."""
PIXEL_HIDDEN, QUERY_HIDDEN = 4, 8
"""Hidden units of the layers behind attention to pixels and to queries, as multiples of the width."""


class PixelLayer(nn.Module):
    """Deformable attention and two linear layers, each added to its input and normalised."""

    def __init__(self, width: int, heads: int, levels: int) -> None:
        super().__init__()
        self.attention = DeformableAttention(width, heads, levels)
        self.norm1 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, PIXEL_HIDDEN * width)
        self.reduce = nn.Linear(PIXEL_HIDDEN * width, width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, x: Tensor, codes: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
        """Return the points (N, T, width); see `DeformableAttention`."""
        x = self.norm1(x + self.attention(x, codes, sizes))
        return cast("Tensor", self.norm2(x + self.reduce(self.expand(x).relu())))


class PixelDecoder(nn.Module):
    """The levels of the backbone to three refined levels, and one map at the finest stride to draw masks in.

    Args:
        backbone: its levels from stride 4 on are the input.
        width: channels.
        heads, layers: of the attention.
        positions: add a learnt function of the place to the map of masks, so that queries can tell places apart.
    """

    def __init__(self, backbone: Backbone, width: int, heads: int, layers: int, *, positions: bool) -> None:
        super().__init__()
        levels = pyramid_levels(backbone.reductions, FINEST)
        self.fine, self.attended = levels[:-ATTENDED], levels[-ATTENDED:][::-1]
        self.width = width
        self.stride = backbone.reductions[levels[0]]
        channels = backbone.channels
        self.projections = nn.ModuleList(_projected(channels[level], width, bias=True) for level in self.attended)
        self.laterals = nn.ModuleList(_projected(channels[level], width, bias=False) for level in self.fine)
        self.blends = nn.ModuleList(_blend(width) for _ in self.fine)
        self.masks = nn.Conv2d(width, width, 1)
        self.positions = nn.Conv2d(4 * len(HALF_WAVES), width, 1, bias=False) if positions else None
        initialise(self)
        self.levels = nn.Parameter(torch.randn(1, len(self.attended), width))
        self.layers = nn.ModuleList(PixelLayer(width, heads, len(self.attended)) for _ in range(layers))

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Return the attended levels (N, width, h, w), coarsest first, and the map (N, width, H, W) of masks."""
        maps = [layer(features[level]) for layer, level in zip(self.projections, self.attended, strict=True)]
        sizes = [height_width(one) for one in maps]
        codes = torch.cat(
            [
                position_codes(size, self.width, maps[0].device) + level
                for size, level in zip(sizes, self.levels[0], strict=True)
            ]
        )
        x = torch.cat([one.flatten(2).transpose(1, 2) for one in maps], dim=1)
        for layer in self.layers:
            x = layer(x, codes, sizes)
        parts = x.split([height * width for height, width in sizes], dim=1)
        found = [part.transpose(1, 2).unflatten(2, size) for part, size in zip(parts, sizes, strict=True)]
        finest = found[-1]
        for lateral, blend, level in list(zip(self.laterals, self.blends, self.fine, strict=True))[::-1]:
            skip = lateral(features[level])
            finest = blend(skip + resize(finest, height_width(skip)))
        drawn = self.masks(finest)
        if self.positions is not None:
            drawn = drawn + self.positions(waves(height_width(drawn), drawn.device))
        return found, drawn


def waves(size: tuple[int, int], device: torch.device) -> Tensor:
    """Return sines and cosines (1, 4 x number of `HALF_WAVES`, height, width) of the places of points of a map.

    A product with them can be large around any one place: Tancik et al. 2020, "Fourier Features Let Networks Learn High
    Frequency Functions in Low Dimensional Domains", section 5.

    Args:
        size: (height, width) of the map.
        device: of the result.
    """
    down, across = ((torch.arange(length, device=device) + 0.5) / length for length in size)
    angles = torch.stack([down[:, None].expand(size), across[None].expand(size)])
    angles = torch.cat([math.pi * count * angles for count in HALF_WAVES])
    return torch.cat([angles.sin(), angles.cos()])[None]


class QueryLayer(nn.Module):
    """Queries look at pixels inside their masks, then at one another; then come two linear layers."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.cross = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm1 = nn.LayerNorm(width)
        self.own = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm2 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, QUERY_HIDDEN * width)
        self.reduce = nn.Linear(QUERY_HIDDEN * width, width)
        self.norm3 = nn.LayerNorm(width)
        for weight in self.parameters():
            if weight.ndim > 1:
                nn.init.xavier_uniform_(weight)

    def forward(self, x: Tensor, places: Tensor, pixels: Tensor, codes: Tensor, outside: Tensor) -> Tensor:
        """Return the queries (N, Q, width).

        Args:
            x: the queries.
            places: (1, Q, width), learnt codes of the queries.
            pixels: (N, T, width) of one level.
            codes: (T, width) of their positions.
            outside: (N, Q, T) bool, pixels that a query does not look at.
        """
        masked = outside.repeat_interleave(self.cross.num_heads, dim=0)
        seen, _ = self.cross(x + places, pixels + codes, pixels, attn_mask=masked, need_weights=False)
        x = self.norm1(x + seen)
        asking = x + places
        x = self.norm2(x + self.own(asking, asking, x, need_weights=False)[0])
        return cast("Tensor", self.norm3(x + self.reduce(self.expand(x).relu())))


class QueryDecoder(Decoder):
    """Backbone's pyramid to queries and the logits of their masks, after each layer.

    Args:
        backbone: see `PixelDecoder`.
        width, heads: of all attention.
        layers: numbers of layers of pixels and of queries; these look at one level after another, the coarsest first.
        queries: Q, the largest number of segments in an image.
        positions: see `PixelDecoder`.
    """

    def __init__(
        self,
        backbone: Backbone,
        width: int,
        *,
        heads: int,
        layers: tuple[int, int],
        queries: int,
        positions: bool = False,
    ) -> None:
        super().__init__(width, 1)
        self.pixels = PixelDecoder(backbone, width, heads, layers[0], positions=positions)
        self.queries = nn.Parameter(torch.randn(1, queries, width))
        self.places = nn.Parameter(torch.randn(1, queries, width))
        self.levels = nn.Parameter(torch.randn(1, len(self.pixels.attended), width))
        self.layers = nn.ModuleList(QueryLayer(width, heads) for _ in range(layers[1]))
        self.norm = nn.LayerNorm(width)
        hidden = (nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.draw = nn.Sequential(*hidden, nn.Linear(width, width))

    def forward(self, features: list[Tensor]) -> list[tuple[Tensor, Tensor]]:  # type: ignore[override]  # for its head
        """Return the queries (N, Q, width) and the logits (N, Q, H, W) of their masks: at first, and after each layer.

        Args:
            features: of the backbone.
        """
        maps, finest = self.pixels(features)
        width = self.channels
        codes = [position_codes(height_width(one), width, finest.device) for one in maps]
        pixels = [one.flatten(2).transpose(1, 2) + code for one, code in zip(maps, self.levels[0], strict=True)]
        x = self.queries.repeat(finest.shape[0], 1, 1)
        found = [self._drawn(x, finest)]
        for number, layer in enumerate(self.layers):
            level = number % len(maps)
            outside = _outside(found[-1][1], height_width(maps[level]))
            x = layer(x, self.places, pixels[level], codes[level], outside)
            found.append(self._drawn(x, finest))
        return found

    def _drawn(self, x: Tensor, finest: Tensor) -> tuple[Tensor, Tensor]:
        x = self.norm(x)
        return x, torch.einsum("nqc,nchw->nqhw", self.draw(x), finest)


@torch.no_grad()
def _outside(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Return which points of a level lie outside the masks: (N, Q, T) bool; none, if all would."""
    outside = resize(masks, size).flatten(2) < 0
    return outside & ~outside.all(dim=2, keepdim=True)


def _projected(inputs: int, width: int, *, bias: bool) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, width, 1, bias=bias), _norm(width))


def _blend(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), _norm(width), nn.ReLU())


def _norm(width: int) -> nn.GroupNorm:
    """Return a group normalisation of at least two channels a group, or the mean of a single pixel would be itself."""
    return nn.GroupNorm(math.gcd(GROUPS, width // 2), width)
