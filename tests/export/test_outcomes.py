"""What is compared of networks of objects: the same boxes each time, and queries, as probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from maskwright.core.channels import object_channels
from maskwright.exporting import outcomes, sensitivity
from maskwright.exporting.outcomes import outcome
from maskwright.models.build import create

if TYPE_CHECKING:
    from torch import Tensor

TOY = {"widths": (8, 8, 16, 16), "depths": (1, 1, 1, 1), "width": 16}
GROUPS = object_channels(3)
TILE = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), np.uint8)


class Pixels:
    """What `Graph` is for a network of objects, without its suppression, which no outcome needs."""

    def __init__(self, segmenter: Any) -> None:
        self.segmenter, self.reading = segmenter, segmenter.reading

    def normalised(self, image: Tensor) -> Tensor:
        return image.permute(0, 3, 1, 2).float() / 255

    def __call__(self, image: Tensor) -> Any:
        assert self.reading.stride is not None
        return tuple(self.segmenter.tensors(self.normalised(image)))


@pytest.fixture
def regions() -> Pixels:
    torch.manual_seed(0)
    return Pixels(create("maskrcnn", GROUPS, **TOY, anchor=4.0, most=10).eval())


@pytest.fixture
def queries() -> Pixels:
    torch.manual_seed(0)
    return Pixels(create("mask2former", GROUPS, **TOY, heads=4, layers=(1, 2), queries=5).eval())


def changed(network: Any, place: str) -> None:
    """Exchange the sign of the weights of a layer."""
    network.segmenter.get_submodule(place).weight.data.neg_()


@torch.no_grad()
def test_the_boxes_of_the_first_run_are_classified_and_drawn_again(regions: Pixels) -> None:
    run = outcome(regions, TILE, GROUPS)  # type: ignore[arg-type]
    objectness, shifts, classes, corrections, masks = before = run()
    assert objectness.shape[0] == shifts.shape[0] == 1
    assert len(classes) == len(corrections) == len(masks) == outcomes.BOXES
    assert classes.sum(1).allclose(torch.ones(outcomes.BOXES))
    for other in (objectness, masks):
        assert ((other >= 0) & (other <= 1)).all()
    for first, second in zip(before, run(), strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=0)

    changed(regions, "head.rpn.head.cls_logits")  # other boxes are proposed now
    objectness, *rest = run()
    assert not torch.equal(objectness, before[0])
    for first, second in zip(before[1:], rest, strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=0)
    fresh = outcome(regions, TILE, GROUPS)()  # type: ignore[arg-type]
    assert not torch.equal(fresh[4], before[4])


@torch.no_grad()
@pytest.mark.parametrize(
    ("place", "affected"),
    [
        ("head.rpn.head.bbox_pred", [1]),
        ("head.regions.box_predictor.cls_score", [2]),
        ("head.regions.box_predictor.bbox_pred", [3]),
        ("head.regions.mask_predictor.mask_fcn_logits", [4]),
    ],
)
def test_each_head_is_compared(regions: Pixels, place: str, affected: list[int]) -> None:
    run = outcome(regions, TILE, GROUPS)  # type: ignore[arg-type]
    before = run()
    changed(regions, place)
    after = run()
    assert [at for at in range(5) if not torch.equal(before[at], after[at])] == affected


@torch.no_grad()
def test_queries_are_compared_as_probabilities(queries: Pixels) -> None:
    run = outcome(queries, TILE, GROUPS)  # type: ignore[arg-type]
    classes, masks = run()
    assert classes.shape == (1, 5, 4)
    assert classes.sum(2).allclose(torch.ones(1, 5))
    assert ((masks >= 0) & (masks <= 1)).all()
    changed(queries, "head.classes")
    assert not torch.equal(run()[0], classes)
    assert torch.equal(run()[1], masks)


@pytest.mark.parametrize("name", ["regions", "queries"])
def test_parts_of_networks_of_objects_are_measured(name: str, request: pytest.FixtureRequest) -> None:
    graph = request.getfixturevalue(name)
    found = sensitivity.measured(graph.segmenter, [outcome(graph, TILE, GROUPS)])
    wanted = {"regions": "head.regions.mask_predictor", "queries": "head"}[name]
    assert wanted in {part.module for part in found}
    assert all(np.isfinite(part.error) and part.cost > 0 for part in found)
    assert sum(part.error for part in found) > 0
