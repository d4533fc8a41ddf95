"""What is fitted on validation images: class offsets and the temperature, on sampled pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.tasks.blocks import blocks

from maskwright.core.classes import IGNORE, Classes
from maskwright.core.targets import Target
from maskwright.metrics.calibration import fit_temperature
from maskwright.metrics.offsets import fit_offsets
from maskwright.tasks import label_fit
from maskwright.tasks.base import Adjustments, Seen
from maskwright.tasks.label_fit import LEAST_PROBABILITY, fit_labels, probabilities_at, sample

CLASSES = Classes.named(["road", "car", "sky"])


def image(seed: int, size: tuple[int, int] = (20, 30)) -> tuple[torch.Tensor, np.ndarray]:
    """Probabilities (3, H, W) that are too sure of what they say, and rarely say car."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(np.array([0, 1, 2], np.uint8), size, p=(0.6, 0.2, 0.2))
    logits = rng.normal(0, 2, (3, *size)) + 2.5 * (np.arange(3)[:, None, None] == truth)
    logits[1] -= 2
    truth[:2] = IGNORE
    return torch.from_numpy(2 * logits).softmax(0).float(), truth


def seen(count: int, rows: int | None = 7):
    for number in range(count):
        maps, truth = image(number)
        yield Seen(f"{number}.png", blocks(maps, rows), Target(truth))


def test_every_labelled_pixel_is_sampled_where_there_is_room() -> None:
    scores, truth, places = sample(seen(2), 2, 3)
    assert places.tolist() == [0] * 540 + [1] * 540
    for number in range(2):
        maps, labels = image(number)
        known = labels != IGNORE
        np.testing.assert_array_equal(truth[places == number], labels[known])
        expected = np.log(np.maximum(maps.numpy()[:, known].T, np.float32(LEAST_PROBABILITY)))
        np.testing.assert_allclose(scores[places == number], expected, rtol=1e-6)


def test_a_large_image_gives_its_share_of_pixels_and_always_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_fit, "SAMPLE_PIXELS", 100)
    scores, truth, places = sample(seen(4), 4, 3)
    assert np.bincount(places).tolist() == [25] * 4
    for rows in (1, None):  # and whatever the blocks are
        again = sample(seen(4, rows), 4, 3)
        for first, second in zip((scores, truth, places), again, strict=True):
            np.testing.assert_array_equal(first, second)
    monkeypatch.setattr(label_fit, "SAMPLE_VALUES", 60)
    assert len(sample(seen(4), 4, 3)[1]) == 4 * (60 // 3 // 4)


def test_a_probability_of_zero_has_a_finite_logarithm() -> None:
    maps = torch.tensor([[[1.0]], [[0.0]]])
    scores, _, _ = sample(iter([Seen("a", blocks(maps), Target(np.zeros((1, 1), np.uint8)))]), 1, 2)
    np.testing.assert_allclose(scores, [[0.0, np.log(LEAST_PROBABILITY)]], rtol=1e-6)


def test_probabilities_are_looked_up_across_blocks() -> None:
    maps = torch.arange(2 * 5 * 7, dtype=torch.float32).reshape(2, 5, 7)
    places = np.array([34, 0, 6, 7, 18])
    expected = maps.reshape(2, -1)[:, places].T.numpy()
    np.testing.assert_array_equal(probabilities_at(blocks(maps, 2, 3), places, 7, 2), expected)


def test_what_is_fitted_is_what_the_metrics_fit() -> None:
    scores, truth, places = sample(seen(6), 6, 3)
    offsets = fit_offsets(scores, truth, places)
    found = fit_labels(seen(6), 6, CLASSES, None)
    assert offsets.any()
    assert found.decoding["offsets"] == pytest.approx(offsets.tolist())
    assert found.decoding["temperature"] == pytest.approx(fit_temperature(scores + offsets, truth))
    assert found.decoding["temperature"] > 1.2
    (note,) = found.notes
    assert note.startswith(f"class offsets fitted on validation images: road {offsets[0]:+.2f}, ")
    assert f"car {offsets[1]:+.2f}" in note


def test_without_gain_there_is_a_temperature_alone() -> None:
    """One image is no two halves, so no offsets can be trusted."""
    found = fit_labels(seen(1), 1, CLASSES, None)
    assert list(found.decoding) == ["temperature"]
    assert found.notes == ()


def test_nothing_labelled_and_a_single_class_fit_nothing() -> None:
    maps, truth = image(0)
    blank = Seen("a", blocks(maps), Target(np.full_like(truth, IGNORE)))
    assert fit_labels(iter([blank]), 1, CLASSES, None) == Adjustments()
    assert fit_labels(iter([]), 0, CLASSES, None) == Adjustments()
    single = Seen("a", blocks(maps[:1]), Target(np.zeros_like(truth)))
    assert fit_labels(iter([single]), 1, Classes.named(["there"]), None) == Adjustments()
