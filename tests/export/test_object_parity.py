"""The agreement of objects, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from maskwright.core.instances import Instance, Instances
from maskwright.exporting.object_parity import shared_objects
from maskwright.exporting.parity import Agreement


def square(left: int, side: int, score: float, index: int = 1) -> Instance:
    return Instance(index, 0, left, np.ones((side, side), np.bool_), score)


def tile(*objects: Instance) -> Instances:
    return Instances((40, 200), objects)


def test_an_object_agrees_where_class_and_mask_are_the_same() -> None:
    ours = tile(square(0, 20, 0.9), square(40, 20, 0.8), square(80, 20, 0.7), square(120, 20, 0.6))
    theirs = tile(
        square(0, 20, 0.85),
        square(41, 20, 0.8),  # 380 of 420 pixels: an IoU of .905
        square(82, 20, 0.7),  # 360 of 440 pixels: .818
        square(120, 20, 0.6, index=2),
    )
    assert shared_objects([(ours, theirs)], 0.5) == (0.5, pytest.approx(0.05))


def test_an_object_whose_partner_falls_below_the_least_score_agrees() -> None:
    share, largest = shared_objects([(tile(square(0, 20, 0.51)), tile(square(0, 20, 0.49)))], 0.5)
    assert (share, largest) == (1.0, pytest.approx(0.02))


def test_objects_below_the_least_score_count_only_if_there_are_no_others() -> None:
    good, weak = square(0, 20, 0.9), square(60, 20, 0.1)
    assert shared_objects([(tile(good, weak), tile(good))], 0.5)[0] == 1.0
    assert shared_objects([(tile(weak), tile())], 0.5)[0] == 0.0
    assert shared_objects([(tile(), tile())], 0.5) == (1.0, 0.0)


def test_what_only_the_export_finds_counts_too() -> None:
    good = square(0, 20, 0.9)
    assert shared_objects([(tile(good), tile(good, square(60, 20, 0.9)))], 0.5)[0] == pytest.approx(2 / 3)
    assert shared_objects([(tile(good), tile(good)), (tile(), tile(good))], 0.5)[0] == pytest.approx(2 / 3)


def test_the_message_speaks_of_objects() -> None:
    found = Agreement(4, 0.5, 0.1, objects=True).fault(exact=True)
    assert found == "only 50.0 % of the objects are found by both, and 98 % must"
    assert Agreement(4, 1.0, 0.1, objects=True).fault(exact=True) is None
