"""Label errors: planted ones are found, and errors of the model are not."""

from __future__ import annotations

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.diagnosis.label_errors import LEAST_PIXELS, recognised, sureness, suspects

LEAST = np.array([0.9, 0.9, np.inf])
DOUBTED = np.array([True, True, True])


def maps() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A model that is sure of everything and right: class 1 in columns 30 to 59, otherwise 0."""
    truth = np.zeros((60, 60), np.uint8)
    truth[:, 30:] = 1
    return truth.copy(), np.full((60, 60), 0.95, np.float32), truth


def test_a_planted_region_is_found_without_its_rim() -> None:
    labels, confidence, truth = maps()
    labels[10:26, 6:22] = 1
    (found,) = suspects(labels, confidence, truth, LEAST, DOUBTED)
    assert (found.top, found.left, found.bottom, found.right) == (10, 6, 26, 22)
    assert (found.pixels, found.given, found.read) == (256, 0, 1)
    assert abs(found.confidence - 0.95) < 1e-6
    assert abs(found.weight - 0.95 * 16) < 1e-5


def test_borders_within_the_tolerance_of_annotators_do_not_count() -> None:
    labels, confidence, truth = maps()
    labels[:, 27:30] = 1
    assert suspects(labels, confidence, truth, LEAST, DOUBTED) == []


def test_what_the_model_is_unsure_of_does_not_count() -> None:
    labels, confidence, truth = maps()
    labels[10:20, 6:16] = 1
    confidence[10:20, 6:16] = 0.89
    assert suspects(labels, confidence, truth, LEAST, DOUBTED) == []
    confidence[10:20, 6:16] = 0.91
    assert len(suspects(labels, confidence, truth, LEAST, DOUBTED)) == 1
    labels[10:20, 6:16] = 2  # a class whose sure readings are often wrong
    assert suspects(labels, confidence, truth, LEAST, DOUBTED) == []


def test_specks_and_ignored_pixels_do_not_count() -> None:
    labels, confidence, truth = maps()
    labels[10:12, 5 : 5 + LEAST_PIXELS // 2 - 1] = 1
    assert suspects(labels, confidence, truth, LEAST, DOUBTED) == []
    labels[10:26, 6:22], truth[10:26, 6:22] = 1, IGNORE
    assert suspects(labels, confidence, truth, LEAST, DOUBTED) == []


def test_the_confidence_that_counts_as_sure_by_hand() -> None:
    """Class 0: right at 0.9 and 1.0, so from 0.95. Class 1: of two readings above its 0.8 one is wrong, so never."""
    labels = np.array([[0, 0, 1, 1]], np.uint8)
    confidence = np.array([[0.9, 1.0, 0.8, 0.99]], np.float32)
    truth = np.array([[0, 0, 1, 0]], np.uint8)
    least = sureness([(labels, confidence, truth)], 3)
    assert abs(least[0] - 0.95) < 1e-6
    assert least[1] == np.inf
    assert least[2] == np.inf


def test_a_class_that_the_model_misses_is_not_doubted() -> None:
    labels, confidence, truth = maps()
    truth[10:26, 6:22] = 2
    found = recognised([(labels, confidence, truth)], 3)
    assert found.tolist() == [True, True, False]
    assert len(suspects(labels, confidence, truth, LEAST, DOUBTED)) == 1
    assert suspects(labels, confidence, truth, LEAST, found) == []
