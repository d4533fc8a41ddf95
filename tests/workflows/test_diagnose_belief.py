"""Diagnosis, the sections on belief and on shift: what they answer on toy data, and what predict makes of the risk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from tests.workflows import toy_data as toy

import maskwright as mw
from maskwright.core.errors import MaskwrightError
from maskwright.core.paths import model_file
from maskwright.core.reject import Reject
from maskwright.diagnosis.shift import FILE, Reference
from maskwright.inference.origin import digest
from maskwright.workflows.diagnose import diagnose
from maskwright.workflows.diagnose_request import DiagnoseRequest
from maskwright.workflows.predict import _judged
from maskwright.workflows.predict_parts.results import Predicted, PredictedVideo, PredictResult
from maskwright.workflows.train import train

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.answers import Answer
    from maskwright.workflows.diagnose import DiagnoseResult

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("belief")
    train(toy.write(root / "data", {"train": 24, "val": 6, "test": 14}), toy.request(steps=30), root / "run")
    other = root / "other"
    other.mkdir()
    for number in range(12):  # bright stripes: nothing like discs and squares on dark noise
        stripes = np.where(np.arange(64) // (2 + number % 3) % 2, 250, 120).astype(np.uint8)
        assert cv2.imwrite(str(other / f"{number}.png"), np.repeat(np.tile(stripes, (48, 1))[..., None], 3, 2))
    return root


def asked(place: Path, *question: str, **more: object) -> DiagnoseResult:
    request = DiagnoseRequest("2m", question, out=place / "out", **more)
    return diagnose(place / "run", place / "data", request)


@pytest.fixture(scope="module")
def answers(place: Path) -> dict[str, Answer]:
    result = asked(place, "belief", "shift")
    return {answer.key: answer for part in result.answers.values() for answer in part}


def test_the_score_has_its_interval_and_no_leak_is_made_up(answers: dict[str, Answer]) -> None:
    score = answers["belief"].figures[0]
    assert score.low < score.value < score.high
    assert "group" not in answers["belief"].verdict


def test_calibration_has_a_row_for_each_predicted_class(answers: dict[str, Answer]) -> None:
    (grid,) = answers["calibration"].grids
    assert {row[0] for row in grid.rows} <= {"class-0", "class-1", "class-2"}
    for row in grid.rows:
        sure, right, error = row[2:]
        assert error.value >= abs(sure.value - right.value) - 1e-6  # over bins the gaps cannot cancel
        assert error.low is None or error.low <= error.value <= error.high


def test_the_risk_is_judged_on_clean_and_corrupted_images(answers: dict[str, Answer]) -> None:
    risk = answers["risk"]
    names = [row[0] for row in risk.grids[0].rows]
    assert names == ["clean images", "clean images and corrupted copies"]
    (curve,) = risk.plots
    ends = {name: line[-1][1] for name, line in curve.lines.items()}
    assert len({round(end, 9) for end in ends.values()}) == 1  # all images kept: the mean error, in any order


def test_the_own_test_part_looks_like_the_training(answers: dict[str, Answer], place: Path) -> None:
    assert answers["shift"].level == "good"
    assert answers["shift"].figures[0].value <= 0.15
    kept = Reference.load(place / "run" / FILE, digest(model_file(place / "run")))
    assert kept is not None
    assert len(kept.points) == 24


def test_another_folder_is_called_different_without_masks(place: Path) -> None:
    answer, _ = asked(place, "shift", against=place / "other").answers["shift"]
    assert answer.level == "warning"
    assert answer.figures[0].value == 1.0
    assert "12 images of" in answer.verdict
    assert answer.cures[0].verb == "train"
    assert answer.drawings


def test_a_folder_that_is_not_there_is_refused(place: Path) -> None:
    with pytest.raises(MaskwrightError, match="does not exist"):
        asked(place, "shift", against=place / "nowhere")


def test_predict_gives_each_image_its_risk_and_marks_the_riskiest(place: Path) -> None:
    images = [place / "data" / "images" / "test", place / "other"]
    result = mw.predict(place / "run", images, out=place / "predictions", reject="25%")
    assert all(0 <= image.risk <= 1 for image in result.images)
    assert result.rejected is not None
    assert len(result.rejected) == round(0.25 * 26)
    least = min(image.risk for image in result.rejected)
    assert all(image.risk <= least for image in result.images if image not in result.rejected)
    header, *rows = (place / "predictions" / "risk.csv").read_text(encoding="utf-8").splitlines()
    assert header == "image,page,risk,rejected"
    assert [row[-1] for row in rows] == ["1"] * len(result.rejected) + ["0"] * (26 - len(result.rejected))
    assert result.outputs[-1] == place / "predictions" / "risk.csv"


def test_a_risk_as_the_limit_and_none_without_a_rule(place: Path) -> None:
    images = place / "data" / "images" / "test"
    plain = mw.predict(place / "run", images, out=place / "plain")
    assert plain.rejected is None
    assert not (place / "plain" / "risk.csv").exists()
    limit = sorted(image.risk for image in plain.images)[5]
    marked = mw.predict(place / "run", images, out=place / "plain", reject=limit)
    assert len(marked.rejected) == len(plain.images) - 6
    with pytest.raises(MaskwrightError, match="20%"):
        mw.predict(place / "run", images, out=place / "plain", reject="often")


def test_a_limit_says_what_has_no_risk(tmp_path: Path) -> None:
    images = (Predicted(tmp_path / "scan.tif", {}, {}), Predicted(tmp_path / "b.png", {}, {}, risk=0.4))
    videos = (PredictedVideo(tmp_path / "clip.mp4", {}, 3, 0, 1.0, risks=((0, 0.2), (4, 0.9), (8, None))),)
    marked = _judged(PredictResult((), [], images, videos=videos), Reject.parse("0.3"), tmp_path)
    assert marked.rejected is not None
    assert [(image.source.name, image.page) for image in marked.rejected] == [("clip.mp4", 4), ("b.png", None)]
    assert marked.notes[0].startswith("2 of 5 images and frames have no risk, so `reject` does not judge them")
    assert not _judged(PredictResult((), [], images[1:]), Reject.parse("0.3"), tmp_path).notes


def test_the_risk_of_predict_is_that_of_the_diagnosis(place: Path, answers: dict[str, Answer]) -> None:
    (riskiest,) = (grid for grid in answers["risk"].grids if grid.title.startswith("The riskiest"))
    name, risk, _ = riskiest.rows[0]
    result = mw.predict(place / "run", place / "data" / name, out=place / "one")
    assert result.images[0].risk == pytest.approx(risk.value, abs=1e-6)
