"""The edge watershed, against a flood that tries paths one by one, and behind the seam of postprocessors."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwright.core.channels import class_channels, edge_channel
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import EdgeWatershedPlan, PostprocessPlan
from maskwright.metrics.judge import most_likely
from maskwright.postprocess import POSTPROCESSORS, Sample, check_channels, held_by
from maskwright.postprocess.edge_watershed import VALUES, WHOLE, EdgeWatershed, grown

if TYPE_CHECKING:
    from numpy.typing import NDArray

JOINT = (*class_channels(3), edge_channel())
BLACK = np.zeros((24, 30, 3), np.uint8)


def passes(sure: NDArray[np.bool_], strength: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the lowest strength (H, W) that a path from any sure pixel crosses, ends included, 4 neighbours a step."""
    height = np.where(sure, strength, np.inf)
    queue = [(float(strength[y, x]), int(y), int(x)) for y, x in np.argwhere(sure)]
    while queue:
        level, y, x = heapq.heappop(queue)
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= v < len(height) and 0 <= u < height.shape[1] and max(level, strength[v, u]) < height[v, u]:
                height[v, u] = max(level, strength[v, u])
                heapq.heappush(queue, (height[v, u], v, u))
    return height


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(1, 8), st.sampled_from([0.1, 0.3, 0.9]))
def test_a_pixel_belongs_to_a_region_that_reaches_it_over_the_lowest_edge(
    seed: int, height: int, width: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (height, width), np.uint8)
    sure = rng.random((height, width)) < share
    strength = rng.permutation(height * width).reshape(height, width).astype(np.float32)
    found = grown(labels, sure, strength)
    np.testing.assert_array_equal(found[sure], labels[sure])
    if not sure.any():
        np.testing.assert_array_equal(found, labels)
        return
    lowest = passes(sure, strength)
    for name in range(3):
        reached = passes(sure & (labels == name), strength)
        flooded = (found == name) & ~sure
        assert (reached[flooded] == lowest[flooded]).all()


def test_two_classes_meet_on_the_edge() -> None:
    labels, sure = np.zeros((5, 20), np.uint8), np.zeros((5, 20), bool)
    labels[:, 8:] = 1
    sure[:, :2] = sure[:, -2:] = True
    strength = np.full((5, 20), 0.1, np.float32)
    strength[:, 12:14] = 0.9
    found = grown(labels, sure, strength)
    assert (found[:, :12] == 0).all()
    assert (found[:, 14:] == 1).all()


