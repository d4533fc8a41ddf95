from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import torch
from tests.workflows import toy_data as toy
from torch import nn

from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import CrfPlan, DataPlan, ModelPlan, PredictPlan
from maskwright.data.formats import ReadOptions, read_dataset
from maskwright.data.labels import read_pair
from maskwright.data.readers import image_size
from maskwright.inference.predictor import Predictor
from maskwright.metrics.judge import Judge
from maskwright.models.bundle import Card, CardClasses
from maskwright.tasks import label_fit
from maskwright.workflows.evaluate_parts import postprocess_fit, scoring

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from maskwright.core.records import Dataset, Record


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return read_dataset(toy.write(tmp_path / "data", {"test": 12}), ReadOptions())


def predictor_of(data: Dataset, **card: Any) -> Predictor:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 3, 3, padding=1))
    return Predictor.of(
        net,  # type: ignore[arg-type]
        Card(
            model=ModelPlan(),
            classes=CardClasses.of(data.classes),
            data=DataPlan(scale=0.7),
            predict=PredictPlan(tile=(32, 32), overlap=0.25),
            **card,
        ),
        "cpu",
    )


def sampled(predictor: Predictor, data: Dataset) -> Any:
    """Sample all records, as the fit of the decoding does."""
    seen = scoring._seen(predictor, data, data.records, None)
    return label_fit.sample(seen, len(data.records), len(data.classes))


