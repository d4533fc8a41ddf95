"""Scores of objects over a data set: values, intervals, and what must hold for any prediction."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metrics.object_references import coco, coco_levels
from tests.metrics.objects import box, flat_scene, image, scene

from maskwright.core.classes import Classes
from maskwright.core.instances import Instances
from maskwright.metrics.coco_precision import average_precision, rankings
from maskwright.metrics.object_metrics import COUNTS, FROM_COCO, FROM_SUMS, IMAGE_METRICS, OBJECT_METRICS
from maskwright.metrics.object_overlap import compare, joined
from maskwright.metrics.object_summary import ComparedImage, mean_f1, object_scores
from maskwright.metrics.scores import Estimate, Scores, SizeBin
from maskwright.report.compared import Comparison, verdict

CLASSES = Classes.named(("background", "cell", "grain"))
ONE = Classes.named(("background", "cell"))


def scores(pictures, classes: Classes = CLASSES, groups=None) -> Scores:
    groups = [None] * len(pictures) if groups is None else groups
    images = [
        ComparedImage(str(place), group, compare(*picture, outlines=True))
        for place, (picture, group) in enumerate(zip(pictures, groups, strict=True))
    ]
    found = object_scores("instance", classes, images, outlines=True)
    assert found.score.value == mean_f1(classes, images)
    return found


def values(found: Scores) -> dict[str, float | None]:
    return {key: estimate.value for key, estimate in found.mean.items()}


def moved(seed: int) -> tuple[Instances, Instances]:
    """Objects of one class, found with a shift; in some images one is missed."""
    rng = np.random.default_rng(seed)
    places = [(30 * row, 30 * column) for row in range(4) for column in range(3)]
    truth = [box(top, left, 12, 12) for top, left in places]
    found = [box(top + rng.integers(0, 4), left, 12, 12, score=float(rng.random())) for top, left in places]
    return image(*truth), image(*found[: 12 - rng.integers(0, 3)])


@pytest.mark.parametrize("table", [OBJECT_METRICS, IMAGE_METRICS])
def test_every_metric_has_a_name_and_one_sentence_of_its_own(table) -> None:
    for entries in ([getattr(entry, name) for entry in table] for name in ("key", "label", "description")):
        assert len(set(entries)) == len(table)
        assert all(entries)
    assert all(entry.description.endswith(".") for entry in table)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_mean_of_a_curve_is_the_average_precision(seed: int) -> None:
    found = scores([scene(seed + place) for place in range(3)])
    curves = {curve.iou: curve.precision for curve in found.objects.curves}
    means = {iou: np.mean(precision) for iou, precision in curves.items()}
    if found.mean["objects"].value:
        assert means == pytest.approx({0.5: found.mean["mask_ap50"].value, 0.75: found.mean["mask_ap75"].value})
        assert all(len(curve) == 101 and np.all(np.diff(curve) <= 0) for curve in curves.values())
    else:
        assert not curves


def test_a_curve_by_hand() -> None:
    """Right, wrong, right of four objects: precision 1 up to recall 1/4, 2/3 up to 1/2, then 0."""
    truth = [box(0, 20 * place, 10, 10) for place in range(4)]
    found = [
        box(0, 0, 10, 10, score=0.9), box(50, 0, 10, 10, score=0.8), box(0, 20, 10, 10, score=0.7),
    ]  # fmt: skip
    curves = scores([(image(*truth), image(*found))], ONE).objects.curves
    for curve in curves:
        np.testing.assert_allclose(curve.precision, [1] * 26 + [2 / 3] * 25 + [0] * 50)


def test_the_tables_of_keys_make_up_the_metrics() -> None:
    keys = [metric.key for metric in OBJECT_METRICS]
    assert sorted((*FROM_SUMS, *FROM_COCO)) == sorted(keys)
    assert set(COUNTS) < set(FROM_SUMS)
    assert (keys[0], OBJECT_METRICS[0].rank) == ("f1", 0)
    assert [metric.key for metric in OBJECT_METRICS if not metric.higher_is_better] == ["count_bias", "count_error"]
    assert {metric.key: metric.ideal for metric in OBJECT_METRICS if metric.ideal is not None} == {"count_bias": 0.0}


def test_of_two_biases_the_one_closer_to_zero_is_better() -> None:
    bias = next(metric for metric in OBJECT_METRICS if metric.key == "count_bias")
    assert bias.improves(-0.5, 2.0)
    assert bias.improves(0.5, -2.0)
    assert not bias.improves(2.0, -2.0)
    runs = [
        SimpleNamespace(scores=SimpleNamespace(mean={bias.key: Estimate(value, None, None)})) for value in (2.0, -0.5)
    ]
    assert Comparison(tuple(runs), "test").best(bias) == [False, True]
    assert verdict(bias, Estimate(1.0, 0.5, 1.5)) == "higher"
    assert verdict(bias, Estimate(-1.0, -1.5, -0.5)) == "lower"
    assert verdict(bias, Estimate(1.0, -0.5, 1.5)) == "not clear"


def test_by_hand() -> None:
    """Image one: a right cell and a missed one. Image two: a grain half of which is found, called a cell."""
    one = image(box(0, 0, 10, 10), box(20, 0, 10, 10)), image(box(0, 0, 10, 10, score=0.5))
    two = image(box(0, 0, 10, 20, index=2)), image(box(0, 0, 10, 10, score=0.9))
    found = scores([one, two])
    cell, grain = found.classes
    assert (cell.name, cell.pixels, cell.images) == ("cell", 200, 1)
    assert (grain.name, grain.pixels, grain.images) == ("grain", 200, 1)
    assert cell["f1"].value == cell["precision"].value == cell["recall"].value == 0.5
    assert grain["f1"].value == 0
    assert found.mean["f1"].value == 0.25
    assert cell["mask_ap"].value == pytest.approx(0.5 * 51 / 101)
    assert (cell["objects"].value, cell["predicted"].value, found.mean["objects"].value) == (2, 2, 3)
    assert (cell["count_bias"].value, cell["count_error"].value) == (0, 1)
    assert found.mean["count_bias"].value == pytest.approx((0 - 0.5) / 2)
    assert found.mean["mask_ap_large"].value is None
    first, second = found.per_image
    assert first.values == {"f1": pytest.approx(2 / 3), "cell_ap": 0.5, "pq": pytest.approx(2 / 3)} | {
        "objects": 2.0,
        "predicted": 1.0,
    }
    assert (second.values["f1"], second.values["objects"], second.values["predicted"]) == (0, 1, 1)
    assert found.objects is not None
    assert found.objects.counts == ((2, 1), (1, 1))
    assert found.objects.sizes[0] == SizeBin(8, pytest.approx(8 * 2**0.5), 1, 1)  # a circle of 100 has 11.28
    assert sum(entry.missed for entry in found.objects.sizes) == 2


def test_nothing_in_any_image_is_undefined() -> None:
    found = scores([(image(), image())], ONE)
    undefined = {key for key, value in values(found).items() if value is None}
    assert undefined == {metric.key for metric in OBJECT_METRICS if metric.unit == "share"}
    assert found.score.value is None
    assert found.per_image[0].values == {"f1": None, "cell_ap": None, "pq": None, "objects": 0.0, "predicted": 0.0}


def test_classes_without_a_background_all_have_scores() -> None:
    classes = Classes.named(("cell", "grain"))
    found = scores([(image(box(0, 0, 9, 9, index=0)), image(box(0, 0, 9, 9, index=0)))], classes)
    assert [entry.name for entry in found.classes] == ["cell", "grain"]
    assert (found.classes[0]["f1"].value, found.classes[1]["f1"].value) == (1, None)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_perfect_prediction_scores_one_everywhere(seed: int) -> None:
    """Also where annotated objects overlap, and where crowds are annotated."""
    pictures = []
    for place in range(5):
        truth, _ = scene(seed + 10**7 * place)
        pictures.append((truth, Instances(truth.size, tuple(entry for entry in truth.objects if not entry.crowd))))
    found = scores(pictures)
    for metric in OBJECT_METRICS:
        estimates = [found.mean[metric.key], *(entry[metric.key] for entry in found.classes)]
        if metric.unit == "share":
            assert {estimate.value for estimate in estimates} <= {1.0, None}, metric.key
    assert found.mean["count_error"].value == found.mean["count_bias"].value == 0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_order_of_objects_and_images_does_not_matter(seed: int) -> None:
    """Where no two scores are equal. Of two candidates of the same IoU, AJI takes the first, by its definition."""
    rng = np.random.default_rng(seed)
    pictures = [flat_scene(seed + 10**7 * place) for place in range(4)]

    def shuffled(objects: Instances) -> Instances:
        return Instances(objects.size, tuple(objects.objects[place] for place in rng.permutation(len(objects))))

    mixed = [(shuffled(truth), shuffled(found)) for truth, found in pictures]
    before, after = scores(pictures), scores([mixed[place] for place in rng.permutation(4)])
    for key, estimate in before.mean.items():
        if key == "aji":
            continue
        other = after.mean[key]
        for ours, theirs in ((estimate.value, other.value), (estimate.low, other.low), (estimate.high, other.high)):
            assert ours == (None if theirs is None else pytest.approx(theirs)), key


def test_means_over_classes_are_those_of_coco() -> None:
    pictures = [scene(seed) for seed in range(30)]
    found = values(scores(pictures))
    for kind, theirs in (("mask", "segm"), ("box", "bbox")):
        evaluation = coco(pictures, (1, 2), theirs)
        levels = [np.nanmean(coco_levels(evaluation, area), axis=1) for area in range(4)]
        expected = [*levels[0], *(level[0] for level in levels[1:])]
        keys = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
        np.testing.assert_allclose([found[f"{kind}_{key}"] for key in keys], expected, atol=1e-9)


def test_intervals_hold_their_values_and_narrow_with_more_images() -> None:
    few, many = (scores([moved(seed) for seed in range(count)], ONE) for count in (8, 80))
    for key in ("f1", "f1_80", "pq", "aji", "cell_ap", "mask_ap", "mask_ap75", "box_ap", "count_bias", "count_error"):
        widths = []
        for found in (few, many):
            estimate = found.mean[key]
            assert estimate.low < estimate.value < estimate.high, key
            widths.append(estimate.high - estimate.low)
        assert widths[1] < 0.6 * widths[0], key
    assert few.mean["count_bias"].high < 0.5
    assert (few.mean["objects"].low, few.mean["objects"].high) == (None, None)


def test_the_interval_of_the_average_precision_is_that_of_images_left_out() -> None:
    """The jackknife by recomputation; its steps at single recalls even out over the thresholds."""
    compared = [compare(*moved(seed)) for seed in range(60)]
    estimate = object_scores("instance", ONE, [ComparedImage("", None, part) for part in compared]).mean["mask_ap"]
    without = [
        average_precision(rankings(joined(compared[:place] + compared[place + 1 :]), "mask")[""], 2)[0, 1]
        for place in range(60)
    ]
    error = np.sqrt(59 / 60 * np.square(without - np.mean(without)).sum())
    assert estimate.high - estimate.low == pytest.approx(2 * 2.0 * error, rel=0.25)


def test_intervals_are_over_groups() -> None:
    pictures = [moved(seed) for seed in range(6)] * 4
    alone, grouped = scores(pictures, ONE), scores(pictures, ONE, [str(place % 6) for place in range(24)])
    assert grouped.groups == 6
    for key in ("f1_80", "mask_ap", "count_error"):
        assert grouped.mean[key].value == pytest.approx(alone.mean[key].value)
        assert grouped.mean[key].high - grouped.mean[key].low > 1.5 * (alone.mean[key].high - alone.mean[key].low)


def test_more_than_a_hundred_objects_are_all_ranked() -> None:
    objects = [box(5 * row, 5 * column, 4, 4) for row in range(15) for column in range(15)]
    found = values(scores([(image(*objects), image(*objects))], ONE))
    assert (found["mask_ap"], found["box_ap"], found["f1"]) == (1, 1, 1)


def test_scores_survive_json() -> None:
    found = scores([moved(seed) for seed in range(5)], ONE)
    assert Scores.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))) == found
    assert replace(found, scope="one scene") != found
