"""What becomes of objects: each kind of error by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from tests.tasks.objects import boxes

from maskwright.core.instances import Instances
from maskwright.metrics.object_errors import ObjectErrors, object_errors

SIZE = (20, 40)
KNOWN = np.zeros(SIZE, bool)
NONE = Instances(SIZE)


def errors(truth: Instances, prediction: Instances, ignored: np.ndarray = KNOWN) -> ObjectErrors:
    return object_errors(truth, prediction, ignored)


def test_nothing_and_nothing() -> None:
    assert errors(NONE, NONE) == ObjectErrors({}, {}, {}, {}, (), ())


def test_missed_and_false() -> None:
    some = boxes(SIZE, (0, 4, 0, 4), (8, 12, 8, 12))
    assert errors(some, NONE).missed == (0, 1)
    assert errors(NONE, some).false == (0, 1)
    assert errors(some, some) == ObjectErrors({0: 0, 1: 1}, {}, {}, {}, (), ())


def test_half_of_the_union_is_enough() -> None:
    """8 of 16 pixels are common: IoU 1/2; with 7 of 15 a prediction that lies in the object is still no match."""
    truth = boxes(SIZE, (0, 1, 0, 16))
    assert errors(truth, boxes(SIZE, (0, 1, 0, 8))).found == {0: 0}
    less = errors(truth, boxes(SIZE, (0, 1, 0, 7)))
    assert (less.found, less.missed, less.false) == ({}, (0,), (0,))


def test_one_prediction_over_two_objects_is_a_merge() -> None:
    truth = boxes(SIZE, (0, 4, 0, 4), (0, 4, 5, 9), (10, 14, 0, 4))
    found = errors(truth, boxes(SIZE, (0, 4, 0, 9), (10, 14, 0, 4)))
    assert found == ObjectErrors({2: 1}, {}, {0: (0, 1)}, {}, (), ())


def test_a_merge_may_match_its_larger_object() -> None:
    truth = boxes(SIZE, (0, 4, 0, 10), (0, 4, 11, 13))
    assert errors(truth, boxes(SIZE, (0, 4, 0, 13))) == ObjectErrors({0: 0}, {}, {0: (0, 1)}, {}, (), ())


def test_half_of_an_object_is_not_most_of_it() -> None:
    truth = boxes(SIZE, (0, 4, 0, 4), (0, 4, 4, 8))
    found = errors(truth, boxes(SIZE, (0, 4, 0, 6)))
    assert (found.merges, found.found, found.missed) == ({}, {0: 0}, (1,))


def test_two_predictions_in_one_object_are_a_split() -> None:
    truth = boxes(SIZE, (0, 4, 0, 10))
    assert errors(truth, boxes(SIZE, (0, 4, 0, 4), (0, 4, 5, 9))) == ObjectErrors({}, {}, {}, {0: (0, 1)}, (), ())
    fragment = errors(truth, boxes(SIZE, (0, 4, 0, 8), (0, 4, 9, 10)))
    assert fragment == ObjectErrors({0: 0}, {}, {}, {0: (0, 1)}, (), ())


def test_another_class_is_confused() -> None:
    truth, guess = boxes(SIZE, (0, 4, 0, 4)), boxes(SIZE, (0, 4, 0, 4), index=2)
    assert errors(truth, guess) == ObjectErrors({}, {0: 0}, {}, {}, (), ())
    both = Instances(SIZE, (*guess.objects, *truth.objects))
    assert errors(truth, both) == ObjectErrors({0: 1}, {}, {}, {}, (), (0,))


def test_objects_on_an_object_of_another_class_are_no_merge() -> None:
    person, tie = boxes(SIZE, (0, 20, 0, 10)).objects[0], boxes(SIZE, (5, 8, 4, 6), index=2).objects[0]
    truth = Instances(SIZE, (person, tie))
    assert errors(truth, truth) == ObjectErrors({0: 0, 1: 1}, {}, {}, {}, (), ())


def test_crowds_and_ignored_regions_excuse() -> None:
    crowd = replace(boxes(SIZE, (0, 10, 0, 10)).objects[0], crowd=True)
    guesses = boxes(SIZE, (1, 4, 1, 4), (5, 8, 5, 8), (0, 10, 9, 12))
    found = errors(Instances(SIZE, (crowd,)), guesses)
    assert found == ObjectErrors({}, {}, {}, {}, (), (2,))
    ignored = KNOWN.copy()
    ignored[:, :11] = True
    assert errors(NONE, guesses, ignored).false == ()
    assert not KNOWN.any()


def test_the_best_pair_counts() -> None:
    truth = boxes(SIZE, (0, 4, 0, 10))
    found = errors(truth, boxes(SIZE, (0, 4, 0, 8), (0, 4, 0, 9)))
    assert found.found == {0: 1}


def test_3000_objects() -> None:
    corners = [(3 * row, 3 * row + 2, 3 * column, 3 * column + 2) for row in range(50) for column in range(60)]
    many = boxes((150, 180), *corners)
    assert errors(many, many, np.zeros((150, 180), bool)).found == {number: number for number in range(3000)}
