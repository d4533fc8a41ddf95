"""Segments of tiles at their places in the image, against the enlargement of the whole tile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from maskwright.core.plan import DataPlan, PredictPlan
from maskwright.inference.object_tiles import object_blocks
from maskwright.inference.prepared_image import PreparedImage
from maskwright.models.objects.base import Segments

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRIDE = 4


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
