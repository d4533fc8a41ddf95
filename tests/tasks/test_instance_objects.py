"""Networks that emit objects: what they learn of an annotation at any scale, and which objects which score counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.metrics.object_references import coco, coco_levels
from tests.metrics.objects import box, image, scene

from maskwright.core.classes import IGNORE, Classes
from maskwright.core.plan import Plan
from maskwright.core.targets import Target
from maskwright.data.targets import shrunk
from maskwright.metrics.object_judge import ObjectJudge
from maskwright.metrics.object_metrics import FROM_SUMS
from maskwright.tasks.block import Block
from maskwright.tasks.instance_objects import InstanceObjects

TASK = InstanceObjects()
CLASSES = Classes.named(("nut", "background", "bolt"))
"""The network's rows are background, nut, bolt."""
SCENES = Classes.named(("background", "cell", "grain"))


def encoded(ids: np.ndarray, labels: np.ndarray, size: tuple[int, int]) -> dict[str, torch.Tensor]:
    """Bring a target to `size` as the cache does, and return a batch of it."""
    target = shrunk(TASK.lesson_of(ids, labels), size)
    return {name: torch.from_numpy(array)[None] for name, array in TASK.encode(target, CLASSES).items()}


def test_objects_that_touch_keep_their_classes_at_any_scale() -> None:
    """Labels shrink so that thin classes survive, and would give an object the class of its neighbour."""
    ids = np.zeros((30, 31), np.int32)
    ids[3:27, 2:13], ids[3:27, 13:16], ids[3:27, 16:29] = 1, 2, 3
    labels = np.array([1, 0, 2, 0], np.uint8)[ids]
    for size in [(30, 31), (20, 21), (11, 13), (8, 8)]:
        truth = TASK.loss(Plan(), CLASSES).sampling(encoded(ids, labels, size), 0).truths[0]
        assert truth.numbers.tolist() == [1, 2, 3]
        assert truth.rows.tolist() == [1, 2, 1]


def test_pixels_of_which_nothing_is_known_are_no_object_and_no_background() -> None:
    ids = np.zeros((4, 6), np.int32)
    ids[:, 1:3], ids[:, 4:] = 1, 2
    labels = np.array([1, 2, IGNORE], np.uint8)[ids]
    labels[0, 0] = IGNORE
    truth = TASK.loss(Plan(), CLASSES).sampling(encoded(ids, labels, (4, 6)), 0).truths[0]
    assert truth.boxes.tolist() == [[1, 0, 3, 4]]
    assert truth.rows.tolist() == [2]
    assert truth.unknown.tolist() == (labels == IGNORE).tolist()


def test_a_random_target_has_as_many_objects_as_are_ever_drawn() -> None:
    target = TASK.random_target(np.random.default_rng(0), (64, 96), CLASSES)
    assert target.values is not None
    ids, classes = target.values
    assert len(np.unique(ids)) == 36
    assert set(np.unique(classes)) == {0, 2}
    assert InstanceObjects().order(CLASSES) == (1, 0, 2)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), least=st.sampled_from((0.1, 0.5, 0.6, 0.95)))
def test_the_average_precision_counts_all_objects_and_other_scores_those_that_users_see(
    seed: int, least: float
) -> None:
    pictures = [scene(seed + 10**7 * place) for place in range(3)]
    levels = coco_levels(coco(pictures, (1, 2), "segm"), 0)
    assume(np.isfinite(levels).all())
    judge = TASK.judge(SCENES, {"score": least})
    usual = ObjectJudge(SCENES)
    for place, (truth, found) in enumerate(pictures):
        target = Target(np.zeros(truth.size, np.uint8), None, truth)
        whole = Block(slice(0, truth.size[0]), slice(0, truth.size[1]), torch.empty(0, *truth.size), found)
        seen = TASK.decode([whole], truth.size, SCENES, {"score": least})
        assert len(seen) == sum(entry.score >= least for entry in found.objects)
        judge.update(str(place), [whole], target)
        usual.update(str(place), seen, truth)
    scores, expected = judge.compute().mean, usual.compute().mean
    assert scores["mask_ap"].value == pytest.approx(levels[0].mean(), abs=1e-12)
    assert scores["mask_ap50"].value == pytest.approx(levels[1].mean(), abs=1e-12)
    assert all(scores[key] == expected[key] for key in FROM_SUMS if key in scores)
    assert judge.score() == usual.score()


def test_validation_takes_the_best_least_score_until_one_is_fitted() -> None:
    truth = image(box(0, 0, 10, 10))
    found = image(box(0, 0, 10, 10, score=0.96), *(box(20, 12 * place, 9, 9, score=0.93) for place in range(4)))
    whole = Block(slice(0, 130), slice(0, 130), torch.empty(0, 130, 130), found)
    values = []
    for decoding in ({}, {"score": 0.5}, {"score": 0.94}):
        judge = TASK.judge(SCENES, decoding, quick=True)
        assert judge.score() is None
        judge.update("", [whole], Target(np.zeros((130, 130), np.uint8), None, truth))
        values.append(judge.score())
    assert values == [1.0, pytest.approx(1 / 3), 1.0]
