"""The task `semantic`: encoding, loss, adjusted probabilities, and the table of tasks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tasks.blocks import blocks

from maskwright import losses
from maskwright.core.channels import class_channels
from maskwright.core.classes import IGNORE, Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import LossPlan, Plan
from maskwright.core.targets import Target
from maskwright.tasks import TASKS, find_task
from maskwright.tasks.semantic import adjusted

TASK = find_task("semantic")
THREE, ONE = Classes.named(["road", "car", "sky"]), Classes.named(["there"])


def test_an_unknown_task_is_named_with_the_known_ones() -> None:
    assert TASKS["semantic"] is TASK
    with pytest.raises(MaskwrightError, match="unknown task 'semantics': did you mean 'semantic'"):
        find_task("semantics")


def test_channels() -> None:
    assert TASK.channels(THREE) == class_channels(3)
    assert TASK.channels(ONE) == class_channels(1)


def test_several_classes_are_compared_as_they_are() -> None:
    target = Target(np.array([[0, 2, IGNORE]], np.uint8))
    assert TASK.encode(target, THREE)["classes"] is target.labels


def test_the_labelled_pixels_of_a_single_class_are_there() -> None:
    encoded = TASK.encode(Target(np.array([[0, IGNORE, 0]], np.uint8)), ONE)
    assert list(encoded) == ["classes"]
    assert (encoded["classes"].tolist(), encoded["classes"].dtype) == ([[1, IGNORE, 1]], np.uint8)


@pytest.mark.parametrize("classes", [THREE, ONE])
def test_the_loss_is_that_of_the_plan_on_the_class_channels(classes: Classes) -> None:
    plan = Plan(loss=LossPlan(terms={"cross_entropy": 1.0, "dice": 0.5}))
    logits = torch.randn(2, len(classes), 4, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.from_numpy(TASK.encode(Target(np.zeros((4, 5), np.uint8)), classes)["classes"]).expand(2, 4, 5)
    expected = losses.weighted_sum(plan.loss, class_channels(len(classes))[0])(logits, labels)
    found = TASK.loss(plan, classes)({"classes": logits, "other": logits}, {"classes": labels})
    torch.testing.assert_close(found, expected)


def test_a_network_that_learns_a_single_class_finds_it() -> None:
    """Encode, loss and decode agree on what the one channel means: going down the loss, the class is there."""
    labels = torch.from_numpy(TASK.encode(Target(np.zeros((2, 2), np.uint8)), ONE)["classes"])[None]
    logits = torch.zeros(1, 1, 2, 2, requires_grad=True)
    TASK.loss(Plan(), ONE)({"classes": logits}, {"classes": labels}).backward()
    found = TASK.decode(blocks((logits - logits.grad)[0].detach().sigmoid()), (2, 2), ONE, {})
    assert found.labels.tolist() == [[0, 0], [0, 0]]


# Adjusted probabilities


def test_offsets_and_temperature_by_hand() -> None:
    maps = torch.tensor([0.5, 0.25, 0.25]).view(3, 1, 1)
    moved = adjusted(maps, [0.0, float(np.log(4)), 0.0], 1.0)
    torch.testing.assert_close(moved.flatten(), torch.tensor([2.0, 4.0, 1.0]) / 7)
    softer = adjusted(maps, None, 0.5)
    torch.testing.assert_close(softer.flatten(), torch.tensor([4.0, 1.0, 1.0]) / 6)
    both = adjusted(maps, [0.0, float(np.log(4)), 0.0], 0.5)
    torch.testing.assert_close(both.flatten(), torch.tensor([4.0, 16.0, 1.0]) / 21)


def test_nothing_fitted_changes_nothing() -> None:
    maps = torch.rand(3, 2, 2).softmax(0)
    assert adjusted(maps, None, 1.0) is maps
    assert TASK.adjust(maps, {}) is maps


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(2, 6), temperature=st.floats(0.3, 8))
def test_it_is_the_softmax_of_moved_and_divided_logits(seed: int, classes: int, temperature: float) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(classes, 3, 4, generator=random, dtype=torch.float64) * 2
    offsets = torch.randn(classes, generator=random, dtype=torch.float64)
    expected = ((logits + offsets[:, None, None]) / temperature).softmax(0)
    found = TASK.adjust(logits.softmax(0), {"offsets": offsets.tolist(), "temperature": temperature})
    torch.testing.assert_close(found, expected)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), temperature=st.floats(0.3, 8))
def test_a_single_channel_is_the_sigmoid_of_a_divided_logit(seed: int, temperature: float) -> None:
    logit = torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3
    torch.testing.assert_close(adjusted(logit.sigmoid(), None, temperature), (logit / temperature).sigmoid())


def test_judging_comes_without_the_temperature() -> None:
    assert TASK.uncalibrated({"temperature": 1.7, "offsets": [0.1, -0.1]}) == {"offsets": [0.1, -0.1]}
    judge = TASK.judge(THREE, {"temperature": 1.7})
    judge.update("a", blocks(torch.eye(3)[:, :, None].float()), Target(np.array([[0], [1], [2]], np.uint8)))
    scores = judge.compute()
    assert scores.calibration.temperature == 1.7
    assert (scores.task, scores.headline) == ("semantic", TASK.headline.key)


def test_a_result_is_summed_up_by_name() -> None:
    truth = TASK.truth(Target(np.array([[0, 1, 1, IGNORE]], np.uint8)))
    assert TASK.describe(truth, THREE) == {"road": 1, "car": 2}
