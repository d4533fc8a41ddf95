"""Rules about masks: what they would gain, on label maps whose faults are known."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from maskwright.cli.commands import command
from maskwright.core.channels import CLASS_GROUP, Channels
from maskwright.core.classes import IGNORE
from maskwright.core.records import ImageRef, Record
from maskwright.workflows.diagnose_parts.prior import TOGETHER, prior

NAMES = ("ground", "disc", "square")


def annotated() -> np.ndarray:
    """Return discs and squares that ground keeps apart."""
    truth = np.zeros((40, 60), np.uint8)
    truth[10:30, 5:25], truth[10:30, 35:55] = 1, 2
    return truth


def predicted(number: int, *, specks: bool, strays: bool) -> np.ndarray:
    """Return the same with specks of up to three pixels on the ground, or a square of 36 pixels in the disc."""
    labels = annotated()
    if specks:
        labels[2, 28 : 29 + number % 3], labels[33, 20 : 21 + number % 2] = 1, 2
    if strays:
        labels[15:21, 10:16] = 2
    return labels


def study_of(*, specks: bool, strays: bool, images: int = 8) -> Any:
    looks = [
        SimpleNamespace(
            record=Record(str(number), ImageRef(Path("a.png")), None),
            labels=predicted(number, specks=specks, strays=strays),
            truth=annotated(),
        )
        for number in range(images)
    ]
    card = SimpleNamespace(channels=(Channels(name=CLASS_GROUP, count=3, activation="softmax"),))
    return SimpleNamespace(
        looks=looks,
        predictor=SimpleNamespace(card=card),
        classes=SimpleNamespace(names=NAMES),
        request=SimpleNamespace(seed=0),
        run="run",
        dataset=SimpleNamespace(root="data"),
        records=lambda _split: [None] * TOGETHER,
        pairs=lambda records: [(None, None, SimpleNamespace(labels=annotated())) for _ in records],
    )


def asked(study: Any) -> Any:
    (answer,) = prior(study, time.monotonic() + 60)
    return answer


def test_specks_are_worth_a_least_area_and_named_with_the_command() -> None:
    answer = asked(study_of(specks=True, strays=False))
    small = answer.figures[0]
    assert small.value > 0
    assert small.low > 0
    assert [command(cure) for cure in answer.cures] == ["maskwright evaluate run data --postprocess regions"]
    assert answer.stake == small.value
    assert answer.figures[2].value == 0
    rows = {row[0]: row[1:] for row in answer.grids[1].rows}
    assert rows["disc"] == ("1.0", "2.0", "4 px")
    assert rows["ground"][:2] == ("1.0", "1.0")


def test_classes_that_never_touch_are_named_and_what_lies_among_them_goes() -> None:
    answer = asked(study_of(specks=False, strays=True))
    small, stray, share = answer.figures
    assert share.value == pytest.approx(24 * 2 / (24 * 2 + 80 * 2 * 2))
    assert "1 pair of classes never touch" in answer.verdict
    assert "square and disc" in answer.grids[0].rows[1][0]
    assert stray.value == pytest.approx(small.value)  # either rule gives the annotation
    assert stray.value > 0


def test_masks_without_faults_need_no_rule() -> None:
    answer = asked(study_of(specks=False, strays=False))
    assert [figure.value for figure in answer.figures] == [0, 0, 0]
    assert "hardly changes" in answer.verdict
    assert (answer.level, answer.stake, answer.cures) == ("good", 0.0, ())


def test_a_gain_without_an_interval_may_be_chance() -> None:
    study = study_of(specks=True, strays=False)
    for look in study.looks:
        look.record = replace(look.record, group="video")
    answer = asked(study)
    assert answer.figures[0].low is None
    assert "may be chance" in answer.verdict
    assert (answer.level, answer.stake, len(answer.cures)) == ("note", 0.0, 1)


def test_where_all_classes_touch_nothing_is_said_of_it() -> None:
    study = study_of(specks=True, strays=False)
    study.records = lambda _split: []
    answer = asked(study)
    assert len(answer.figures) == len(answer.grids[0].rows) == 1
    assert "touch" not in answer.verdict


def test_classes_with_ignored_pixels_between_them_may_touch() -> None:
    """As in annotations of which each object has a band of ignored pixels around it."""
    banded = np.full((40, 60), IGNORE, np.uint8)
    banded[:8], banded[10:30, 5:25], banded[10:30, 35:55] = 0, 1, 2
    study = study_of(specks=False, strays=True)
    study.pairs = lambda records: [(None, None, SimpleNamespace(labels=banded)) for _ in records]
    answer = asked(study)
    assert len(answer.figures) == len(answer.grids[0].rows) == 1
    assert "never touch" not in answer.verdict


def test_three_images_are_too_few() -> None:
    answer = asked(study_of(specks=True, strays=False, images=3))
    assert answer.verdict == "Not measured: 3 images could be looked at, and 4 are needed."
    assert answer.level == "open"


def test_a_network_of_other_maps_is_left_out() -> None:
    study = study_of(specks=True, strays=False)
    study.predictor.card.channels = (Channels(name="edge", count=1, activation="sigmoid"),)
    assert asked(study).level == "open"
