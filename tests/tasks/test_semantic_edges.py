"""The task `semantic` with the edges between classes beside: labels to edges, joint loss, and maps of both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tasks.blocks import blocks

from maskwright import losses
from maskwright.core.channels import Channels, class_channels, edge_channel, edges_beside, object_channels
from maskwright.core.classes import IGNORE, Classes
from maskwright.core.plan import DataPlan, EdgesPlan, LossPlan, ModelPlan, Plan
from maskwright.core.targets import Target
from maskwright.models.bundle import Card, CardClasses
from maskwright.tasks import WITH_EDGES, find_task, task_of
from maskwright.tasks.base import Seen
from maskwright.tasks.joint_edges import edges_of

THREE = Classes.named(["road", "car", "sky"])
TASK = WITH_EDGES["semantic"]
GROUPS = (*class_channels(3), edge_channel())
N = IGNORE


def card(channels: tuple[Channels, ...]) -> Card:
    return Card(model=ModelPlan(), classes=CardClasses.of(THREE), data=DataPlan(), channels=channels)


def maps_of(height: int = 6, width: int = 7) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(3, height, width, generator=random)
    return torch.cat([logits.softmax(0), torch.rand(1, height, width, generator=random)])


def test_the_weight_of_the_plan_and_the_channels_of_a_model_choose_the_task() -> None:
    assert task_of(Plan(edges=EdgesPlan(weight=0.5))) is task_of(card(GROUPS)) is TASK
    assert task_of(Plan()) is task_of(card(class_channels(3))) is find_task("semantic")
    assert TASK.channels(THREE) == GROUPS


@pytest.mark.parametrize(
    "groups", [(edge_channel(),), class_channels(3), (*class_channels(1), edge_channel()), object_channels(3), ()]
)
def test_other_channels_are_not_edges_beside_classes(groups: tuple[Channels, ...]) -> None:
    assert edges_beside(GROUPS)
    assert not edges_beside(groups)


def marked(labels: torch.Tensor) -> torch.Tensor:
    return edges_of(labels, labels == IGNORE)


def test_an_edge_is_on_both_sides_and_none_lies_where_labels_are_missing() -> None:
    labels = torch.tensor([[0, 0, 1, 1, 1, N], [0, 0, 1, 1, 1, 2], [0, 0, 0, 1, 1, N], [N, N, N, N, N, N]])
    wanted = [[0, 1, 1, 0, 1, N], [0, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, N], [N, N, N, N, N, N]]
    assert marked(labels.to(torch.uint8)[None])[0].tolist() == wanted


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 6), st.integers(1, 6))
def test_edges_are_pixels_with_a_known_neighbour_of_another_class(data: st.DataObject, height: int, width: int) -> None:
    value = st.sampled_from([0, 1, 7, IGNORE])
    rows = data.draw(st.lists(st.lists(value, min_size=width, max_size=width), min_size=height, max_size=height))
    found = marked(torch.tensor(rows, dtype=torch.uint8)[None])[0].tolist()
    for y, x in np.ndindex(height, width):
        near = np.array(rows)[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
        known = set(near.ravel().tolist()) - {IGNORE}
        assert found[y][x] == (IGNORE if rows[y][x] == IGNORE else int(len(known) > 1))


def test_the_loss_adds_the_balanced_loss_of_the_edges_at_its_weight() -> None:
    plan = Plan(edges=EdgesPlan(weight=0.7), loss=LossPlan(terms={"cross_entropy": 1.0}))
    random = torch.Generator().manual_seed(1)
    logits, edges = torch.randn(2, 3, 5, 6, generator=random), torch.randn(2, 1, 5, 6, generator=random)
    labels = torch.randint(0, 3, (2, 5, 6), generator=random).to(torch.uint8)
    labels[:, 0] = IGNORE
    expected = losses.create("cross_entropy")(logits, labels)
    expected = expected + 0.7 * losses.create("balanced_cross_entropy", "sigmoid")(edges, marked(labels))
    found = TASK.loss(plan, THREE)({"classes": logits, "edges": edges}, {"classes": labels})
    torch.testing.assert_close(found, expected)


def test_only_classes_are_adjusted_and_decided() -> None:
    maps, decoding = maps_of(), {"offsets": [0.0, 2.0, -1.0], "temperature": 1.5}
    plain, found = find_task("semantic").adjust(maps[:3], decoding), TASK.adjust(maps, decoding)
    torch.testing.assert_close(found[:3], plain, rtol=0, atol=0)
    torch.testing.assert_close(found[3], maps[3], rtol=0, atol=0)
    strong = torch.cat([maps[:3], torch.full_like(maps[3:], 0.999)])
    result = TASK.decode(blocks(strong, 4), (6, 7), THREE, {}, confidence=True)
    wanted = find_task("semantic").decode(blocks(maps[:3]), (6, 7), THREE, {}, confidence=True)
    np.testing.assert_array_equal(result.labels, wanted.labels)
    np.testing.assert_array_equal(result.confidence, wanted.confidence)


def test_fit_and_judge_see_the_classes_alone() -> None:
    maps = maps_of(20, 30)
    truth = Target(maps[:3].roll(1, 2).argmax(0).to(torch.uint8).numpy())
    plain, judges = find_task("semantic"), [task.judge(THREE, {}) for task in (TASK, find_task("semantic"))]
    fits = [
        task.fit(iter([Seen("a", blocks(seen, 7), truth)]), 1, THREE, None)
        for task, seen in ((TASK, maps), (plain, maps[:3]))
    ]
    assert fits[0] == fits[1]
    for judge, seen in zip(judges, (maps, maps[:3]), strict=True):
        judge.update("a", blocks(seen, 7), truth)
    assert replace(judges[0].compute(), images=()) == replace(judges[1].compute(), images=())
