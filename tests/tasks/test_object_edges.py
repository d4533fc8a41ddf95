"""The tasks of objects with the edges of the objects beside: what is learnt of them, and that nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tests.tasks.blocks import blocks
from tests.tasks.test_instance_decode import TOUCHING, ideal

from maskwright import losses
from maskwright.core.channels import (
    class_channels,
    edge_channel,
    edges_beside,
    object_channels,
    positions,
)
from maskwright.core.classes import IGNORE, Classes
from maskwright.core.plan import DataPlan, EdgesPlan, ModelPlan, ObjectsPlan, Plan
from maskwright.core.targets import Target
from maskwright.models.bundle import Card, CardClasses
from maskwright.ops.instance_maps import from_map
from maskwright.tasks import WITH_EDGES, find_task, task_of
from maskwright.tasks.base import Seen
from maskwright.tasks.instance_loss import OFFSET_UNIT

if TYPE_CHECKING:
    from maskwright.tasks.base import Task

SIZE = (40, 60)
CLASSES = Classes(("background", "sky", "cell"), ((0, 0, 0),) * 3, frozenset({2}))
N = IGNORE
WAYS = [(task, way) for task in ("instance", "panoptic") for way in ("depth", "centres")]


def pair(task: str, way: str) -> tuple[Task, Task]:
    """The task without and with edges."""
    return find_task(task).formulated(way), WITH_EDGES[task].formulated(way)


def maps_of(task: Task, seed: int = 0) -> torch.Tensor:
    """Random maps (C, 40, 60)."""
    random = torch.Generator().manual_seed(seed)
    count = sum(group.count for group in task.channels(CLASSES))
    maps = torch.rand(count, *SIZE, generator=random)
    maps[: len(CLASSES)] = (3 * maps[: len(CLASSES)]).softmax(0)
    return maps


@pytest.mark.parametrize(("task", "way"), WAYS)
def test_the_plan_and_the_channels_of_a_model_choose_them(task: str, way: str) -> None:
    plain, joint = pair(task, way)
    groups = (*plain.channels(CLASSES), edge_channel())
    assert joint.channels(CLASSES) == groups
    plan = Plan(task=task, edges=EdgesPlan(weight=0.5), objects=ObjectsPlan(formulation=way))
    assert task_of(plan).channels(CLASSES) == groups
    of = CardClasses.of(CLASSES)
    card = Card(model=ModelPlan(), classes=of, data=DataPlan(), task=task, channels=groups, formulation=way)
    assert task_of(card).channels(CLASSES) == groups
    fewer = card.model_copy(update={"channels": groups[:-1]})
    assert task_of(fewer).channels(CLASSES) == groups[:-1]
    assert edges_beside(groups)
    assert not edges_beside(groups[:-1])
    assert not edges_beside((*object_channels(3), edge_channel()))


def test_the_maps_of_some_groups_are_found_by_name() -> None:
    groups = WITH_EDGES["instance"].channels(CLASSES)
    assert positions(groups, ("classes", "edges")) == [0, 1, 2, 5]
    assert positions(groups, ("edges", "classes")) == [0, 1, 2, 5]
    assert positions(class_channels(2), ("depth",)) == []


def test_outlines_surround_every_object_and_each_region_of_another_class() -> None:
    """Two objects of one class that touch, sky with the number of one of them, and unknown pixels."""
    ids = torch.tensor([[1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0.0]])[None]
    labels = torch.tensor([[2] * 6, [2] * 6, [1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0]], dtype=torch.uint8)[None]
    labels[0, 3, 0] = IGNORE
    ids[0, 3, 1] = torch.nan
    wanted = [[0, 0, 1, 1, 0, 0], [1] * 6, [1] * 6, [N, N, 1, 1, 0, 0]]
    edges = torch.linspace(-2, 2, 24).reshape(1, 1, 4, 6)
    marked = torch.tensor(wanted, dtype=torch.uint8)[None]
    expected = losses.create("balanced_cross_entropy", "sigmoid")(edges, marked)
    plain, joint = pair("panoptic", "depth")
    plan = Plan(task="panoptic", edges=EdgesPlan(weight=0.7))
    raw = torch.zeros(1, 3, 4, 6)
    maps = {"classes": raw, "depth": edges * 0, "border": edges * 0}
    targets = {"classes": labels, "depth": (ids > 0)[:, None].float(), "border": edges * 0}
    without = plain.loss(plan, CLASSES)(maps, targets)
    found = joint.loss(plan, CLASSES)({**maps, "edges": edges}, {**targets, "edges": ids})
    torch.testing.assert_close(found, without + 0.7 * expected)


@pytest.mark.parametrize(("task", "way"), WAYS)
def test_what_is_learnt_of_edges_are_the_ids(task: str, way: str) -> None:
    plain, joint = pair(task, way)
    labels = np.where(TOUCHING > 0, 2, 0).astype(np.uint8)
    lessons = [one.lesson_of(TOUCHING, labels) for one in (plain, joint)]
    encoded = [one.encode(lesson, CLASSES) for one, lesson in zip((plain, joint), lessons, strict=True)]
    np.testing.assert_array_equal(encoded[1].pop("edges"), TOUCHING)
    assert encoded[0].keys() == encoded[1].keys() == {group.name for group in plain.channels(CLASSES)}


@pytest.mark.parametrize(("task", "way"), WAYS)
def test_results_fits_and_scores_do_not_see_the_edges(task: str, way: str) -> None:
    plain, joint = pair(task, way)
    maps = maps_of(joint)
    truth = Target(np.where(TOUCHING > 0, 2, 0).astype(np.uint8), None, from_map(TOUCHING, [2] * 4))
    seen = (maps[:-1], maps)
    adjusted = [one.adjust(some.clone(), {}) for one, some in zip((plain, joint), seen, strict=True)]
    torch.testing.assert_close(adjusted[0], adjusted[1][:-1], rtol=0, atol=0)
    torch.testing.assert_close(adjusted[1][-1], maps[-1], rtol=0, atol=0)
    if way == "centres":
        torch.testing.assert_close(adjusted[1][4:6], OFFSET_UNIT * maps[4:6])
    scores, fits = [], []
    for one, some in zip((plain, joint), adjusted, strict=True):
        fits.append(one.fit(iter([Seen("a", blocks(some, 7), truth)]), 1, CLASSES, None))
        judge = one.judge(CLASSES, {"foreground": 0.4})
        judge.update("a", blocks(some, 7), truth)
        scores.append(replace(judge.compute(), objects=None))
    assert fits[0] == fits[1]
    assert fits[0].decoding
    shared = scores[0].mean.keys()
    assert scores[1].mean.keys() - shared == ({"boundary_iou"} if task == "instance" else set())
    assert scores[0].mean == {key: scores[1].mean[key] for key in shared}
    assert scores[0].per_image == scores[1].per_image
    assert scores[0].mean["predicted"].value > 0


def test_a_right_network_finds_the_objects() -> None:
    maps = torch.cat([ideal(TOUCHING), torch.rand(1, *SIZE)])
    two = Classes.named(["background", "cell"])
    found = WITH_EDGES["instance"].decode(blocks(maps, 9), SIZE, two, {})
    wanted = find_task("instance").decode(blocks(maps[:-1]), SIZE, two, {})
    assert len(found) == 4
    for one, other in zip(found.objects, wanted.objects, strict=True):
        np.testing.assert_array_equal(one.mask, other.mask)
