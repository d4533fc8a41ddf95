from __future__ import annotations

import numpy as np
import pytest

from maskwright import metrics


def test_what_is_promised_is_there_and_has_a_docstring() -> None:
    assert metrics.__all__ == sorted(metrics.__all__)
    for name in metrics.__all__:
        assert getattr(metrics, name).__doc__


def test_masks_to_numbers_with_the_public_names_alone() -> None:
    truth = np.array([[0, 0, 1, 255]], np.uint8)
    prediction = np.array([[0, 1, 1, 1]], np.uint8)
    counts = metrics.per_class(metrics.confusion_matrix(prediction, truth, 2))
    assert metrics.iou(counts).tolist() == [0.5, 0.5]
    assert metrics.mean_defined(metrics.dice(counts)) == pytest.approx(2 / 3)
    judge = metrics.Judge(["ground", "thing"])
    judge.update("a.png", prediction, truth)
    scores = judge.compute()
    assert isinstance(scores, metrics.Scores)
    assert scores.mean["iou"].value == 0.5
