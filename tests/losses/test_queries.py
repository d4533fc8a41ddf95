"""The loss of queries equals the transformers library's at the same points, and counts nothing that is unknown."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from maskwright.losses import points as points_module
from maskwright.losses import queries as queries_module
from maskwright.losses.points import TruthMap, at, uncertain_points
from maskwright.losses.queries import match_costs, query_loss
from maskwright.losses.region_sampling import Truth, truth_of
from maskwright.models.objects.base import Queries

SIZE = (48, 64)
STRIDE = 4


def random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def truth(*boxes: tuple[int, int, int, int, int], unknown: int = 0) -> Truth:
    """Return boxes (top, bottom, left, right, row) as segments; the last columns are `unknown`."""
    ids, rows = torch.zeros(SIZE, dtype=torch.int64), torch.zeros(SIZE, dtype=torch.int64)
    for number, (top, bottom, left, right, row) in enumerate(boxes, start=1):
        ids[top:bottom, left:right], rows[top:bottom, left:right] = number, row
    blank = torch.zeros(SIZE, dtype=torch.bool)
    blank[:, SIZE[1] - unknown :] = unknown > 0
    return truth_of(ids.masked_fill(blank, 0), rows, blank)


def layer(images: int, seed: int, count: int = 6, classes: int = 3) -> Queries:
    shape = (SIZE[0] // STRIDE, SIZE[1] // STRIDE)
    logits = torch.randn(images, count, classes + 1, generator=random(seed), requires_grad=True)
    masks = 3 * torch.randn(images, count, *shape, generator=random(seed + 1))
    return Queries(logits, masks.requires_grad_(), STRIDE)


TRUTHS = (
    truth((5, 20, 10, 30, 1), (25, 40, 30, 60, 2), (0, 7, 50, 64, 1)),
    truth((10, 47, 3, 20, 2)),
)


def test_the_loss_is_the_librarys_at_the_same_points(monkeypatch: pytest.MonkeyPatch) -> None:
    transformers = pytest.importorskip("transformers", reason="the judge, in the extra `dev`")
    from transformers.models.mask2former.modeling_mask2former import Mask2FormerLoss

    grid = torch.rand(3 * 2000, 2, generator=random(0))

    def fixed(masks: int, count: int, *_rest: Any, **_more: Any) -> Tensor:
        return grid[:count].repeat(masks, 1, 1)

    layers = [layer(2, seed) for seed in (1, 5, 9)]
    count = layers[0].masks[0, 0].numel()
    config = transformers.Mask2FormerConfig(num_labels=3, train_num_points=count)
    theirs = Mask2FormerLoss(config, {})
    stacks = [torch.stack([one.ids == number for number in one.numbers]).float() for one in TRUTHS]
    first, *others = [
        {"masks_queries_logits": one.masks.detach(), "class_queries_logits": one.classes.detach()} for one in layers
    ]
    monkeypatch.setattr(torch, "rand", fixed)
    terms = theirs(*first.values(), stacks, [one.rows for one in TRUTHS], others)
    weights = {"loss_cross_entropy": 2.0, "loss_mask": 5.0, "loss_dice": 5.0}
    expected = sum(weight * value for name, weight in weights.items() for key, value in terms.items() if name in key)
    monkeypatch.undo()
    monkeypatch.setattr(points_module, "evenly", fixed)
    monkeypatch.setattr(queries_module, "evenly", fixed)
    assert len(terms) == 9
    torch.testing.assert_close(query_loss(layers, TRUTHS, seed=0), expected, atol=1e-5, rtol=1e-6)


def test_a_match_costs_least_of_all_permutations() -> None:
    seen = TruthMap(TRUTHS[0], SIZE).shared(torch.rand(1, 500, 2, generator=random(0)))
    one = layer(1, 3)
    costs = match_costs(
        one.classes[0], at(one.masks[0], torch.rand(6, 500, 2, generator=random(1))), TRUTHS[0].rows, seen
    )
    table = costs.detach().numpy()
    least = min(table[list(rows), range(3)].sum() for rows in permutations(range(6), 3))
    rows, columns = queries_module.matched(table)
    assert table[rows, columns].sum() == pytest.approx(least)


def test_the_truth_at_points_is_that_of_a_stack_of_masks() -> None:
    one = TRUTHS[0]
    points = torch.rand(1, 400, 2, generator=random(2))
    points[0, :4] = torch.tensor([[0.0, 0.0], [1.0, 1.0], [1.0, 0.5], [0.0, 0.99]])
    stack = torch.stack([one.ids == number for number in one.numbers]).float()
    seen = TruthMap(one, SIZE).shared(points)
    torch.testing.assert_close(seen.inside, at(stack, points.expand(3, -1, -1)), atol=1e-6, rtol=0)
    torch.testing.assert_close(seen.known, torch.ones(1, 400))
    own = TruthMap(one, SIZE).each(points.expand(2, -1, -1), torch.tensor([2, 0]))
    torch.testing.assert_close(own.inside, seen.inside[[2, 0]])


def test_most_points_are_where_masks_are_least_certain() -> None:
    masks = torch.linspace(-5.0, 5.0, 8).expand(2, 8, 8)
    points = uncertain_points(masks, 400, random(0))
    assert points.shape == (2, 400, 2)
    # Beyond the outer points a mask fades to 0, as in the library, so a few points lie at the edge of the image.
    assert ((points[:, :300, 0] - 0.5).abs() < 0.2).float().mean() > 0.9
    assert (points[:, 300:, 0] - 0.5).abs().max() > 0.4
    assert not torch.equal(points[0], points[1])


@pytest.mark.parametrize("unknown", [16, SIZE[1]])
def test_what_is_unknown_counts_in_no_term(unknown: int) -> None:
    hidden = truth((5, 20, 10, 30, 1), unknown=unknown)
    one = layer(1, 3)
    query_loss([one], [hidden], seed=4).backward()
    columns = (SIZE[1] - unknown) // STRIDE
    assert not one.masks.grad[..., columns + 1 :].any()
    assert one.masks.grad.any() == (unknown < SIZE[1])
    if unknown == SIZE[1]:
        assert not one.classes.grad.any()


def test_a_query_where_nothing_is_known_is_not_taught_to_be_no_object() -> None:
    hidden = truth((5, 20, 10, 30, 1), unknown=16)
    masks = torch.full((1, 3, 12, 16), -9.0)
    masks[0, 0, 1:5, 2:8] = masks[0, 1, :, 12:] = masks[0, 2, :, :8] = 9.0
    one = Queries(torch.zeros(1, 3, 4, requires_grad=True), masks, STRIDE)
    query_loss([one], [hidden], seed=4).backward()
    assert one.classes.grad.abs().sum(dim=2)[0].gt(0).tolist() == [True, False, True]


def test_without_segments_there_are_no_masks_to_compare() -> None:
    one = layer(1, 3)
    loss = query_loss([one], [truth()], seed=0)
    loss.backward()
    wanted = torch.nn.functional.cross_entropy(one.classes[0].detach(), torch.full((6,), 3))
    torch.testing.assert_close(loss.detach(), 2 * wanted)
    assert not one.masks.grad.any()


def test_more_segments_than_queries_are_matched_as_far_as_they_go() -> None:
    one = layer(1, 3, count=2)
    assert torch.isfinite(query_loss([one], TRUTHS[:1], seed=0))


def test_the_points_depend_on_the_seed_and_on_nothing_else() -> None:
    layers = [layer(2, 1), layer(2, 5)]
    whole = query_loss(layers, TRUTHS, seed=3)
    torch.manual_seed(99)
    assert torch.equal(query_loss(layers, TRUTHS, seed=3), whole)
    turned = [Queries(one.classes.flip(0), one.masks.flip(0), STRIDE) for one in layers]
    torch.testing.assert_close(query_loss(turned, TRUTHS[::-1], seed=3), whole)
    assert not torch.equal(query_loss(layers, TRUTHS, seed=4), whole)


def test_masks_that_reach_beyond_the_image_are_compared_inside_of_it() -> None:
    """An image of 45 x 61 is padded to 48 x 64; the masks' last points lie outside of it."""
    inner = truth((5, 20, 10, 30, 1))
    cut = inner._replace(ids=inner.ids[:45, :61], unknown=inner.unknown[:45, :61])
    seen = TruthMap(cut, SIZE).shared(torch.tensor([[[0.5, 0.5], [0.99, 0.5], [0.5, 0.99]]]))
    np.testing.assert_allclose(seen.known[0].numpy(), [1, 0, 0], atol=1e-6)
