"""The losses of objects equal torchvision's formulas, and boxes are drawn as it draws them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder, Matcher
from torchvision.models.detection.roi_heads import fastrcnn_loss, maskrcnn_loss, project_masks_on_boxes
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.ops import box_iou

from maskwright.losses import regions
from maskwright.losses.region_sampling import (
    CORRECTION,
    FAR,
    NEAR,
    NOTHING,
    SAME,
    UNSURE,
    Sampling,
    drawn,
    encoded,
    masks_in,
    matches,
    shuffled,
    truth_of,
    unlabelled,
)

FACTORS = (10.0, 10.0, 5.0, 5.0)


def random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_boxes(count: int, seed: int, side: float = 60.0) -> Tensor:
    corners = side * torch.rand(count, 2, generator=random(seed))
    return torch.cat([corners, corners + 1 + side / 2 * torch.rand(count, 2, generator=random(seed + 1))], 1)


def test_classes_and_corrections_equal_torchvision() -> None:
    logits, corrections = torch.randn(20, 4, generator=random(0)), torch.randn(20, 16, generator=random(1))
    rows, wanted = torch.arange(20) % 4, torch.randn(20, 4, generator=random(2))
    theirs = fastrcnn_loss(logits, corrections, [rows], [wanted])
    inside = rows > 0
    own = corrections.view(20, 4, 4)[inside, rows[inside]]
    torch.testing.assert_close(regions.classes(logits, rows), theirs[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(regions.coordinates(own, wanted[inside], 20), theirs[1], atol=1e-6, rtol=0)


def test_objectness_and_shifts_equal_torchvision() -> None:
    logits, shifts = torch.randn(30, 1, generator=random(0)), torch.randn(30, 4, generator=random(1))
    labels, wanted = (torch.arange(30) % 3 == 0).float(), torch.randn(30, 4, generator=random(2))
    # Draws all there are: 30 of up to 256, 10 of up to 128 with an object.
    rpn = RegionProposalNetwork(torch.nn.Identity(), torch.nn.Identity(), 0.7, 0.3, 256, 0.5, {}, {}, 0.7)
    theirs = rpn.compute_loss(logits, shifts, [labels], [wanted])
    inside = labels > 0
    torch.testing.assert_close(regions.objectness(logits[:, 0], inside), theirs[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(regions.coordinates(shifts[inside], wanted[inside], 30), theirs[1], atol=1e-6, rtol=0)


def test_masks_and_their_truth_equal_torchvision() -> None:
    ids = torch.zeros(70, 90, dtype=torch.int64)
    ids[:20, :30], ids[15:60, 25:80], ids[50:, 60:] = 4, 2, 9
    truth = truth_of(ids, (ids > 0).long() + (ids == 9).long(), torch.zeros(70, 90, dtype=torch.bool))
    assert truth.numbers.tolist() == [2, 4, 9]
    assert truth.rows.tolist() == [1, 1, 2]
    assert truth.boxes.tolist() == [[25, 15, 80, 60], [0, 0, 30, 20], [60, 50, 90, 70]]
    boxes = torch.cat([random_boxes(12, 3), torch.tensor([[-3.0, -2.0, 40.0, 30.0], [50.0, 40.0, 90.0, 70.0]])])
    found = torch.arange(14) % 3
    stack = torch.stack([ids == number for number in truth.numbers])
    wanted = masks_in(truth, found, boxes, aligned=False)
    torch.testing.assert_close(wanted, project_masks_on_boxes(stack, boxes, found, 28), atol=1e-6, rtol=0)
    logits = torch.randn(14, 3, 28, 28, generator=random(5))
    theirs = maskrcnn_loss(logits, [boxes], [stack], [truth.rows], [found])
    torch.testing.assert_close(regions.masks(logits, truth.rows[found], wanted), theirs, atol=1e-6, rtol=0)


def test_aligned_masks_are_the_pixels_themselves_where_both_are_equally_fine() -> None:
    """28 points of a box of 28 pixels lie on their centres; of one of 14, half way around them."""
    ids = (torch.rand(50, 60, generator=random(0)) > 0.5).long()
    truth = truth_of(ids, ids, torch.zeros(50, 60, dtype=torch.bool))
    boxes = torch.tensor([[7.0, 9.0, 35.0, 37.0], [20.0, 30.0, 34.0, 44.0]])
    whole, half = masks_in(truth, torch.zeros(2, dtype=torch.int64), boxes, aligned=True)
    assert torch.equal(whole, ids[9:37, 7:35].float())
    near, far = ids[30:44, 20:34].float(), ids[30:44, 21:35].float()
    # Half a pixel is two points, so a point is a quarter of a pixel from the nearest centre.
    one, two = 0.75 * near + 0.25 * far, 0.75 * ids[31:45, 20:34].float() + 0.25 * ids[31:45, 21:35].float()
    torch.testing.assert_close(half[1::2, 1::2], 0.75 * one + 0.25 * two, atol=1e-6, rtol=0)


def test_without_an_object_the_losses_are_zero_and_can_be_differentiated() -> None:
    logits = torch.randn(0, 3, 28, 28, requires_grad=True)
    loss = regions.masks(logits, torch.zeros(0, dtype=torch.int64), torch.zeros(0, 28, 28))
    loss = loss + regions.coordinates(torch.zeros(0, 4), torch.zeros(0, 4), 0)
    loss.backward()
    assert loss == 0
    assert logits.grad is not None


@pytest.mark.parametrize("best", [True, False])
def test_matches_equal_torchvision(best: bool) -> None:
    objects, boxes = random_boxes(7, 0), random_boxes(300, 10)
    theirs = Matcher(NEAR, FAR, allow_low_quality_matches=best)(box_iou(objects, boxes))
    assert torch.equal(matches(objects, boxes, NEAR, FAR, best=best), theirs)
    assert (theirs == UNSURE).any()
    assert matches(objects[:0], boxes, NEAR, FAR, best=best).unique().tolist() == [NOTHING]


def test_coordinates_equal_torchvision() -> None:
    objects, boxes = random_boxes(9, 0), random_boxes(9, 10)
    theirs = BoxCoder(FACTORS).encode_single(objects, boxes)
    assert FACTORS == CORRECTION
    torch.testing.assert_close(encoded(objects, boxes, CORRECTION), theirs, atol=1e-6, rtol=1e-6)


def test_a_draw_takes_its_share_from_the_first_boxes() -> None:
    found = torch.tensor([NOTHING, UNSURE, 0, 1, NOTHING, 2, NOTHING, NOTHING, 3, UNSURE])
    order = torch.tensor([9, 8, 7, 1, 0, 2, 3, 4, 6, 5])
    assert [part.tolist() for part in drawn(found, 5, 0.5, order)] == [[8, 2], [7, 0, 4]]
    assert [part.tolist() for part in drawn(found, 100, 0.5, order)] == [[8, 2, 3, 5], [7, 0, 4, 6]]


def test_the_order_of_boxes_is_random_and_depends_on_their_places_alone() -> None:
    boxes = random_boxes(400, 0)
    order = shuffled(boxes, (95, 95), seed=3)
    assert sorted(order.tolist()) == list(range(400))
    mixed = torch.randperm(400, generator=random(1))
    assert torch.equal(boxes[mixed][shuffled(boxes[mixed], (95, 95), seed=3)], boxes[order])
    kept = [place for place in order.tolist() if place != 7]
    without = torch.cat([boxes[:7], boxes[8:]])
    assert torch.equal(without[shuffled(without, (95, 95), seed=3)], boxes[kept])
    first = [shuffled(boxes, (95, 95), seed)[:40] for seed in range(200)]
    counts = torch.cat(first).bincount(minlength=400)
    # 200 draws of a tenth of the boxes: 20 each, with a standard deviation of 4.2.
    assert counts.min() >= 5
    assert counts.max() <= 38
    assert counts.float().std() == pytest.approx(4.2, abs=1.0)


def test_boxes_of_which_nothing_is_known_are_no_background() -> None:
    unknown = torch.zeros(10, 10, dtype=torch.bool)
    unknown[:, :5] = True
    boxes = torch.tensor([[0.0, 0, 4, 4], [5, 5, 9, 9], [3, 0, 7, 4], [2, 0, 7, 4], [-5, -5, 4, 4]])
    found = torch.tensor([NOTHING, NOTHING, NOTHING, NOTHING, 2])
    assert unlabelled(found, boxes, unknown).tolist() == [UNSURE, NOTHING, NOTHING, UNSURE, 2]


def test_truth_leaves_out_objects_of_the_background_and_finds_single_pixels() -> None:
    ids, rows = torch.zeros(4, 5, dtype=torch.int64), torch.zeros(4, 5, dtype=torch.int64)
    ids[1, 2], rows[1, 2] = 7, 3
    ids[3, 0] = 8
    truth = truth_of(ids, rows, torch.zeros(4, 5, dtype=torch.bool))
    assert truth.boxes.tolist() == [[2, 1, 3, 2]]
    assert truth.rows.tolist() == [3]
    empty = truth_of(ids * 0, rows, torch.zeros(4, 5, dtype=torch.bool))
    assert empty.boxes.shape == (0, 4)


def test_choose_adds_the_true_boxes_and_orders_them_first() -> None:
    ids = torch.zeros(40, 40, dtype=torch.int64)
    ids[5:15, 5:15], ids[20:35, 20:30] = 1, 2
    truth = truth_of(ids, (ids > 0).long(), torch.zeros(40, 40, dtype=torch.bool))
    sampling = Sampling([truth], seed=0)
    boxes, inner = sampling.choose(random_boxes(50, 0, 30.0), [random_boxes(20, 5, 10.0)])
    assert torch.equal(boxes[0][: len(inner[0])], inner[0])
    assert (sampling.rows[0] > 0).sum() == len(inner[0]) == len(sampling.corrections[0])
    assert len(sampling.masks(aligned=True)) == len(inner[0])
    for box in truth.boxes:
        assert (inner[0] == box).all(dim=1).any()
    shares = box_iou(inner[0], truth.boxes).max(dim=1).values
    assert (shares >= SAME).all()
