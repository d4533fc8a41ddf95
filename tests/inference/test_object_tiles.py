"""Blocks of objects cover the image, at its own resolution, and objects lie where the network saw them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from maskwright.core.plan import DataPlan, PredictPlan
from maskwright.inference.object_tiles import object_blocks
from maskwright.inference.prepared_image import PreparedImage
from maskwright.models.objects.base import Found

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Corners:
    """An engine that finds an object in the upper left quarter of each tile."""

    batch = 2

    def objects(self, tiles: NDArray[np.uint8]) -> list[Found]:
        box = torch.tensor([[0.0, 0.0, tiles.shape[2] / 2, tiles.shape[1] / 2]])
        return [Found(box, torch.tensor([1]), torch.tensor([0.5]), torch.ones(1, 28, 28)) for _ in tiles]

    def forward(self, tiles: NDArray[np.uint8]) -> torch.Tensor:
        raise NotImplementedError


@pytest.mark.parametrize(("size", "scale"), [((100, 150), 1.0), ((211, 97), 0.37), ((64, 301), 1.7), ((33, 40), 1.0)])
def test_blocks_cover_the_image_and_count_each_pixel_once(size: tuple[int, int], scale: float) -> None:
    source = PreparedImage(np.zeros((*size, 3), np.uint8), DataPlan(scale=scale))
    blocks = list(object_blocks(source, Corners(), PredictPlan(tile=(64, 64), overlap=0.25)))
    seen = np.zeros(size, int)
    for block in blocks:
        assert 0 <= block.rows.start < block.rows.stop <= size[0]
        assert 0 <= block.columns.start < block.columns.stop <= size[1]
        seen[block.rows, block.columns] += 1
    assert seen.min() == 1
    assert (seen.max() > 1) == (len(blocks) > 1)
    assert sum(block.maps.shape[1] * block.maps.shape[2] for block in blocks) == size[0] * size[1]


def test_objects_are_placed_at_the_resolution_of_the_image() -> None:
    source = PreparedImage(np.zeros((200, 320, 3), np.uint8), DataPlan(scale=0.5))
    blocks = list(object_blocks(source, Corners(), PredictPlan(tile=(64, 64), overlap=0.25)))
    assert len(blocks) > 4
    for block in blocks:
        assert block.objects is not None
        (entry,) = block.objects.objects
        assert (entry.index, entry.score) == (1, 0.5)
        # 32 points of the tile are 64 pixels of the image, and the outline ends within one pixel of the box's edge.
        assert abs(entry.top - block.rows.start) <= 1
        assert abs(entry.left - block.columns.start) <= 1
        assert all(abs(side - 65) <= 1 for side in entry.mask.shape)
        assert entry.mask[1:-1, 1:-1].all()
