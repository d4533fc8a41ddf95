from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from maskwright.core.classes import IGNORE
from maskwright.metrics import calibration


def softmax(scores: np.ndarray) -> np.ndarray:
    weights = np.exp(scores - scores.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


def sample(temperature: float, seed: int = 0, count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `temperature` times too sure of labels drawn from their softmax."""
    random = np.random.default_rng(seed)
    scores = random.normal(0, 2, (count, 4))
    truth = (softmax(scores).cumsum(1) > random.random((count, 1))).argmax(1)
    return (scores * temperature).astype(np.float32), truth


def test_error_by_hand() -> None:
    # Four pixels at 0.9, three right; two at 0.5, one right: (4 |0.9 - 0.75| + 2 |0.5 - 0.5|) / 6.
    confidence = np.array([0.9] * 4 + [0.5] * 2, np.float32)
    counts = calibration.reliability_counts(confidence, np.array([1, 1, 1, 0, 1, 0], bool))
    assert calibration.calibration_error(counts) == pytest.approx(0.1, abs=1e-6)
    bins = calibration.reliability_bins(counts)
    assert len(bins) == 15
    assert sum(entry.share for entry in bins) == pytest.approx(1)
    assert (bins[13].confidence, bins[13].accuracy, bins[13].share) == pytest.approx((0.9, 0.75, 4 / 6))
    assert (bins[0].confidence, bins[0].share) == pytest.approx((0.5 / 15, 0))


def test_bins_hold_their_upper_edge() -> None:
    counts = calibration.reliability_counts(np.array([0, 1, 1 / 15], np.float64), np.ones(3, bool))
    assert counts[:, 0].tolist() == [2] + [0] * 13 + [1]


def test_no_pixel_no_error() -> None:
    assert calibration.calibration_error(np.zeros((15, 3))) == 0


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_temperature_is_found_again(temperature: float) -> None:
    logits, truth = sample(temperature)
    fitted = calibration.fit_temperature(logits, truth)
    assert fitted == pytest.approx(temperature, rel=0.05)

    def cost(log_temperature: float) -> float:
        scaled = torch.from_numpy(logits).double() / np.exp(log_temperature)
        return torch.nn.functional.cross_entropy(scaled, torch.from_numpy(truth)).item()

    best = minimize_scalar(cost, bounds=(-2, 2), method="bounded", options={"xatol": 1e-6})
    assert fitted == pytest.approx(np.exp(best.x), rel=2e-3)


def test_fitting_lowers_the_error() -> None:
    logits, truth = sample(3.0)
    probabilities = softmax(logits).astype(np.float32)
    right = probabilities.argmax(1) == truth
    scaled = calibration.scaled_confidence(probabilities.T, calibration.fit_temperature(logits, truth))
    before, after = (
        calibration.calibration_error(calibration.reliability_counts(confidence, right))
        for confidence in (probabilities.max(1), scaled)
    )
    assert before > 0.1
    assert after < 0.02


def test_temperature_without_evidence() -> None:
    logits, truth = sample(1.0, count=50)
    assert calibration.fit_temperature(logits, np.full(50, IGNORE)) == 1
    assert calibration.fit_temperature(logits, logits.argmax(1)) == pytest.approx(calibration.COLDEST, rel=1e-3)
    assert calibration.fit_temperature(logits, logits.argmin(1)) == pytest.approx(calibration.HOTTEST, rel=1e-3)
    some = np.where(np.arange(50) < 25, truth, IGNORE)
    assert calibration.fit_temperature(logits, some) == calibration.fit_temperature(logits[:25], truth[:25])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), temperature=st.floats(0.2, 10))
def test_scaling_probabilities_is_scaling_logits(seed: int, temperature: float) -> None:
    logits = np.random.default_rng(seed).normal(0, 3, (7, 5))
    ours = calibration.scaled_confidence(softmax(logits).astype(np.float32).T, temperature)
    np.testing.assert_allclose(ours, softmax(logits / temperature).max(1), rtol=1e-4)


def test_certainty_survives_scaling() -> None:
    certain = np.array([[1.0], [0.0]], np.float32)
    assert calibration.scaled_confidence(certain, 3.0).tolist() == [1]
