"""The least score of an object is chosen so that the F1 is best."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from maskwright.core.classes import Classes
from maskwright.core.instances import Instance, Instances
from maskwright.core.targets import Target
from maskwright.tasks.base import Block, Seen
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


def test_the_threshold_lies_between_true_and_false_objects() -> None:
    images = [seen("a", {0: 0.82, 1: 0.42, 2: 0.3}, (0,)), seen("b", {0: 0.9, 3: 0.1}, (0,))]
    fitted = InstanceObjects().fit(iter(images), 2, CLASSES, None)
    assert isinstance(fitted.decoding["score"], float)
    assert 0.42 < fitted.decoding["score"] <= 0.82
    assert fitted.decoding["score"] == pytest.approx(0.65)  # the middle of 0.45, ..., 0.8, rounded up
    assert fitted.notes == (
        "minimum score of an object fitted on 2 validation images: 0.65 (F1 over IoU 0.5 to 0.9: 1.000)",
    )


def test_a_fit_that_time_cuts_short_says_so() -> None:
    images = [seen("a", {0: 0.82, 1: 0.42}, (0,)), seen("b", {0: 0.9, 3: 0.1}, (0,))]
    (note,) = InstanceObjects().fit(iter(images), 2, CLASSES, time.monotonic() - 1).notes
    assert "on 1 validation image:" in note
    assert note.endswith("time ran out, so another run may use more or fewer")


def test_without_an_object_there_is_nothing_to_fit() -> None:
    assert InstanceObjects().fit(iter([seen("a", {0: 0.8}, ())]), 1, CLASSES, None).decoding == {}
    assert InstanceObjects().fit(iter([]), 0, CLASSES, None).decoding == {}
