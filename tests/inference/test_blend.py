"""Blocks: tiles of one picture add up to it, at its own size as torch would resize it, each pixel handed out once."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from maskwright.inference import blend as module
from maskwright.inference.blend import Blend, Enlarge
from maskwright.ops.tiles import cover

sides = st.integers(1, 70)


def assemble(values: torch.Tensor, size: tuple[int, int], tile: tuple[int, int], overlap: float) -> torch.Tensor:
    working = (values.shape[1], values.shape[2])
    rows, columns = (cover(side, length, overlap) for side, length in zip(working, tile, strict=True))
    blend, enlarge = Blend(rows, columns), Enlarge(working, size)
    result = torch.full((values.shape[0], *size), torch.nan)
    times = np.zeros(size, int)
    for row, top in enumerate(rows.starts):
        for column, left in enumerate(columns.starts):
            piece = values[:, top : top + rows.tile, left : left + columns.tile].clone()
            for block in enlarge.push(*blend.add(row, column, piece)):
                result[:, block.rows, block.columns] = block.maps
                times[block.rows, block.columns] += 1
    assert np.all(times == 1)
    return result


@given(sides, sides, st.integers(1, 40), st.integers(1, 40), st.floats(0, 0.5))
@settings(deadline=None)
def test_tiles_of_a_picture_give_the_picture(height: int, width: int, tall: int, wide: int, overlap: float) -> None:
    values = torch.rand(2, height, width)
    torch.testing.assert_close(assemble(values, (height, width), (tall, wide), overlap), values, atol=2e-6, rtol=0)


@given(sides, sides, sides, sides, st.integers(1, 40), st.integers(1, 40), st.floats(0, 0.5))
@settings(deadline=None)
def test_resizing_block_by_block_is_resizing_at_once(
    height: int, width: int, high: int, broad: int, tall: int, wide: int, overlap: float
) -> None:
    values = torch.rand(2, height, width)
    judge = F.interpolate(values[None], (high, broad), mode="bilinear", align_corners=False)[0]
    result = assemble(values, (high, broad), (tall, wide), overlap)
    torch.testing.assert_close(result, judge, atol=1e-4, rtol=0)
    at_once = assemble(values, (high, broad), (height, width), 0)
    torch.testing.assert_close(result, at_once, atol=3e-6, rtol=0)


@given(sides, sides, sides, sides, st.lists(sides, max_size=3))
@settings(deadline=None)
def test_columns_on_their_own_are_those_of_the_whole(
    height: int, width: int, high: int, broad: int, cuts: list[int]
) -> None:
    values = torch.rand(2, height, width)
    whole = assemble(values, (high, broad), (height, width), 0)
    edges = sorted({0, width, *(min(place, width) for place in cuts)})
    at = 0
    for wanted in map(range, edges, edges[1:]):
        enlarge = Enlarge((height, width), (high, broad), wanted)
        assert enlarge.covered.start == at
        at = enlarge.covered.stop
        given = values[:, :, enlarge.needed.start : enlarge.needed.stop].clone()
        for block in enlarge.push(0, 0, given):
            torch.testing.assert_close(block.maps, whole[:, block.rows, block.columns], atol=1e-6, rtol=0)
            assert block.columns.start >= enlarge.covered.start
            assert block.columns.stop <= enlarge.covered.stop
    assert at == broad


def test_large_blocks_leave_in_chunks(monkeypatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 100)
    values = torch.rand(3, 20, 20)
    judge = F.interpolate(values[None], (41, 37), mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(assemble(values, (41, 37), (20, 20), 0), judge, atol=1e-5, rtol=0)
    pieces = list(Enlarge((20, 20), (41, 37)).push(0, 0, values))
    assert len(pieces) == 41
    assert all(piece.maps.numel() <= 3 * 37 for piece in pieces)
