from __future__ import annotations

import json
from math import hypot

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import jaccard_score

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.metrics.judge import Judge, most_likely
from maskwright.metrics.label_metrics import BY_CLASS, IMAGE_METRICS, LABEL_METRICS
from maskwright.metrics.scores import Scores

NAMES = ("road", "car", "sky")


def hot(labels: np.ndarray, sure: float = 0.8) -> np.ndarray:
    """Probabilities (3, H, W) that give `sure` to the label and share the rest."""
    return np.where(np.arange(3)[:, None, None] == labels, sure, (1 - sure) / 2).astype(np.float32)


def two_images() -> tuple[list[np.ndarray], list[np.ndarray]]:
    truths, predictions = np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2, 4), np.uint8)
    truths[0, :, 2:] = 1
    predictions[0, :, 1:] = 1  # two pixels too many
    truths[1, 0, 0] = 1  # a car that is missed
    truths[1, 1, 3] = IGNORE
    predictions[1, 1, 3] = 2  # made up, but nobody knows
    return list(predictions), list(truths)


def judged(**options: float) -> Scores:
    judge = Judge(NAMES, calibration_stride=1, **options)
    for index, (prediction, truth) in enumerate(zip(*two_images(), strict=True)):
        judge.update(f"{index}.png", hot(prediction), truth)
    return judge.compute()


def test_by_hand() -> None:
    scores = judged()
    assert scores.confusion == ((8, 2, 0), (1, 4, 0), (0, 0, 0))
    road, car, sky = scores.classes
    assert (road.pixels, road.images, car.pixels, car.images, sky.pixels, sky.images) == (10, 2, 5, 2, 0, 0)
    assert road["iou"].value == pytest.approx(8 / 11)
    assert car["iou"].value == pytest.approx(4 / 7)
    assert car["dice"].value == pytest.approx(8 / 11)
    assert car["precision"].value == pytest.approx(4 / 6)
    assert car["recall"].value == pytest.approx(4 / 5)
    assert car["accuracy"].value == pytest.approx(12 / 15)
    assert scores.mean["pixel_accuracy"].value == pytest.approx(12 / 15)
    assert scores.mean["iou"].value == pytest.approx((8 / 11 + 4 / 7) / 2)
    # Image 0: road 2/4, car 4/6. Image 1: road 6/7, car 0.
    assert [image.values["iou"] for image in scores.per_image] == pytest.approx([(1 / 2 + 2 / 3) / 2, (6 / 7 + 0) / 2])
    assert scores.mean["iou_per_image"].value == pytest.approx(((1 / 2 + 2 / 3) / 2 + 6 / 7 / 2) / 2)
    assert [image.values["accuracy"] for image in scores.per_image] == pytest.approx([6 / 8, 6 / 7])
    # Image 0: one column of edge 1 away out of 3 (all pixels are edge); image 1: missed, the diagonal.
    assert car["hd95"].value == pytest.approx((1 + hypot(2, 4)) / 2)
    assert car["nsd"].value == pytest.approx((1 + 0) / 2)
    # The band is one pixel wide, so everything here is edge.
    assert car["boundary_iou"].value == pytest.approx(4 / 7)
    assert (scores.images, scores.groups) == (2, 0)


def test_class_that_is_nowhere_is_left_out() -> None:
    sky = judged().classes[2]
    for key in ("iou", "dice", "precision", "recall", "accuracy", "boundary_iou", "hd95", "nsd"):
        estimate = sky[key]
        assert (estimate.value, estimate.low, estimate.high) == (None, None, None)


def test_calibration_by_hand() -> None:
    calibration = judged().calibration
    assert calibration.ece == pytest.approx(abs(12 / 15 - 0.8), abs=1e-6)
    assert (calibration.ece_scaled, calibration.temperature, calibration.bins_scaled) == (None, 1.0, ())
    assert calibration.bins[11].share == 1
    cooled = judged(temperature=0.5).calibration
    assert cooled.ece == calibration.ece
    assert cooled.ece_scaled == pytest.approx(0.64 / (0.64 + 0.02) - 12 / 15, abs=1e-6)


def test_labels_alone_know_no_calibration() -> None:
    judge = Judge(NAMES)
    for index, (prediction, truth) in enumerate(zip(*two_images(), strict=True)):
        judge.update(f"{index}.png", prediction, truth)
    scores = judge.compute()
    assert scores.calibration is None
    assert scores.mean == judged().mean
    assert Scores.from_json(json.loads(json.dumps(scores.to_json(), allow_nan=False))) == scores


def test_without_surfaces() -> None:
    judge = Judge(NAMES, surfaces=False)
    judge.update("0.png", *(pair[0] for pair in two_images()))
    assert judge.compute().mean["hd95"].value is None
    assert judge.compute().mean["boundary_iou"].value == judge.compute().mean["iou"].value


def test_goes_to_json_and_back() -> None:
    scores = judged(temperature=1.5)
    assert Scores.from_json(json.loads(json.dumps(scores.to_json(), allow_nan=False))) == scores


def test_scores_carry_the_table_of_their_metrics() -> None:
    scores = judged()
    assert (scores.task, scores.metrics, scores.image_metrics) == ("semantic", LABEL_METRICS, IMAGE_METRICS)
    assert list(scores.mean) == [metric.key for metric in LABEL_METRICS]
    assert all(list(entry.values) == list(BY_CLASS) for entry in scores.classes)
    assert all(list(entry.values) == [metric.key for metric in IMAGE_METRICS] for entry in scores.per_image)
    assert scores.scope is None


def test_the_headline_is_the_mean_iou() -> None:
    scores = judged()
    assert scores.headline_metric == LABEL_METRICS[0]
    assert scores.image_headline == IMAGE_METRICS[0]
    assert scores.score == scores.mean["iou"]
    assert scores.score.value == pytest.approx((8 / 11 + 4 / 7) / 2)


