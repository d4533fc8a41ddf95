"""New groups: short trainings without some of the groups, scored on exactly these."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import cv2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.workflows import toy_data as toy

import maskwright as mw
from maskwright.core.records import ImageRef, MaskFile, Record
from maskwright.metrics.scores import ImageScore, Metric, Scores
from maskwright.workflows.diagnose_parts import new_groups
from maskwright.workflows.diagnose_parts.new_groups import FOLDS, divided
from maskwright.workflows.diagnose_parts.study import Study
from maskwright.workflows.train import train

if TYPE_CHECKING:
    from maskwright.core.answers import Answer

pytestmark = pytest.mark.usefixtures("one_thread")
GROUPS, EACH = 6, 4


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("groups")
    for number in range(GROUPS * EACH):
        for folder, pixels in zip(("images", "masks"), toy.picture(number), strict=True):
            path = root / "data" / folder / f"p{number % GROUPS}_{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), pixels)
    train(root / "data", toy.request(steps=2, group_by=r"p\d"), root / "run")
    return root


def asked(place: Path, budget: str) -> Answer:
    found = mw.diagnose(place / "run", place / "data", out=place / "out", budget=budget, question=["new-groups"])
    return found.answers["new-groups"][0]


def test_no_training_sees_the_groups_that_it_is_scored_on(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each training is the run itself: what matters is which images it would get."""
    seen: list[set[str | None]] = []

    def trained(_home: Path, material: Any, kept: list[Record], *_: object) -> Path:
        seen.append({record.group for record in (*kept, *material.dataset.part("val"))})
        return place / "run"

    scored: list[set[str | None]] = []
    whole = Study.scored

    def watched(study: Study, *arguments: Any, **named: Any) -> Any:
        if named.get("predictor") is not None:
            scored.append({record.group for record in named["records"]})
        return whole(study, *arguments, **named)

    monkeypatch.setattr(new_groups, "trained", trained)
    monkeypatch.setattr(Study, "scored", watched)
    answer = asked(place, "10m")
    assert len(seen) == len(scored) == FOLDS + 1
    for kept, judged in list(zip(seen, scored, strict=True))[1:]:
        assert not kept & judged
    assert set().union(*scored[1:]) == {f"p{number}" for number in range(GROUPS)}
    assert len(answer.grids[0].rows) == FOLDS
    new, usual, gap = answer.figures
    assert gap.value == pytest.approx(new.value - usual.value)
    rows = {name: row for row in answer.grids[0].rows for name in str(row[0]).split(", ")}
    for name, row in rows.items():
        same = {other for other, each in rows.items() if each is row}
        held = bool(same & scored[0])
        assert (row[3] == "none held out") is not held, name
        if held and scored[0] <= same:
            assert row[3].value == pytest.approx(usual.value)


def test_without_an_interval_nothing_is_said_to_be_certain(place: Path) -> None:
    """Three groups give none; a training that scores 0.6 without them and 0.7 with them may be chance."""

    def scores(values: dict[str, float]) -> Any:
        images = tuple(
            ImageScore(f"{group}{number}", group, {"iou": value})
            for group, value in values.items()
            for number in range(3)
        )
        metric = Metric("iou", "IoU", "Overlap.")
        return Scores(
            task="semantic",
            metrics=(metric,),
            image_metrics=(metric,),
            headline="iou",
            images=len(images),
            groups=len(values),
            classes=(),
            mean={},
            per_image=images,
        )

    setup: Any = SimpleNamespace(study=SimpleNamespace(run=place, dataset=SimpleNamespace(root=place)))
    found = [new_groups.Found([name], scores({name: value})) for name, value in (("a", 0.5), ("b", 0.6), ("c", 0.7))]
    answer = new_groups._answer(setup, scores({"b": 0.7}), found, 20)
    assert answer.level == "note"
    assert answer.verdict.endswith("With 3 groups there is no interval, so this may be chance.")
    assert [row[3] if isinstance(row[3], str) else row[3].value for row in answer.grids[0].rows] == [
        "none held out",
        pytest.approx(0.7),
        "none held out",
    ]


def test_it_trains(place: Path) -> None:
    answer = asked(place, "10m")
    assert answer.level in {"note", "warning"}
    assert "2 steps" in answer.method
    assert sum(int(str(row[1])) for row in answer.grids[0].rows) == GROUPS * EACH


def test_too_little_time_says_how_much_is_needed(place: Path) -> None:
    answer = asked(place, "20s")
    assert answer.level == "open"
    assert "5 trainings of" in answer.verdict


@given(st.lists(st.sampled_from("abcdefg"), max_size=40), st.integers(0, 3))
def test_groups_are_divided_evenly(names: list[str], seed: int) -> None:
    records = [
        Record(str(number), ImageRef(Path(f"{number}.png")), MaskFile(ImageRef(Path("m.png")), "index"), group=name)
        for number, name in enumerate(names)
    ]
    folds = divided([*records, Record("alone", ImageRef(Path("z.png")), None)], seed)
    assert sorted(name for fold in folds for name in fold) == sorted(set(names))
    assert len(folds) == min(FOLDS, len(set(names)))
    assert all(folds)
    sizes = [sum(names.count(name) for name in fold) for fold in folds]
    largest = max((names.count(name) for name in names), default=0)
    assert not sizes or max(sizes) - min(sizes) <= largest
