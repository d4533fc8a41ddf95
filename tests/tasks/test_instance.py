"""The task `instance`: what it reads, teaches and refuses, by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from maskwright import losses
from maskwright.core.classes import IGNORE, Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import Plan
from maskwright.core.records import Dataset, ImageRef, Record, Shape, Shapes
from maskwright.tasks import find_task

if TYPE_CHECKING:
    from maskwright.core.targets import Target

TASK = find_task("instance")
CLASSES = Classes.named(["background", "nut", "bolt"])
SIZE = (8, 12)


def box(left: int, top: int, right: int, bottom: int) -> tuple[float, ...]:
    return (left, top, right, top, right, bottom, left, bottom)


def annotated(*shapes: Shape) -> tuple[Dataset, Record]:
    record = Record("a.png", ImageRef(Path("a.png")), Shapes(Path("a.json"), shapes))
    return Dataset(Path(), "coco", "", CLASSES, (record,)), record


def target(*shapes: Shape) -> Target:
    return TASK.target(*annotated(*shapes), SIZE)


def lesson(*shapes: Shape) -> Target:
    return TASK.lesson(*annotated(*shapes), SIZE)


def test_the_groups_of_channels():
    assert [(group.name, group.count, group.activation) for group in TASK.channels(CLASSES)] == [
        ("classes", 3, "softmax"),
        ("depth", 1, "sigmoid"),
        ("border", 1, "sigmoid"),
    ]


@pytest.mark.parametrize("names", [["nut", "bolt"], ["background"]])
def test_without_a_background_there_are_no_objects(names):
    with pytest.raises(MaskwrightError, match="objects need a class besides the background"):
        TASK.channels(Classes.named(names))


def test_where_objects_overlap_the_smaller_is_learnt_and_all_are_judged():
    shapes = Shape(2, (box(5, 2, 8, 5),)), Shape(1, (box(1, 1, 11, 7),))
    judged, found = target(*shapes), lesson(*shapes)
    assert [(entry.index, entry.area) for entry in judged.instances.objects] == [(2, 9), (1, 60)]
    np.testing.assert_array_equal(judged.labels, found.labels)
    assert (judged.values, found.instances) == (None, None)
    assert found.labels[3].tolist() == [0, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 0]
    depth, border, ids = found.values
    assert ids[3].tolist() == [0, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 0]
    np.testing.assert_allclose(depth[3, 5:8], [0.5, 1, 0.5])
    assert depth[3, 4] <= 0.5  # the larger ends where the smaller begins
    assert np.flatnonzero(border[3]).tolist() == [3, 4, 5, 6, 7, 8, 9]


def test_crowds_teach_nothing_where_no_object_is():
    crowd = Shape(IGNORE, (box(1, 1, 9, 7),), crowd=1)
    shapes = crowd, Shape(1, (box(2, 2, 5, 5),))
    found = lesson(*shapes)
    assert [entry.crowd for entry in target(*shapes).instances.objects] == [True, False]
    assert found.labels[3].tolist() == [0, IGNORE, 1, 1, 1, IGNORE, IGNORE, IGNORE, IGNORE, 0, 0, 0]
    assert found.values[0, 3, 3] == 1
    assert np.isnan(found.values[0, 3, 7])


def test_ignored_objects_teach_nothing():
    found = lesson(Shape(1, (box(1, 1, 4, 4),)), Shape(IGNORE, (box(6, 1, 9, 4),)))
    encoded = TASK.encode(found, CLASSES)
    assert {name: values.shape for name, values in encoded.items()} == {
        "classes": SIZE,
        "depth": (1, *SIZE),
        "border": (1, *SIZE),
    }
    assert np.isnan(encoded["depth"][0, 1:4, 6:9]).all()
    assert np.isfinite(encoded["depth"][0, :, :6]).all()


def test_the_loss_is_the_sum_of_three_cross_entropies():
    plan = Plan()
    plan.loss.terms = {"cross_entropy": 1.0}
    classes, depth, border = torch.randn(1, 3, 2, 2), torch.randn(1, 1, 2, 2), torch.randn(1, 1, 2, 2)
    labels = torch.tensor([[[0, 1], [2, IGNORE]]])
    wanted = torch.tensor([[[[0.0, 0.25], [1.0, math.nan]]]])
    meets = torch.tensor([[[[0.0, 1.0], [0.0, math.nan]]]])
    maps = {"classes": classes, "depth": depth, "border": border}
    loss = TASK.loss(plan, CLASSES)(maps, {"classes": labels, "depth": wanted, "border": meets})
    flat = depth.flatten()[:3], wanted.flatten()[:3]
    expected = losses.create("cross_entropy")(classes, labels)
    expected = expected + F.binary_cross_entropy_with_logits(*flat)
    expected = expected + F.binary_cross_entropy_with_logits(border.flatten()[1:3], meets.flatten()[1:3])
    torch.testing.assert_close(loss, expected)


def test_a_batch_of_nothing_costs_nothing():
    maps = {
        name: torch.randn(1, count, 2, 2, requires_grad=True)
        for name, count in (("classes", 3), ("depth", 1), ("border", 1))
    }
    nothing = torch.full((1, 1, 2, 2), math.nan)
    targets = {"classes": torch.full((1, 2, 2), IGNORE), "depth": nothing, "border": nothing}
    loss = TASK.loss(Plan(), CLASSES)(maps, targets)
    loss.backward()
    assert loss.item() == 0
    assert all(not values.grad.any() for values in maps.values())


def test_objects_are_counted_by_class():
    found = target(Shape(1, (box(1, 1, 4, 4),)), Shape(2, (box(6, 1, 9, 4),)), Shape(2, (box(9, 5, 11, 7),)))
    assert TASK.describe(TASK.truth(found), CLASSES) == {"nut": 1, "bolt": 2}


@pytest.mark.parametrize("formulation", ["depth", "centres"])
@pytest.mark.parametrize("task", ["instance", "panoptic"])
def test_a_random_target_has_the_arrays_of_a_lesson(task, formulation):
    served = find_task(task).formulated(formulation)
    drawn = served.random_target(np.random.default_rng(0), (8, 12), CLASSES)
    learnt = served.lesson_of(np.ones((8, 12), np.int32), np.ones((8, 12), np.uint8))
    assert drawn.values.shape == learnt.values.shape
    assert (None if drawn.vectors is None else drawn.vectors.shape) == (
        None if learnt.vectors is None else learnt.vectors.shape
    )
    encoded, real = served.encode(drawn, CLASSES), served.encode(learnt, CLASSES)
    assert {name: (planes.shape, planes.dtype) for name, planes in encoded.items()} == {
        name: (planes.shape, planes.dtype) for name, planes in real.items()
    }


def test_objects_are_pasted_with_their_depth_only():
    labels, ids = np.ones((8, 12), np.uint8), np.ones((8, 12), np.int32)
    for formulation, pastes in (("depth", True), ("centres", False)):
        served = find_task("instance").formulated(formulation)
        lesson = served.lesson_of(ids, labels)
        assert (served.pasted(lesson, lesson, 1) is not None) == pastes
