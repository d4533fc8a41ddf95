"""How far a network sees across the edge of a tile, measured on an image: from that follow tiles and their overlap.

The receptive field that follows from kernels and strides says nothing of use here: one pooling over the whole tile
makes it endless, and most of it has hardly any weight (Luo et al. 2016, "Understanding the Effective Receptive Field in
Deep Convolutional Neural Networks"). What counts is how deep the decisions near an edge differ from those that the
network makes when it sees what lies beyond: so both are computed, and compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from maskwright.inference.tiled import TileNetwork
from maskwright.ops.tiles import ALIGN

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from maskwright.inference.engine import Engine
    from maskwright.inference.prepared_image import PreparedImage
    from maskwright.models.bundle import Card

AGREEMENT = 0.999
"""Share of the pixels beyond the reach whose likeliest channel is the same with and without the part cut off."""
PLACES = 3
"""Tiles that are looked at, on the diagonal of the image."""


class Reach(NamedTuple):
    """What was measured.

    Attributes:
        pixels: of the working resolution, a multiple of `ops.tiles.ALIGN`; at most a quarter of the tile, or `most`.
        agreement: share of the pixels beyond it that keep their likeliest channel.
    """

    pixels: int
    agreement: float


def measured(source: PreparedImage, engine: Engine, card: Card, most: int | None = None) -> Reach:
    """Measure how far the network of an image sees across an edge.

    A tile is computed whole, and again without its left quarter. The reach is the distance from that cut beyond which
    at least `AGREEMENT` of the pixels agree.

    Args:
        source: the image, at least as large as a tile.
        engine: of the network, which emits maps.
        card: of the network.
        most: largest reach that can be used; None for a quarter of the tile.
    """
    network = TileNetwork(engine, card, source.working)
    cut = card.predict.tile_size[1] // 4 // ALIGN * ALIGN
    agree = np.mean([_agreeing(tile, cut, network) for tile in _tiles(source, card.predict.tile_size)], axis=0)
    beyond = np.cumsum(agree[::-1])[::-1] / np.arange(len(agree), 0, -1)
    for pixels in range(0, min(cut, cut if most is None else most) + 1, ALIGN):
        if beyond[pixels] >= AGREEMENT:
            break
    return Reach(pixels, float(beyond[pixels]))


def _tiles(source: PreparedImage, size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """Read tiles of `size` along the diagonal."""
    spare = tuple(have - want for have, want in zip(source.working, size, strict=True))
    places = [tuple(side * (2 * number + 1) // (2 * PLACES) for side in spare) for number in range(PLACES)]
    return [source.rows(top, top + size[0])[:, left : left + size[1]] for top, left in places]


def _agreeing(tile: NDArray[np.uint8], cut: int, network: TileNetwork) -> NDArray[np.float64]:
    """Return for each column beyond the cut the share of its pixels whose likeliest channel stays the same."""
    whole, part = (network.maps(np.ascontiguousarray(pixels[None]))[0] for pixels in (tile, tile[:, cut:]))
    same = _likeliest(whole[:, :, cut:]) == _likeliest(part)
    return same.double().mean(dim=0).cpu().numpy()


def _likeliest(maps: Tensor) -> Tensor:
    """Return the first of the largest channels, or whether a single one is at least one half."""
    return maps[0] >= 0.5 if len(maps) == 1 else maps.argmax(dim=0)
