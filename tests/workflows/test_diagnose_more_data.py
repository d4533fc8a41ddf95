"""More data: short trainings on parts of the images, a curve through their scores, and what to label next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import pytest
from tests.workflows import toy_data as toy

import maskwright as mw
from maskwright.workflows.diagnose_parts import label_next
from maskwright.workflows.train import train

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("more")
    train(toy.write(root / "data", {"train": 8, "val": 2, "test": 4}), toy.request(steps=2), root / "run")
    return root


def test_a_curve_from_nested_subsets(place: Path) -> None:
    found = mw.diagnose(place / "run", place / "data", out=place / "out", budget="10m", question=["more-data"])
    answer = next(entry for entry in found.answers["more-data"] if entry.key == "more-data")
    gain = answer.figures[0]
    assert gain.low is not None
    assert gain.high is not None
    assert 0 <= gain.low <= gain.high
    assert answer.verdict.startswith("8 more images: +")
    measured = [row[0] for row in answer.grids[0].rows if row[1] == "measured"]
    assert set(measured) == {"1", "2", "4", "8"}
    assert "2 steps each" in answer.method
    assert sorted(path.name for path in place.iterdir()) == ["data", "out", "run"]


def test_too_little_time_says_how_much_is_needed(place: Path) -> None:
    found = mw.diagnose(place / "run", place / "data", out=place / "short", budget="20s", question=["more-data"])
    answer = next(entry for entry in found.answers["more-data"] if entry.key == "more-data")
    assert answer.level == "open"
    assert "need about" in answer.verdict
    assert answer.cures[0].options["question"] == ("more-data",)


@pytest.fixture(scope="module")
def unlabelled(place: Path) -> Path:
    for number in range(5):
        path = place / "data" / "images" / "train" / f"new{number}.png"
        assert cv2.imwrite(str(path), toy.picture(900 + number)[0])
    return place


def test_images_without_annotation_are_ranked(unlabelled: Path) -> None:
    root = unlabelled / "data"
    found = mw.diagnose(unlabelled / "run", root, out=unlabelled / "next", budget="20s", question=["label-next"])
    answer = next(entry for entry in found.answers["more-data"] if entry.key == "label-next")
    assert len(answer.grids[0].rows) == 5
    assert all("new" in str(row[1]) for row in answer.grids[0].rows)


def test_an_image_in_which_nothing_was_found_is_as_risky_as_the_others(
    unlabelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    risks = iter([0.2, None, 0.4, 0.2, 0.4])
    ranked = []

    def order(risk: object, facts: object, most: int) -> list[int]:
        ranked.append(list(risk))  # type: ignore[call-overload]
        return [1, 0]

    monkeypatch.setattr(label_next, "risk_of", lambda *_: next(risks))
    monkeypatch.setattr(label_next, "order", order)
    root = unlabelled / "data"
    found = mw.diagnose(unlabelled / "run", root, out=unlabelled / "none", budget="20s", question=["label-next"])
    answer = next(entry for entry in found.answers["more-data"] if entry.key == "label-next")
    assert ranked == [pytest.approx([0.2, 0.3, 0.4, 0.2, 0.4])]
    assert [row[2] for row in answer.grids[0].rows] == ["nothing was found in it", "20.0%"]