def test_values_stand_beside_the_name_in_json() -> None:
    plain = judged().to_json()
    assert plain["classes"][1]["iou"]["value"] == pytest.approx(4 / 7)
    assert plain["per_image"][0]["accuracy"] == pytest.approx(6 / 8)
    assert plain["confusion"] == [[8, 2, 0], [1, 4, 0], [0, 0, 0]]
    assert plain["metrics"][0]["key"] == plain["headline"] == "iou"


def test_one_image_has_no_interval() -> None:
    judge = Judge(NAMES)
    judge.update("0.png", *(pair[0] for pair in two_images()))
    estimate = judge.compute().mean["iou"]
    assert estimate.value is not None
    assert (estimate.low, estimate.high) == (None, None)


def test_an_interval_of_distances_is_in_pixels_and_one_of_shares_ends_at_one() -> None:
    judge = Judge(NAMES)
    for index in range(6):
        truth = np.zeros((32, 32), np.uint8)
        truth[4:12, 4:12] = 1
        judge.update(str(index), np.roll(truth, 3 + index, 1), truth)
    scores = judge.compute()
    for estimate in (scores.classes[1]["hd95"], scores.mean["hd95"]):
        assert 3 < estimate.low < estimate.value < estimate.high < 16
    for estimate in (scores.classes[1]["iou"], scores.mean["iou"], scores.mean["nsd"], scores.mean["pixel_accuracy"]):
        assert 0 < estimate.low < estimate.value < estimate.high < 1


def test_intervals_are_over_groups_where_there_are_groups() -> None:
    random = np.random.default_rng(0)
    alone, together = Judge(NAMES, surfaces=False), Judge(NAMES, surfaces=False)
    for index in range(40):
        truth = random.integers(0, 3, (8, 8)).astype(np.uint8)
        noise = random.random((8, 8)) < (0.5 if index < 20 else 0.1)
        prediction = np.where(noise, (truth + 1) % 3, truth).astype(np.uint8)
        alone.update(str(index), prediction, truth)
        together.update(str(index), prediction, truth, group="abcd"[index // 10])
    one, other = alone.compute(), together.compute()
    assert (one.groups, other.groups) == (0, 4)
    assert one.mean["iou"].value == other.mean["iou"].value
    assert other.mean["iou"].high - other.mean["iou"].low > 1.5 * (one.mean["iou"].high - one.mean["iou"].low)
    assert one.mean["iou"].low < one.mean["iou"].value < one.mean["iou"].high


def test_nothing_labelled_is_undefined_but_counted() -> None:
    judge = Judge(NAMES)
    for index in range(2):
        judge.update(str(index), hot(np.zeros((3, 3))), np.full((3, 3), IGNORE, np.uint8))
    scores = judge.compute()
    assert scores.mean["iou"].value is None
    assert scores.mean["hd95"].value is None
    assert scores.per_image[0].values["iou"] is None
    assert scores.calibration is None


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_ignored_pixels_are_never_seen(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth, prediction = random.integers(0, 3, (2, 9, 11)).astype(np.uint8)
    truth[random.random((9, 11)) < 0.3] = IGNORE
    changed = np.where(truth == IGNORE, random.integers(0, 3, (9, 11)), prediction).astype(np.uint8)
    results = []
    for labels in (prediction, changed):
        judge = Judge(NAMES, calibration_stride=1, temperature=2.0)
        judge.update("a", hot(labels), truth)
        judge.update("b", hot(labels), truth)
        results.append(judge.compute())
    assert results[0] == results[1]
    seen = truth != IGNORE
    expected = jaccard_score(truth[seen], prediction[seen], average="macro")
    assert results[0].mean["iou"].value == pytest.approx(expected)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(1, 6))
def test_most_likely_is_argmax(seed: int, classes: int) -> None:
    probabilities = np.random.default_rng(seed).integers(0, 4, (classes, 5, 6)).astype(np.float32)
    assert np.array_equal(most_likely(probabilities), probabilities.argmax(0))


def test_errors_name_the_image() -> None:
    judge = Judge(NAMES)
    truth = np.zeros((4, 5), np.uint8)
    with pytest.raises(MaskwrightError, match=r"a\.png: the prediction has shape \(2, 4, 5\)"):
        judge.update("a.png", np.zeros((2, 4, 5), np.float32), truth)
    with pytest.raises(MaskwrightError, match=r"a\.png: the prediction has shape \(5, 4\)"):
        judge.update("a.png", truth.T, truth)
    with pytest.raises(MaskwrightError, match=r"a\.png: the prediction is int64"):
        judge.update("a.png", truth.astype(np.int64), truth)
    with pytest.raises(MaskwrightError, match=r"a\.png: the truth holds label 9"):
        judge.update("a.png", truth, truth + 9)
    with pytest.raises(MaskwrightError, match="nothing to score"):
        judge.compute()


@pytest.mark.parametrize("stride", [1, 3, 4])
def test_labels_with_thinned_probabilities_say_the_same_as_all_of_them(stride: int) -> None:
    rng = np.random.default_rng(stride)
    whole, thinned = (Judge(NAMES, temperature=1.7, calibration_stride=stride) for _ in range(2))
    for size in ((13, 22), (4, 4), (1, 9)):
        probabilities = rng.dirichlet(np.ones(3), size).transpose(2, 0, 1).astype(np.float32)
        truth = rng.choice(np.array([0, 1, 2, IGNORE], np.uint8), size)
        whole.update(str(size), probabilities, truth)
        thinned.update(str(size), most_likely(probabilities), truth, thin=probabilities[:, ::stride, ::stride])
    assert thinned.compute() == whole.compute()