class Clock:
    """Time that stands still but while an image is predicted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, each: float) -> None:
        self.now = 100.0
        self.predicted = 0
        whole = Predictor.blocks

        def slow(predictor: Predictor, image: Any) -> Iterator[Any]:
            self.now += each
            self.predicted += 1
            return whole(predictor, image)

        monkeypatch.setattr(Predictor, "blocks", slow)
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.mark.parametrize("temperature", [1.0, 1.6])
def test_the_scores_are_those_of_whole_probabilities(data: Dataset, temperature: float) -> None:
    """Block by block, or all at once: the same to the last digit."""
    whole = Judge(data.classes.names, temperature=temperature)
    plain = predictor_of(data)
    for record in data.records:
        image, truth = read_pair(data, record)
        whole.update(record.id, plain.maps(image), truth, group=record.group)
    decoding = {} if temperature == 1 else {"temperature": temperature}
    found = scoring.score(predictor_of(data, decoding=decoding), data, data.records)
    expected = whole.compute()
    assert found.confusion == expected.confusion
    assert found.calibration == expected.calibration
    assert {entry.id: entry for entry in found.per_image} == {entry.id: entry for entry in expected.per_image}


def test_scores_say_of_which_scenes_alone_they_speak(data: Dataset) -> None:
    assert scoring.score(predictor_of(data), data, data.records).scope is None
    film = tuple(
        replace(record, group="film", split="train" if n < 6 else "test") for n, record in enumerate(data.records)
    )
    data = replace(data, records=film)
    scores = scoring.score(predictor_of(data), data, data.part("test"))
    assert scores.groups == 1
    assert scores.mean["iou"].low is None
    assert scores.scope is not None
    assert "(film), and training images come from the same" in scores.scope


def test_the_sample_is_what_the_network_says_at_labelled_pixels(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_fit, "SAMPLE_PIXELS", 12 * 200)
    predictor = predictor_of(data)
    seen = sampled(predictor, data)
    assert seen is not None
    scores, truth, images = seen
    assert scores.shape == (2400, 3)
    assert truth.shape == (2400,)
    assert np.bincount(images).tolist() == [200] * 12
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1, rtol=1e-5)
    image, _ = read_pair(data, data.records[0])
    known = np.array([0, 63, 64, 47 * 64 + 63, 1000])
    expected = predictor.maps(image).reshape(3, -1)[:, known].T
    np.testing.assert_array_equal(label_fit.probabilities_at(predictor.blocks(image), known, 64, 3), expected)


def test_many_classes_are_sampled_less(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_fit, "SAMPLE_VALUES", 12 * 3 * 50)
    seen = sampled(predictor_of(data), data)
    assert seen is not None
    assert len(seen[0]) == 12 * 50


@pytest.mark.parametrize(
    ("seconds", "images"),
    [
        (0.0, 4),  # the fewest, whatever they cost
        (70.0, 5),  # one more, and two examples after it
        (1000.0, 12),
    ],
)
def test_judging_leaves_time_for_examples_before_the_deadline(
    data: Dataset, monkeypatch: pytest.MonkeyPatch, seconds: float, images: int
) -> None:
    clock = Clock(monkeypatch, each=10.0)
    scores = scoring.score(predictor_of(data), data, data.records, deadline=clock.now + seconds)
    assert (scores.images, clock.predicted) == (images, images)
    if seconds:
        scoring.examples(predictor_of(data), data, data.records, scores, deadline=100.0 + seconds)
        assert clock.now <= 100.0 + seconds


def test_fitting_ends_before_its_deadline_but_takes_one(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, each=10.0)
    taken: list[int] = []

    def fit(scores: Any, truth: Any, images: Any, deadline: float | None) -> Any:
        taken.append(len(np.unique(images)))
        return np.zeros(3, np.float32)

    monkeypatch.setattr(label_fit, "fit_offsets", fit)
    for seconds, images in ((0.0, 1), (35.0, 3), (999.0, 12)):
        clock.predicted = 0
        found = scoring.fit(predictor_of(data), data, data.records, deadline=clock.now + seconds)
        assert found.decoding.keys() == {"temperature"}
        assert (clock.predicted, taken.pop()) == (images, images)


def test_what_is_fitted_is_kept_and_noted(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    deadlines: list[float | None] = []

    def fit(scores: Any, truth: Any, images: Any, deadline: float | None) -> Any:
        deadlines.append(deadline)
        return np.array([0.5, 0, -0.25], np.float32)

    monkeypatch.setattr(label_fit, "fit_offsets", fit)
    found = scoring.fit(predictor_of(data), data, data.records, fit_deadline=7.0)
    assert deadlines == [7.0]
    assert found.decoding["offsets"] == [0.5, 0.0, -0.25]
    assert found.notes == ("class offsets fitted on validation images: class-0 +0.50, class-1 +0.00, class-2 -0.25",)


def test_examples_are_the_worst_and_the_best_and_fewer_when_it_is_late(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = predictor_of(data)
    scores = scoring.score(predictor, data, data.records)
    ranked = [entry.id for entry in sorted(scores.per_image, key=lambda entry: entry.values["iou"] or 0)]
    found = scoring.examples(predictor, data, data.records, scores)
    assert [entry.id for entry in found] == [*ranked[:4], *ranked[:-5:-1]]
    clock = Clock(monkeypatch, each=10.0)
    late = scoring.examples(predictor, data, data.records, scores, deadline=clock.now)
    assert [entry.id for entry in late] == [ranked[0], ranked[-1]]
    some = scoring.examples(predictor, data, data.records, scores, deadline=clock.now + 45)
    assert [entry.id for entry in some] == [*ranked[:2], *ranked[:-3:-1]]


def test_the_cost_of_an_image_is_measured_on_the_second_unless_the_first_was_dear(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch, each=10.0)
    assert scoring.seconds_each(predictor_of(data), data, data.records, enough=20.0) == 13.0
    assert clock.predicted == 2
    assert scoring.seconds_each(predictor_of(data), data, data.records, enough=5.0) == 13.0
    assert clock.predicted == 3


def test_images_of_average_size_are_measured(data: Dataset) -> None:
    for record, side in zip(data.records[:3], (8, 12, 150), strict=True):  # the others have 48x64
        assert cv2.imwrite(str(record.image.path), np.zeros((side, side, 3), np.uint8))
    usual = data.records[3].image
    typical, _ = scoring._by_work(predictor_of(data), data.records)
    assert image_size(typical[0].image) == image_size(usual)
    assert typical[-1] == data.records[2]


def test_the_cost_is_that_of_the_images_of_average_size(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    for record in data.records[:-2]:
        assert cv2.imwrite(str(record.image.path), np.zeros((8, 8, 3), np.uint8))
    assert cv2.imwrite(str(data.records[-2].image.path), np.zeros((200, 200, 3), np.uint8))
    read: list[Record] = []

    def pair(_predictor: object, _dataset: object, record: Record) -> object:
        read.append(record)
        raise MaskwrightError("not read here")

    monkeypatch.setattr(scoring, "_pair_for", pair)
    assert scoring.seconds_each(predictor_of(data), data, data.records, enough=20.0) == 0.0
    assert read[0] == data.records[-1]
    assert read[-1] == data.records[-2]


def test_what_cannot_be_read_is_told_and_left_out(data: Dataset) -> None:
    data.records[3].image.path.write_bytes(b"no picture")
    told: list[Record] = []
    progress: list[int] = []
    predictor = predictor_of(data)
    scores = scoring.score(
        predictor,
        data,
        data.records,
        on_progress=lambda done, _of: progress.append(done),
        on_fault=lambda record, _error: told.append(record),
    )
    assert told == [data.records[3]]
    assert scores.images == 11
    assert progress == sorted(progress)
    assert scoring.fit(predictor, data, [data.records[3]]).decoding == {}
    assert scoring.seconds_each(predictor, data, [data.records[3]], 1.0) == 0


def test_images_of_a_type_that_the_model_does_not_fit_are_told_and_left_out(data: Dataset) -> None:
    deep = predictor_of(data, dtypes=["uint16"])
    deep.card.data.value_range = [(96, 4080)] * 3
    words = r"none of 12 images can be scored; the first: .*\d\d\.png: the image holds uint8 .* type \(uint16\)"
    with pytest.raises(MaskwrightError, match=words):
        scoring.score(deep, data, data.records)
    assert postprocess_fit.fit("crf", deep, data, data.records, CrfPlan()) is None
    wide = cv2.imread(str(data.records[3].image)).astype(np.uint16) * 16
    assert cv2.imwrite(str(data.records[3].image), wide)
    told: list[str] = []
    scores = scoring.score(deep, data, data.records, on_fault=lambda record, error: told.append(str(error)))
    assert scores.images == 1
    assert len(told) == 11
    assert str(data.records[4].image) in " ".join(told)


def test_nothing_readable_is_an_error_that_names_the_first(data: Dataset) -> None:
    for record in data.records:
        record.image.path.write_bytes(b"no picture")
    with pytest.raises(MaskwrightError, match=r"none of 12 images can be scored; the first: .*\d\d\.png"):
        scoring.score(predictor_of(data), data, data.records)


def test_one_image_is_one_example(data: Dataset) -> None:
    predictor = predictor_of(data)
    single = replace(data, records=data.records[:1])
    scores = scoring.score(predictor, single, single.records)
    assert len(scoring.examples(predictor, single, single.records, scores)) == 1
