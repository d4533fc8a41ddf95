"""Scores of any task: they carry their own table, go to JSON and back, and name their headline."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from maskwright.metrics.scores import Estimate, ImageScore, Metric, Scores

ERROR = Metric("mae", "Mean absolute error", "Mean distance from the truth.", unit="", higher_is_better=False)
WORST = Metric("worst", "Largest error", "Of any pixel.", unit="px", rank=2)
DEPTH = Scores(
    task="depth",
    metrics=(WORST, ERROR),
    image_metrics=(WORST, ERROR),
    headline="mae",
    images=1,
    groups=0,
    classes=(),
    mean={"mae": Estimate(0.5, None, None), "worst": Estimate(3.0, None, None)},
    per_image=(ImageScore("a.png", "day", {"mae": 0.5, "worst": None}),),
    scope="the scenes of one city",
)


def test_a_task_without_classes_goes_to_json_and_back() -> None:
    text = json.dumps(DEPTH.to_json(), allow_nan=False)
    assert Scores.from_json(json.loads(text)) == DEPTH


def test_the_headline_is_found_by_its_key() -> None:
    assert DEPTH.headline_metric is ERROR
    assert DEPTH.score == Estimate(0.5, None, None)


def test_images_are_ranked_by_the_headline_or_else_by_the_first_metric() -> None:
    assert DEPTH.image_headline is ERROR
    assert replace(DEPTH, image_metrics=(WORST,)).image_headline is WORST


def test_the_errors_of_images_are_the_lower_the_better_whatever_the_metric() -> None:
    iou = Metric("iou", "IoU", "Overlap.")
    images = (ImageScore("a", None, {"mae": 0.5, "iou": 0.75}), ImageScore("b", None, {"mae": None, "iou": None}))
    scores = replace(DEPTH, per_image=images)
    assert scores.image_errors == {"a": 0.5}
    assert replace(scores, image_metrics=(iou,)).image_errors == {"a": 0.25}
    px = replace(iou, unit="px")
    assert replace(scores, image_metrics=(px,)).image_errors == {"a": -0.75}


def test_scores_are_given_by_name() -> None:
    with pytest.raises(TypeError):
        Scores("depth")