def sample(seed: int) -> Sample:
    """A square whose boundary the network finds well as an edge, and badly as a class."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((24, 30), np.uint8)
    truth[6:18, 8:22] = 1
    likely = np.full(truth.shape, 0.02)
    likely[3:21, 5:25] = rng.uniform(0.2, 0.9, (18, 20))
    likely[10:14, 12:18] = 0.98
    edges = np.full(truth.shape, 0.05)
    edges[5:19, 7:23] = 0.9
    edges[7:17, 9:21] = 0.05
    return Sample(np.stack([1 - likely, likely, edges]).astype(np.float16), BLACK, truth, 2)


def test_it_finds_the_doubt_that_sharpens_the_mask() -> None:
    found = EdgeWatershed.fit([sample(seed) for seed in range(2)], EdgeWatershedPlan(doubt=0.5), None)
    assert found.helps
    assert found.settings.doubt < 0.3
    assert found.quality.value > found.without.value + 0.2
    assert found.sentence().startswith("edge watershed fitted on 2 validation images (")
    other = sample(9)
    maps = other.maps.astype(np.float32)
    result = EdgeWatershed(found.settings).apply(maps, BLACK)
    before, after = ((most_likely(one[:2]) == other.truth).mean() for one in (maps, result))
    assert before < 0.85
    assert after > 0.93
    np.testing.assert_array_equal(result[2], maps[2])


def test_it_finds_the_doubt_of_a_network_that_is_never_sure_of_a_class() -> None:
    """Up to a doubt of 0.3 no pixel of the square is sure, all become background, and small steps change nothing."""
    samples = []
    for seed in range(2):
        sure = sample(seed)
        maps = sure.maps.copy()
        maps[1] = np.minimum(maps[1], 0.68)
        maps[0] = 1 - maps[1]
        samples.append(sure._replace(maps=maps))
    found = EdgeWatershed.fit(samples, EdgeWatershedPlan(), None)
    assert found.settings.doubt > 0.3
    assert found.helps


def test_the_default_keeps_a_class_that_the_network_is_never_sure_of() -> None:
    """With a doubt of 0.15, no pixel of the square is sure, and the background floods it."""
    unsure = sample(3)
    maps = unsure.maps.astype(np.float32)
    maps[1] = np.minimum(maps[1], 0.8)
    maps[0] = 1 - maps[1]
    before = (most_likely(maps[:2]) == unsure.truth).mean()
    after = (most_likely(EdgeWatershed().apply(maps, BLACK)[:2]) == unsure.truth).mean()
    assert after > before
    assert not most_likely(EdgeWatershed(EdgeWatershedPlan(doubt=0.15)).apply(maps, BLACK)[:2]).any()


def test_what_is_flooded_is_as_sure_as_what_floods_it() -> None:
    """A row of three classes: the second pixel is flooded from the left, the fourth from the right, over no edge."""
    maps = np.array(
        [[0.9, 0.5, 0.2, 0.3, 0.05], [0.08, 0.1, 0.3, 0.3, 0.05], [0.02, 0.4, 0.5, 0.4, 0.9], [0, 0.1, 0.9, 0.1, 0]],
        np.float32,
    )[:, None]
    found = EdgeWatershed(EdgeWatershedPlan(doubt=0.2)).apply(maps, BLACK)[:, 0]
    np.testing.assert_array_equal(found[3], maps[3, 0])
    np.testing.assert_array_equal(found[:, [0, 4]], maps[:, 0, [0, 4]])
    np.testing.assert_allclose(found[:3, 1], [0.8, 0.2 * 0.1 / 0.5, 0.2 * 0.4 / 0.5], rtol=1e-6)
    np.testing.assert_allclose(found[:3, 3], [0.2 * 0.3 / 0.6, 0.2 * 0.3 / 0.6, 0.8], rtol=1e-6)
    np.testing.assert_allclose(found[:3].sum(axis=0), 1, rtol=1e-6)


def test_where_there_is_no_data_there_is_still_none() -> None:
    maps = sample(0).maps.astype(np.float32)
    maps[:, :, 20:] = np.nan
    found = EdgeWatershed(EdgeWatershedPlan(doubt=0.1)).apply(maps, BLACK)
    assert np.isnan(found[:, :, 20:]).all()
    assert np.isfinite(found[:, :, :20]).all()


def test_without_a_sure_pixel_nothing_changes() -> None:
    maps = np.full((4, 3, 5), 1 / 3, np.float32)
    np.testing.assert_array_equal(EdgeWatershed(EdgeWatershedPlan(doubt=0.1)).apply(maps, BLACK), maps)


def test_it_stands_behind_the_seam() -> None:
    plan = EdgeWatershedPlan(doubt=0.2)
    assert POSTPROCESSORS["edges"] is EdgeWatershed
    held = held_by(PostprocessPlan(edges=plan), "edges")
    assert (held.settings, held.reach, held.describe()) == (plan, 64, "doubt 0.2")
    assert EdgeWatershed().settings == EdgeWatershedPlan()
    assert (held.most_pixels(4, 3), held.most_pixels(200, 3)) == (WHOLE, VALUES // 200)


def test_it_needs_edges_beside_classes() -> None:
    check_channels("edges", JOINT)
    with pytest.raises(MaskwrightError, match=r"edge watershed needs edges beside .* predicts classes: leave"):
        check_channels("edges", class_channels(3))
    with pytest.raises(MaskwrightError, match=r"dense CRF needs .* nothing else, .* predicts classes and edges: leave"):
        check_channels("crf", JOINT)
