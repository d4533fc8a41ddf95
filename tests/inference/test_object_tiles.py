"""Blocks of objects cover the image, at its own resolution, and objects lie where the network saw them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from maskwright.core.plan import DataPlan, PredictPlan
from maskwright.inference.object_tiles import object_blocks
from maskwright.inference.prepared_image import PreparedImage
from maskwright.models.objects.base import Found, Segments

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRIDE = 4


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


class Drawn:
    """An engine that finds blobs: smooth random logits, the same ones in every tile."""

    batch = 2
    device = torch.device("cpu")

    def __init__(self) -> None:
        self.logits: list[torch.Tensor] = []

    def objects(self, tiles: NDArray[np.uint8]) -> list[Segments]:
        height, width = (-(-side // 32) * 32 // STRIDE for side in tiles.shape[1:3])
        random = torch.Generator().manual_seed(0)
        coarse = torch.randn(1, 3, 4, 4, generator=random)
        masks = F.interpolate(coarse, (height, width), mode="bicubic")[0]
        self.logits.append(masks)
        one = Segments(torch.tensor([1, 2, 1]), torch.tensor([0.9, 0.8, 0.7]), masks, STRIDE)
        return [one for _ in tiles]

    def forward(self, tiles: NDArray[np.uint8]) -> Any:
        raise AssertionError(tiles.shape)


@pytest.mark.parametrize("size", [(64, 96), (45, 61), (150, 170)])
def test_segments_of_a_tile_are_its_masks_enlarged(size: tuple[int, int]) -> None:
    engine = Drawn()
    image = np.zeros((*size, 3), np.uint8)
    blocks = list(object_blocks(PreparedImage(image, DataPlan()), engine, PredictPlan(tile=(64, 64))))
    assert (len(blocks) > 1) is (max(size) > 64 * 1.25)
    for block in blocks:
        height, width = (STRIDE * side for side in engine.logits[0].shape[1:])
        whole = F.interpolate(engine.logits[0][None], (height, width), mode="bilinear", align_corners=False)[0]
        wanted = whole[:, : block.rows.stop - block.rows.start, : block.columns.stop - block.columns.start] > 0
        assert block.objects is not None
        assert [entry.index for entry in block.objects.objects] == [1, 2, 1]
        for entry, mask in zip(block.objects.objects, wanted.numpy(), strict=True):
            found = np.zeros(size, bool)
            found[entry.rows, entry.columns] = entry.mask
            assert (found[block.rows, block.columns] == mask).all()
            assert found.sum() == mask.sum()


def test_segments_come_at_the_resolution_of_the_image() -> None:
    engine = Drawn()
    image = np.zeros((128, 128, 3), np.uint8)
    source = PreparedImage(image, DataPlan(scale=0.5))
    (block,) = object_blocks(source, engine, PredictPlan(tile=(64, 64)))
    wanted = F.interpolate(engine.logits[0][None], (128, 128), mode="bilinear", align_corners=False)[0] > 0
    assert block.objects is not None
    assert [entry.area for entry in block.objects.objects] == wanted.sum(dim=(1, 2)).tolist()
