"""Growing trees: scikit-learn's forest and ours give the same shares, bit for bit the same twice."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from maskwright.core.errors import MaskwrightError
from maskwright.models.pixels.forest import Forest
from maskwright.training import forest

LARGE = 2.0**100


def drawn(count: int = 600, seed: int = 0, classes: int = 3) -> forest.Pixels:
    rng = np.random.default_rng(seed)
    responses = rng.normal(size=(count, 5)).astype(np.float32)
    labels = (responses[:, 1] > 0).astype(np.int64) + (responses[:, 3] + 0.5 * rng.normal(size=count) > 0.5)
    return forest.Pixels(responses, labels * (classes - 1) // 2, rng.uniform(0.1, 9, count))


def grown(pixels: forest.Pixels, seed: int = 0, classes: int = 3, trees: int = 7, leaves: int = 40) -> Forest:
    ours = Forest(classes, trees, leaves, depth=6)
    assert forest.grow(ours, pixels, seed) == trees
    return ours


@pytest.mark.parametrize("leaves", [2, 40, 1000])
def test_shares_are_those_of_scikit_learn(leaves: int) -> None:
    pixels, others = drawn(), torch.from_numpy(drawn(seed=1).responses)
    ours = grown(pixels, leaves=leaves)
    theirs = forest.grower(ours, 0).set_params(n_estimators=7, warm_start=False)
    theirs.fit(pixels.responses, pixels.classes, pixels.weights)
    wanted = theirs.predict_proba(others.numpy())
    assert len(np.unique(wanted)) > 2
    np.testing.assert_allclose(ours.label(others).detach().numpy(), wanted, rtol=0, atol=1e-6)


def test_the_same_seed_grows_the_same_trees_and_another_does_not() -> None:
    first, second, other = (grown(drawn(), seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["thresholds"], other["thresholds"])


def test_a_class_without_a_pixel_has_no_share() -> None:
    pixels = drawn()
    ours = grown(pixels._replace(classes=2 * (pixels.classes > 0)))
    shares = ours.label(torch.from_numpy(pixels.responses))
    assert shares[:, 1].abs().max() == 0
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(len(shares)))
    assert (shares[:, 2] > 0.5).any()


def test_a_single_class_grows_a_leaf() -> None:
    pixels = drawn()
    ours = grown(pixels._replace(classes=np.ones_like(pixels.classes)))
    assert torch.equal(ours.label(torch.from_numpy(pixels.responses))[:, 1], torch.ones(600))


def test_weights_decide_the_shares() -> None:
    """Half of the pixels say 1, but each that says 0 stands for three."""
    classes = np.arange(400) % 2
    pixels = forest.Pixels(np.zeros((400, 1), np.float32), classes, np.where(classes == 0, 3.0, 1.0))
    share = grown(pixels, classes=2, trees=200).label(torch.zeros(1, 1))[0, 0]
    assert share.item() == pytest.approx(0.75, abs=0.01)


def test_where_the_time_ends_the_first_trees_stand_for_the_others() -> None:
    few, all_of = Forest(3, 7, 40, depth=6), grown(drawn())
    threads = torch.get_num_threads()
    assert forest.grow(few, drawn(), 0, deadline=time.monotonic() - 1) == min(threads, 7)
    assert torch.equal(few.thresholds[:threads], all_of.thresholds[: min(threads, 7)])
    assert torch.equal(few.thresholds[min(threads, 7)], few.thresholds[0]) or threads >= 7


@given(arrays.arrays(np.float64, 5, elements=st.floats(-LARGE, LARGE)), st.floats(-LARGE, LARGE, width=32))
def test_a_rounded_threshold_divides_float32_alike(thresholds: np.ndarray, response: float) -> None:
    above = forest.below(thresholds)
    assert above.dtype == np.float32
    for exact in (np.float32(response), above[0], np.nextafter(above[0], np.float32(np.inf))):
        assert np.array_equal(exact > above, np.float64(exact) > thresholds)


def test_without_scikit_learn_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forest, "find_spec", lambda _name: None)
    with pytest.raises(MaskwrightError, match=r'not installed: pip install "maskwright\[forest\]"'):
        grown(drawn())
