"""The edge filter, against a recursion written pixel by pixel, and behind the seam of postprocessors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from maskwright.core.channels import class_channels, edge_channel
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import EdgeFilterPlan, PostprocessPlan
from maskwright.metrics.judge import most_likely
from maskwright.postprocess import POSTPROCESSORS, Sample, check_channels, held_by
from maskwright.postprocess.edge_filter import VALUES, EdgeFilter, filtered

Array = NDArray[np.float64]
JOINT = (*class_channels(3), edge_channel())
BLACK = np.zeros((24, 30, 3), np.uint8)


def by_hand(line: Array, strength: Array, plan: EdgeFilterPlan, sigma: float) -> Array:
    """Filter one line of values (n,), there and back."""
    result = line.copy()
    steps = [1 + min(strength[i - 1], strength[i]) * plan.sigma / plan.edge for i in range(1, len(line))]
    kept = [math.exp(-math.sqrt(2) * step / sigma) for step in steps]
    for i in range(1, len(line)):
        result[i] = (1 - kept[i - 1]) * result[i] + kept[i - 1] * result[i - 1]
    for i in reversed(range(len(line) - 1)):
        result[i] = (1 - kept[i]) * result[i] + kept[i] * result[i + 1]
    return result


def slowly(values: Array, strength: Array, plan: EdgeFilterPlan) -> Array:
    result = values.astype(np.float64)
    sigmas = [plan.sigma * math.sqrt(3) * 2 ** (3 - k) / math.sqrt(4**3 - 1) for k in (1, 2, 3)]
    assert sum(sigma**2 for sigma in sigmas) == pytest.approx(plan.sigma**2)
    for sigma in sigmas:
        for one in result:
            for row in range(len(one)):
                one[row] = by_hand(one[row], strength[row], plan, sigma)
            for column in range(one.shape[1]):
                one[:, column] = by_hand(one[:, column], strength[:, column], plan, sigma)
    return result


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(1, 7),
    st.integers(1, 7),
    st.sampled_from([1.0, 4.0]),
    st.sampled_from([0.05, 2]),
)
def test_it_is_the_recursion(seed: int, height: int, width: int, sigma: float, edge: float) -> None:
    rng = np.random.default_rng(seed)
    values, strength = rng.dirichlet(np.ones(3), (height, width)).transpose(2, 0, 1), rng.random((height, width))
    plan = EdgeFilterPlan(sigma=sigma, edge=edge)
    found = filtered(values.astype(np.float32), strength.astype(np.float32), plan)
    np.testing.assert_allclose(found, slowly(values, strength, plan), atol=2e-6)
    np.testing.assert_allclose(found.sum(0), 1, atol=2e-6)


def test_nothing_crosses_a_closed_edge_and_all_else_becomes_one() -> None:
    values = np.zeros((1, 24, 30), np.float32)
    values[:, :, :15] = 1
    strength = np.zeros((24, 30), np.float32)
    strength[:, 14:16] = 1
    strict = EdgeFilterPlan(sigma=20, edge=0.001)
    np.testing.assert_array_equal(filtered(values, strength, strict), values)
    open_ = filtered(values, np.zeros_like(strength), strict)
    assert open_.max() - open_.min() < 0.5, "what was 1 and 0 is mixed without an edge"


def sample(seed: int) -> Sample:
    """A square whose boundary the network finds well, and whose inside it is unsure about."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((24, 30), np.uint8)
    truth[6:18, 8:22] = 1
    likely = np.where(truth == 1, 0.6, 0.4) + rng.normal(0, 0.25, truth.shape)
    edges = np.zeros(truth.shape)
    edges[5:19, 7:23] = 0.9
    edges[7:17, 9:21] = 0
    likely = likely.clip(0.01, 0.99)
    maps = np.stack([1 - likely, likely, edges]).astype(np.float16)
    return Sample(maps, BLACK, truth, 2)


def test_it_finds_settings_that_sharpen_the_mask() -> None:
    samples = [sample(seed) for seed in range(2)]
    found = EdgeFilter.fit(samples, EdgeFilterPlan(), None)
    assert found.helps
    assert found.quality.value > found.without.value + 0.2
    assert found.sentence().startswith("edge filter fitted on 2 validation images (")
    other = sample(9)
    maps = other.maps.astype(np.float32)
    result = EdgeFilter(found.settings).apply(maps, BLACK)
    before, after = ((most_likely(one[:2]) == other.truth).mean() for one in (maps, result))
    assert before < 0.85
    assert after > 0.97
    np.testing.assert_array_equal(result[2], maps[2])


def test_it_stands_behind_the_seam() -> None:
    plan = EdgeFilterPlan(sigma=5, edge=0.5)
    assert POSTPROCESSORS["edges"] is EdgeFilter
    held = held_by(PostprocessPlan(edges=plan), "edges")
    assert (held.settings, held.reach, held.describe()) == (plan, 15, "sigma 5, edge 0.5")
    assert EdgeFilter().settings == EdgeFilterPlan()
    assert held.most_pixels(4, 3) == VALUES // 4


def test_it_needs_edges_beside_classes() -> None:
    check_channels("edges", JOINT)
    with pytest.raises(MaskwrightError, match=r"edge filter needs edges beside the classes.*predicts classes: leave"):
        check_channels("edges", class_channels(3))
    with pytest.raises(MaskwrightError, match=r"dense CRF needs .* nothing else, .* predicts classes and edges: leave"):
        check_channels("crf", JOINT)
