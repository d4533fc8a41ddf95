"""The search for the CRF's parameters, on samples whose best parameters are known in kind."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest

from maskwright.core.classes import IGNORE
from maskwright.core.plan import CrfPlan
from maskwright.postprocess import search as module
from maskwright.postprocess.base import Sample
from maskwright.postprocess.dense_crf import DenseCrf
from maskwright.postprocess.search import Fit, Quality, describe, search

START = CrfPlan(w1=4, theta_alpha=10, theta_beta=10, w2=1, theta_gamma=1, iterations=2)


def sample(seed: int) -> Sample:
    """A square whose edge the network puts too far out, in an image that shows where it is."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((32, 40), np.uint8)
    truth[10:22, 12:26] = 1
    truth[0, :5] = IGNORE
    image = np.where(truth[..., None] == 1, 180, 60) + rng.integers(-8, 9, (32, 40, 3))
    guess = np.full((32, 40), 0.1, np.float32)
    guess[8:24, 10:28] = 0.6
    guess[12:20, 14:24] = 0.95
    return Sample(np.stack([1 - guess, guess]).astype(np.float16), image.astype(np.uint8), truth, 2)


def test_it_finds_something_better_than_its_start() -> None:
    samples = [sample(seed) for seed in range(2)]
    found = search(DenseCrf, samples, START)
    assert found.quality.value > found.without.value + 0.1
    assert found.images == 2
    assert found.tried > 8
    assert (found.settings.theta_gamma, found.settings.iterations) == (1, 2)
    assert search(DenseCrf, samples, START) == found


def test_without_time_the_start_is_judged_and_kept() -> None:
    found = search(DenseCrf, [sample(0)], START, deadline=time.monotonic() - 1)
    assert found.settings == START
    assert found.tried == 1


def test_it_helps_only_where_it_is_better_than_none() -> None:
    worse, better = Quality(0.5, 0.3), Quality(0.5, 0.4)
    assert [Fit(DenseCrf, START, better, quality, 1, 9).helps for quality in (worse, better)] == [False, False]
    assert Fit(DenseCrf, START, worse, better, 1, 9).helps


def test_the_deadline_is_not_passed_by_all_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock moves by a second in each refinement, as with many classes."""
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])

    def apply(_: DenseCrf, probabilities: np.ndarray, *_rest: object) -> np.ndarray:
        clock[0] += 1
        return probabilities

    monkeypatch.setattr(DenseCrf, "apply", apply)
    samples = [sample(seed) for seed in range(8)]
    found = search(DenseCrf, samples, START, deadline=9.0)
    assert clock[0] <= 9
    assert found.images == 2, "a quarter of the time is for the start"
    assert found.tried > 1
    clock[0] = 0.0
    assert search(DenseCrf, samples, START, deadline=0.5).tried == 1
    assert clock[0] == 1


def test_it_stays_within_the_rules_of_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """A measure that always wants more of everything stops at the largest values that are allowed."""
    monkeypatch.setattr(
        module,
        "_with",
        lambda crf, *_: Quality(crf.settings.w1 + crf.settings.w2, crf.settings.theta_beta + crf.settings.theta_alpha),
    )
    best = search(DenseCrf, [sample(0)], START).settings
    assert (best.w1, best.w2, best.theta_beta, best.theta_alpha) == (100, 100, 255, 1000)
    CrfPlan.model_validate(best.model_dump())


def test_it_says_which_parameters_ended_at_a_limit() -> None:
    quality = Quality(0.5, 0.3)
    ended = START.model_copy(update={"w2": 0.01, "theta_beta": 255.0})
    assert Fit(DenseCrf, ended, quality, quality, 1, 9).at_limit == ("theta_beta", "w2")
    assert Fit(DenseCrf, START, quality, quality, 1, 9).at_limit == ()


def test_a_fit_in_words() -> None:
    fit = Fit(DenseCrf, START, Quality(0.5, 0.3), Quality(0.6321, 0.4), 1, 9)
    assert fit.sentence() == (
        f"dense CRF fitted on 1 validation image (9 settings tried): {describe(START)}; "
        "IoU 50.0% -> 63.2%, boundary IoU 30.0% -> 40.0% on these"
    )
    assert "(there was time for only one setting)" in replace(fit, tried=1).sentence()
    useless = replace(fit, quality=fit.without, settings=START.model_copy(update={"w2": 0.01, "theta_beta": 255.0}))
    assert useless.sentence().endswith(
        "; theta_beta and w2 ended at the limit of the search: the dense CRF did not help"
    )


def test_a_fit_as_json() -> None:
    fit = Fit(DenseCrf, START, Quality(0.5, 0.3), Quality(0.6, 0.4), 3, 9)
    assert json.loads(json.dumps(fit.to_json())) == {
        "settings": START.model_dump(),
        "without": {"iou": 0.5, "boundary_iou": 0.3},
        "quality": {"iou": 0.6, "boundary_iou": 0.4},
        "images": 3,
        "tried": 9,
        "helps": True,
    }


def test_quality_by_hand() -> None:
    truth = np.zeros((4, 8), np.uint8)
    truth[:, 4:] = 1
    given = Sample(np.zeros((2, 4, 8), np.float16), np.zeros((4, 8, 3), np.uint8), truth, 2)
    labels = np.zeros((4, 8), np.uint8)
    labels[:, 6:] = 1
    # Of 32 pixels 8 are taken from class 1: IoU 16/24 and 8/16.
    assert module.quality([labels], [given]).iou == pytest.approx((16 / 24 + 8 / 16) / 2)
    assert module.quality([truth], [given]) == Quality(1.0, 1.0)
