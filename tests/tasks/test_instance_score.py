"""The least score of an object is chosen so that the F1 is best."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from maskwright.core.classes import Classes
from maskwright.core.instances import Instance, Instances
from maskwright.core.targets import Target
from maskwright.tasks.base import Seen
from maskwright.tasks.block import Block
from maskwright.tasks.instance_objects import InstanceObjects

SIZE = (30, 30)
CLASSES = Classes.named(("background", "cell"))


def seen(name: str, scores: dict[int, float], true: tuple[int, ...]) -> Seen:
    """Return an image with boxes at columns 0, 6, ... that are found with a score, some of them true."""

    def box(place: int, score: float) -> Instance:
        return Instance(1, 0, 6 * place, np.ones((5, 5), bool), score)

    found = Instances(SIZE, tuple(box(place, score) for place, score in scores.items()))
    block = Block(slice(0, 30), slice(0, 30), torch.empty(0, 30, 30), found)
    truth = Instances(SIZE, tuple(box(place, 1.0) for place in true))
    return Seen(name, [block], Target(np.zeros(SIZE, np.uint8), None, truth))


def fitted_on(copies: int) -> tuple[float, tuple[str, ...]]:
    """Fit on images with 2 true objects at 0.82 and 0.9, and false ones at 0.42, 0.3 and 0.1, some of them twice."""
    pair = [seen("a", {0: 0.82, 1: 0.42, 2: 0.3}, (0,)), seen("b", {0: 0.9, 3: 0.1}, (0,))]
    fitted = InstanceObjects().fit(iter(pair * copies), 2 * copies, CLASSES, None)
    assert isinstance(fitted.decoding["score"], float)
    return fitted.decoding["score"], fitted.notes


def test_the_threshold_lies_between_true_and_false_objects() -> None:
    score, notes = fitted_on(8)
    assert score == pytest.approx(0.6)  # the middle of 0.45, ..., 0.8
    assert notes == ("minimum score of an object fitted on 16 validation images: 0.6 (F1 over IoU 0.5 to 0.9: 1.000)",)


def test_few_objects_do_not_push_the_threshold_to_the_edge() -> None:
    # F1 is 38/39 from 0.95 on, where one of twenty objects is missed, and 40/42 up to 0.5, with two false objects.
    images = [seen(str(place), {0: 0.96}, (0,)) for place in range(17)]
    images += [seen("low", {0: 0.5}, (0,)), *(seen(name, {0: 0.96, 1: 0.94}, (0,)) for name in ("one", "two"))]
    fitted = InstanceObjects().fit(iter(images), 20, CLASSES, None)
    assert fitted.decoding["score"] == pytest.approx(0.5)


def test_a_fit_that_time_cuts_short_says_so() -> None:
    images = [seen("a", {0: 0.82, 1: 0.42}, (0,)), seen("b", {0: 0.9, 3: 0.1}, (0,))]
    (note,) = InstanceObjects().fit(iter(images), 2, CLASSES, time.monotonic() - 1).notes
    assert "on 1 validation image:" in note
    assert note.endswith("time ran out, so another run may use more or fewer")


def test_without_an_object_there_is_nothing_to_fit() -> None:
    assert InstanceObjects().fit(iter([seen("a", {0: 0.8}, ())]), 1, CLASSES, None).decoding == {}
    assert InstanceObjects().fit(iter([]), 0, CLASSES, None).decoding == {}


def with_speck(*, true: bool) -> Seen:
    """Return an image with an object of a part of 25 pixels and one of 5: annotated so, or with the large part only."""
    mask = np.zeros((5, 12), bool)
    mask[:, :5] = True
    whole = mask.copy()
    whole[:, 11] = True
    found = Instances(SIZE, (Instance(1, 0, 0, whole, 0.9),))
    block = Block(slice(0, 30), slice(0, 30), torch.empty(0, 30, 30), found)
    truth = Instances(SIZE, (Instance(1, 0, 0, whole) if true else Instance(1, 0, 0, mask[:, :5]),))
    return Seen("a", [block], Target(np.zeros(SIZE, np.uint8), None, truth))


@pytest.mark.parametrize("true", [True, False])
def test_parts_stay_where_the_annotation_has_them(true: bool) -> None:
    """A false speck of 5 pixels lowers the IoU to 25/30, and so does a true one that is left out."""
    part = None if true else 1.0
    task, images = InstanceObjects(), [with_speck(true=true)]
    fitted = task.fit(iter(images * 20), 20, CLASSES, None)
    assert fitted.decoding.get("part") == part
    assert ("the largest connected part of each object only" in fitted.notes[0]) == (part is not None)
    (found,) = task.decode(images[0].blocks, SIZE, CLASSES, fitted.decoding).objects
    assert found.area == (25 if part else 30)
    judge = task.judge(CLASSES, fitted.decoding)
    judge.update("a", images[0].blocks, images[0].target)
    assert judge.compute().mean["mask_ap"].value == pytest.approx(1.0)


@pytest.mark.parametrize("true", [True, False])
def test_doubles_go_where_the_annotation_has_none(true: bool) -> None:
    """The second square shares 4/5 of the first one: an IoU of 20/30."""
    pair = tuple(Instance(1, 0, left, np.ones((5, 5), bool), score) for left, score in ((0, 0.9), (1, 0.8)))
    block = Block(slice(0, 30), slice(0, 30), torch.empty(0, 30, 30), Instances(SIZE, pair))
    truth = Instances(SIZE, pair if true else pair[:1])
    one = Seen("a", [block], Target(np.zeros(SIZE, np.uint8), None, truth))
    task = InstanceObjects()
    # One more image, where the less certain object is true: so a least score cannot tell them apart.
    alone = Seen(
        "b",
        [replace(block, objects=Instances(SIZE, pair[1:]))],
        replace(one.target, instances=Instances(SIZE, pair[1:])),
    )
    fitted = task.fit(iter([one, alone] * 10), 20, CLASSES, None)
    assert fitted.decoding.get("double") == (None if true else 0.5)
    assert ("two objects with an IoU above 0.5" in fitted.notes[0]) != true
    assert len(task.decode([block], SIZE, CLASSES, fitted.decoding)) == (2 if true else 1)
