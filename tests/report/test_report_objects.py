from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.report.report_samples import Page, class_scores, make_data, make_scores

from maskwright.metrics.object_sizes import size_bins
from maskwright.metrics.scores import Estimate, ObjectScores, PrecisionCurve, Scores, SizeBin
from maskwright.report.findings import findings
from maskwright.report.page import render

if TYPE_CHECKING:
    from maskwright.report.content import ReportData

OBJECTS = ObjectScores(
    ((3, 2), (0, 1), (1000, 1200)),
    (SizeBin(8, 8 * 2**0.5, 600, 200), SizeBin(8 * 2**0.5, 16, 0, 0)),
    (PrecisionCurve(0.5, (1.0, 0.75, 0.5, 0.0, 0.0)), PrecisionCurve(0.75, (0.5, 0.25, 0.0, 0.0, 0.0))),
)


def of_objects(objects: ObjectScores | None = OBJECTS) -> ReportData:
    data = make_data()
    return replace(data, scores=replace(data.scores, objects=objects))


def test_bins_by_hand() -> None:
    """One pixel has a diameter of 1.128 px; 4 pixels 2.257; 7 pixels 2.985, beyond 2 * sqrt(2)."""
    root = pytest.approx(2**0.5)
    assert size_bins([1], [True]) == (SizeBin(1, root, 1, 0),)
    bins = size_bins([4, 1, 7, 4], [True, False, False, False])
    assert [(entry.found, entry.missed) for entry in bins] == [(0, 1), (0, 0), (1, 1), (0, 1)]
    assert [entry.high for entry in bins[:-1]] == [entry.low for entry in bins[1:]]
    assert size_bins([], []) == ()


def test_every_object_is_in_its_bin() -> None:
    rng = np.random.default_rng(0)
    areas, found = rng.integers(1, 9000, 3000), rng.random(3000) < 0.5
    bins = size_bins(areas.tolist(), found.tolist())
    diameters = np.sqrt(areas / np.pi) * 2
    for entry in bins:
        inside = (diameters >= entry.low) & (diameters < entry.high)
        assert (entry.found, entry.missed) == ((inside & found).sum(), (inside & ~found).sum())
    assert sum(entry.found + entry.missed for entry in bins) == 3000


def test_objects_survive_json() -> None:
    scores = of_objects().scores
    assert Scores.from_json(json.loads(json.dumps(scores.to_json()))) == scores


def test_the_page_draws_sizes_and_counts() -> None:
    page = Page(render(of_objects()))
    assert "1,003 objects in 3 images, 1,203 predicted." in page.text
    assert "8 to 11.3 px: 800 objects, 75.0% found" in page.text
    assert "11.3 to 16 px: 0 objects" in page.text
    assert "600 found, 200 not found" in page.text
    assert {"href": "#objects"} in page.all("a")


def test_the_page_draws_precision_over_recall() -> None:
    """The lines begin at recall 0 and end where precision becomes 0: at 2/4 and 1/4 of the width, from 46 to 348."""
    page = Page(render(of_objects()))
    assert "IoU 0.5: mask AP 45.0%" in page.text
    assert "IoU 0.75: mask AP 15.0%" in page.text
    lines = [line for line in page.all("polyline") if line["class"] in {"line strong", "line other"}]
    assert [(line["class"], line["points"]) for line in lines] == [
        ("line strong", "46,26 121.5,65.5 197,105"),
        ("line other", "46,105 121.5,144.5"),
    ]


@pytest.mark.parametrize("objects", [None, ObjectScores((), ()), ObjectScores(((0, 0),), ())])
def test_without_objects_the_page_has_no_such_part(objects: ObjectScores | None) -> None:
    page = Page(render(of_objects(objects)))
    assert {"href": "#objects"} not in page.all("a")
    assert "Objects by size" not in page.text


def test_false_objects_alone_are_counted() -> None:
    text = Page(render(of_objects(ObjectScores(((0, 3),), ())))).text
    assert "0 objects in 1 image, 3 predicted." in text
    assert "Objects by size" not in text
    assert "Precision-recall" not in text


def test_findings_speak_of_objects() -> None:
    poor = class_scores("cell", recall=Estimate(0.4, 0.3, 0.5), precision=Estimate(0.2, 0.1, 0.3))
    data = make_data("background", "cell", scores=make_scores(class_scores("background"), poor, objects=OBJECTS))
    texts = [finding.text for finding in findings(data)]
    assert "Only 40% of the objects of class cell are found." in texts
    assert "Of the objects predicted as cell, only 20% are cell." in texts
    weak = [class_scores(f"c{k}", recall=Estimate(0.1, 0.0, 0.2)) for k in range(6)]
    many = make_data(*(f"c{k}" for k in range(6)), scores=make_scores(*weak, objects=OBJECTS))
    assert "Of 2 more classes, less than half of the objects are found." in [entry.text for entry in findings(many)]
    nothing = replace(of_objects().scores, mean={"iou": Estimate(None, None, None)})
    texts = [finding.text for finding in findings(replace(data, scores=nothing))]
    assert any(text.endswith("the scored images have no object, and none is predicted.") for text in texts)
