"""The region filter: by hand, its fit against relabelled maps, and where it is found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwright.core.plan import PostprocessPlan, RegionsPlan
from maskwright.metrics.confusion import confusion_matrix, iou, mean_defined, per_class
from maskwright.metrics.judge import most_likely
from maskwright.ops.small_regions import regions_of
from maskwright.ops.tiles import Cuts
from maskwright.postprocess import POSTPROCESSORS, Sample, held_by
from maskwright.postprocess.region_filter import RegionFilter
from maskwright.postprocess.region_fit import RegionTable, fit_areas

IMAGE = np.zeros((24, 32, 3), np.uint8)


def truth() -> np.ndarray:
    """Return an object of class 1, 12 x 16 pixels."""
    labels = np.zeros((24, 32), np.uint8)
    labels[6:18, 8:24] = 1
    return labels


def noisy() -> np.ndarray:
    """Return the same with a speck of 4 pixels beside it, and a hole of 6 in it."""
    labels = truth()
    labels[1:3, 1:3] = 1
    labels[10:12, 12:15] = 0
    return labels


def maps_of(labels: np.ndarray) -> np.ndarray:
    return np.stack([np.where(labels == index, 0.7, 0.3) for index in range(2)]).astype(np.float32)


@pytest.mark.parametrize(("least", "specks", "holes"), [((4, 5), 0, 6), ((7, 4), 4, 0), ((8,), 0, 0), ((0,), 4, 6)])
def test_specks_and_holes_go_below_the_area_of_their_class(least: tuple[int, ...], specks: int, holes: int) -> None:
    maps = maps_of(noisy())
    kept = maps.copy()
    found = RegionFilter(RegionsPlan(least=least)).apply(maps, IMAGE)
    np.testing.assert_array_equal(maps, kept)
    labels = most_likely(found)
    assert (labels[:6].sum(), (labels[6:18, 8:24] == 0).sum()) == (specks, holes)
    np.testing.assert_allclose(found.sum(0), 1, rtol=1e-6)
    np.testing.assert_allclose(found.max(0), 0.7)  # the two probabilities are exchanged


def test_a_fit_finds_areas_between_noise_and_objects() -> None:
    sample = Sample(maps_of(noisy()).astype(np.float16), IMAGE, truth(), 2)
    fit = RegionFilter.fit([sample], RegionsPlan(), None)
    assert fit.settings.least == (8, 8)
    assert fit.helps
    assert (fit.quality.iou, fit.quality.boundary_iou) == (1.0, 1.0)
    expected = "region filter fitted on 1 validation image (12 settings tried): least 8, 8 px; IoU"
    assert fit.sentence().startswith(expected)
    assert fit.to_json()["settings"] == {"least": (8, 8)}


def test_a_fit_that_finds_nothing_to_remove_does_not_help() -> None:
    sample = Sample(maps_of(truth()).astype(np.float16), IMAGE, truth(), 2)
    fit = RegionFilter.fit([sample], RegionsPlan(), None)
    assert (fit.settings.least, fit.helps) == ((0, 0), False)


def test_a_fit_does_not_judge_regions_that_its_window_cuts() -> None:
    labels = noisy()
    labels[20:22, :3] = 1  # by the truth no object, but a part of one may look like it
    sample = Sample(maps_of(labels).astype(np.float16), IMAGE, truth(), 2)
    whole, cut = (
        RegionFilter.fit([each], RegionsPlan(), None) for each in (sample, sample._replace(cuts=Cuts(left=True)))
    )
    assert (whole.settings.least, whole.quality.iou) == ((8, 8), 1.0)
    assert cut.settings.least == (8, 8)
    assert cut.quality.iou < 1


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 4))
def test_the_table_counts_what_relabelled_maps_count(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = [rng.integers(0, classes, (2, 9, 11)).astype(np.uint8) for _ in range(2)]
    tables = [RegionTable.of(regions_of(labels, classes), real) for labels, real in pairs]
    least = rng.integers(0, 12, classes)
    table = RegionTable.joined(tables)
    gone = table.smaller_than(least)
    expected = np.zeros((classes, classes), np.int64)
    for labels, real in pairs:
        regions = regions_of(labels, classes)
        expected += confusion_matrix(regions.without(regions.areas < least[regions.labels]), real, classes)
    np.testing.assert_array_equal(table.confusion(gone), expected)
    before = table.confusion(np.zeros_like(gone))
    np.testing.assert_array_equal(before + table.moved(gone), expected)
    best = table.confusion(table.smaller_than(fit_areas(table)))
    assert mean_defined(iou(per_class(best))) >= mean_defined(iou(per_class(before)))


def test_a_class_that_no_image_shows_keeps_its_regions() -> None:
    """Its regions lower the mean IoU by a third, but they say nothing of the size of its objects."""
    predicted = noisy()
    predicted[20:22, 1:31] = 2
    table = RegionTable.of(regions_of(predicted, 3), truth())
    assert fit_areas(table).tolist() == [8, 8, 0]


def test_it_is_found_by_its_name_with_the_settings_of_the_plan() -> None:
    kept = RegionsPlan(least=(16, 64))
    assert POSTPROCESSORS["regions"] is RegionFilter
    assert held_by(PostprocessPlan(regions=kept), "regions").settings == kept
    assert RegionFilter(kept).reach == 16
