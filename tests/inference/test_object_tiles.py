"""Blocks of objects cover the image, at its own resolution, and objects lie where the network saw them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from maskwright.core.plan import DataPlan, PredictPlan
from maskwright.inference.object_tiles import object_blocks, pasted
from maskwright.inference.prepared_image import PreparedImage
from maskwright.losses.region_sampling import masks_in, truth_of
from maskwright.models.objects.base import Found, Segments
from maskwright.ops.instance_maps import to_map

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRIDE = 4


class Corners:
    """An engine that finds an object in the upper left quarter of each tile."""

    batch = 2

    def objects(self, tiles: NDArray[np.uint8]) -> list[Found]:
        box = torch.tensor([[0.0, 0.0, tiles.shape[2] / 2, tiles.shape[1] / 2]])
        return [Found(box, torch.tensor([1]), torch.tensor([0.5]), torch.ones(1, 28, 28), aligned=True) for _ in tiles]

    def forward(self, tiles: NDArray[np.uint8]) -> torch.Tensor:
        raise NotImplementedError


@pytest.mark.parametrize(("size", "scale"), [((100, 150), 1.0), ((211, 97), 0.37), ((64, 301), 1.7), ((33, 40), 1.0)])
def test_blocks_cover_the_image_and_count_each_pixel_once(size: tuple[int, int], scale: float) -> None:
    source = PreparedImage(np.zeros((*size, 3), np.uint8), DataPlan(scale=scale))
    blocks = list(object_blocks(source, Corners(), PredictPlan(tile=(64, 64), overlap=0.25), shares=False))
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
    blocks = list(object_blocks(source, Corners(), PredictPlan(tile=(64, 64), overlap=0.25), shares=False))
    assert len(blocks) > 4
    for block in blocks:
        assert block.objects is not None
        (entry,) = block.objects.objects
        assert (entry.index, entry.score) == (1, 0.5)
        # 32 points of the tile are 64 pixels of the image.
        assert (entry.top, entry.left) == (block.rows.start, block.columns.start)
        assert entry.mask.shape == (64, 64)
        assert entry.mask.all()


SIDES = (6, 7, 8, 10, 13, 14, 20, 27, 28, 29, 40, 61, 100, 151, 200)


def drawn(height: int, width: int, *, ellipse: bool) -> NDArray[np.bool_]:
    down, across = (2 * (np.arange(side) + 0.5) / side - 1 for side in (height, width))
    return np.square(down)[:, None] + np.square(across) <= 1 if ellipse else np.ones((height, width), bool)


def shown(mask: NDArray[np.bool_], *, aligned: bool) -> float:
    """Return the IoU of a mask with what a network shows that finds exactly what it was trained on."""
    ids = torch.zeros(220, 230, dtype=torch.int64)
    ids[9 : 9 + mask.shape[0], 15 : 15 + mask.shape[1]] = torch.from_numpy(mask)
    truth = truth_of(ids, ids, torch.zeros(ids.shape, dtype=torch.bool))
    wanted = masks_in(truth, torch.tensor([0]), truth.boxes, aligned=aligned)
    found = Found(truth.boxes, torch.tensor([1]), torch.tensor([0.9]), wanted, aligned)

    class Perfect(Corners):
        def objects(self, tiles: NDArray[np.uint8]) -> list[Found]:
            assert tiles.shape[1:3] == ids.shape
            return [found]

    source = PreparedImage(np.zeros((*ids.shape, 3), np.uint8), DataPlan())
    (block,) = object_blocks(source, Perfect(), PredictPlan(tile=(256, 256)), shares=False)
    assert block.objects is not None
    pixels = to_map(block.objects) > 0
    return float((pixels & (ids > 0).numpy()).sum() / (pixels | (ids > 0).numpy()).sum())


@pytest.mark.parametrize("side", SIDES)
def test_a_perfect_network_scores_an_iou_of_1(side: int) -> None:
    """Up to what 28 x 28 points can show of a curve."""
    for other in (side, max(side * 2 // 3, 5), side + 3):
        assert shown(drawn(side, other, ellipse=False), aligned=True) == 1
        least = 1.0 if max(side, other) <= 40 else 0.98
        assert shown(drawn(side, other, ellipse=True), aligned=True) >= least


def test_by_the_convention_of_torchvision_small_objects_lose_pixels() -> None:
    """Why our own networks do not use it."""
    shares = [shown(drawn(side, side, ellipse=True), aligned=False) for side in (6, 20, 200)]
    assert shares == pytest.approx([0.7, 0.93, 0.99], abs=0.03)


def test_a_box_shows_the_pixels_whose_centres_it_holds_and_one_at_least() -> None:
    mask = np.ones((28, 28), np.float32)

    def place(left: float, right: float) -> tuple[int, int]:
        found = pasted(mask, (left, 2.0, right, 4.0), (10, 12))
        assert found is not None
        assert (found[0], found[2].shape[0]) == (2, 2)
        return found[1], found[1] + found[2].shape[1]

    assert place(3.0, 7.0) == (3, 7)
    assert place(3.4, 7.6) == (3, 8)
    assert place(3.6, 7.4) == (4, 7)
    assert place(-5.0, 20.0) == (0, 12)
    assert place(3.6, 3.9) == (4, 5)
    assert place(11.7, 12.0) == (11, 12)
    assert pasted(0 * mask, (3.0, 2.0, 7.0, 4.0), (10, 12)) is None


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
    blocks = list(object_blocks(PreparedImage(image, DataPlan()), engine, PredictPlan(tile=(64, 64)), shares=False))
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
    (block,) = object_blocks(source, engine, PredictPlan(tile=(64, 64)), shares=False)
    wanted = F.interpolate(engine.logits[0][None], (128, 128), mode="bilinear", align_corners=False)[0] > 0
    assert block.objects is not None
    assert [entry.area for entry in block.objects.objects] == wanted.sum(dim=(1, 2)).tolist()


def test_a_segment_gets_the_probability_of_each_pixel_only_where_it_is_asked_for() -> None:
    engine = Drawn()
    source = PreparedImage(np.zeros((64, 64, 3), np.uint8), DataPlan())
    (plain,) = object_blocks(source, engine, PredictPlan(tile=(64, 64)), shares=False)
    (block,) = object_blocks(source, engine, PredictPlan(tile=(64, 64)), shares=True)
    wanted = F.interpolate(engine.logits[0][None], (64, 64), mode="bilinear", align_corners=False)[0].sigmoid().numpy()
    assert plain.objects is not None
    assert block.objects is not None
    for one, two, probabilities in zip(plain.objects.objects, block.objects.objects, wanted, strict=True):
        assert one.shares is None
        assert two.shares is not None
        assert (one.mask == two.mask).all()
        np.testing.assert_allclose(two.shares, probabilities[two.rows, two.columns], atol=1e-3)
