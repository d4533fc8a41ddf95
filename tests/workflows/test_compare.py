"""Comparing runs: what is compared, what is refused, and what is written."""

from __future__ import annotations

import csv
import json
import shutil
from typing import TYPE_CHECKING

import pytest
from tests.workflows import toy_data as toy

import maskwright as mw
from maskwright.cli.main import run as command
from maskwright.core.errors import MaskwrightError
from maskwright.metrics.paired import difference
from maskwright.metrics.scores import Scores
from maskwright.workflows.train import train

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data with two runs of one split, and a third run that was trained on test images of theirs."""
    root = tmp_path_factory.mktemp("compare")
    data = toy.write(root / "data", {"train": 8, "val": 2, "test": 6})
    train(data, toy.request(steps=12), root / "first")
    train(data, toy.request("optim.lr=0.05", steps=12), root / "sec_ond")
    mixed = root / "mixed"
    for folder in ("images", "masks"):
        for split in ("train", "test"):
            shutil.copytree(data / folder / split, mixed / folder, dirs_exist_ok=True)
    train(mixed, toy.request("split.val=0.2", "split.test=0.2", steps=2), root / "third")
    return root


def stored(run: Path) -> Scores:
    return Scores.from_json(json.loads((run / "metrics.json").read_text())["scores"])


def test_stored_scores_are_compared_in_pairs(home: Path, tmp_path: Path) -> None:
    result = mw.compare([home / "first", home / "sec_ond"], out=tmp_path / "out")
    first, second = result.comparison.runs
    scores = [stored(home / name) for name in ("first", "sec_ond")]
    assert second.differences["iou"] == difference(*scores, "iou")
    assert second.differences["iou"].low is not None
    assert second.by_class["class-1"] == difference(*scores, "iou", "class-1")
    assert first.differences == {}
    assert result.comparison.notes == ()


def test_scores_of_a_part_of_the_images_are_mentioned(home: Path, tmp_path: Path) -> None:
    runs = [shutil.copytree(home / name, tmp_path / name) for name in ("first", "sec_ond")]
    for run in runs:
        split = json.loads((run / "split.json").read_text())
        more = {**split, "images/test/one_more.png": {"split": "test", "group": None, "classes": [0]}}
        (run / "split.json").write_text(json.dumps(more))
    notes = mw.compare(runs, out=tmp_path / "out").comparison.notes
    assert notes == ("the scores are of 6 of 7 test images: compare the runs on the data set itself to score all",)


def test_the_page_and_the_tables_hold_the_numbers(home: Path, tmp_path: Path) -> None:
    runs = [str(home / name) for name in ("first", "sec_ond")]
    out = tmp_path / "out"
    assert command(["compare", *runs, "--out", str(out)]) == 0
    plain = json.loads((out / "comparison.json").read_text())
    change = plain["runs"][1]["differences"]["iou"]
    rows = list(csv.DictReader((out / "comparison.csv").read_text().splitlines()))
    row = next(row for row in rows if (row["run"], row["class"], row["metric"]) == ("sec_ond", "", "iou"))
    assert float(row["difference"]) == change["value"]
    assert float(row["difference_low"]) == change["low"]
    assert [row["class"] for row in rows if row["run"] == "first" and row["class"]] == ["class-0", "class-1", "class-2"]
    shown = f"{100 * plain['runs'][0]['mean']['iou']['value']:.1f} ["
    page, tex = (out / "comparison.html").read_text(), (out / "comparison.tex").read_text()
    table = (out / "comparison.md").read_text()
    assert all(shown in text for text in (table, tex))
    assert r"sec\_ond" in tex
    assert tex.count(r"\\") == 3
    assert "optim.lr" in page
    assert "<script" not in page
    assert [entry["key"] for entry in plain["plans"]] == ["optim.lr"]


def test_in_json_the_terminal_says_the_same(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(home / name) for name in ("first", "sec_ond")]
    assert command(["compare", *runs, "--out", str(tmp_path / "out"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["images"] == 6
    assert answer["split"] == "test"
    assert answer["runs"][1]["differences"].keys() == answer["runs"][0]["mean"].keys()


def test_scored_anew_it_is_the_same(home: Path, tmp_path: Path) -> None:
    runs = [home / name for name in ("first", "sec_ond")]
    before = mw.compare(runs, out=tmp_path / "stored").comparison.runs[1]
    after = mw.compare(runs, out=tmp_path / "anew", data=home / "data", device="cpu").comparison.runs[1]
    for key, estimate in before.differences.items():
        assert after.differences[key].value == pytest.approx(estimate.value, abs=1e-6), key


def test_images_that_another_run_was_trained_on_are_refused(home: Path, tmp_path: Path) -> None:
    entries = json.loads((home / "first" / "split.json").read_text())
    leak = tmp_path / "leak"
    shutil.copytree(home / "sec_ond", leak)
    test = sorted(name for name, entry in entries.items() if entry["split"] == "test")
    entries[test[0]]["split"] = "train"
    (leak / "split.json").write_text(json.dumps(entries))
    with pytest.raises(MaskwrightError, match=f"leak was trained on 1 test image of .*first, such as {test[0]}"):
        mw.compare([home / "first", leak], out=tmp_path / "out")
    result = mw.compare([home / "first", leak], out=tmp_path / "out", data=home / "data", device="cpu")
    assert result.comparison.runs[0].scores.images == 5
    assert result.comparison.notes == ("1 test image of some runs is left out: others saw it in training",)
    for name in test:
        entries[name]["split"] = "train"
    (leak / "split.json").write_text(json.dumps({name: {**entry, "split": "train"} for name, entry in entries.items()}))
    with pytest.raises(MaskwrightError, match="was seen in the training of one of the runs"):
        mw.compare([home / "first", leak], out=tmp_path / "out", data=home / "data", device="cpu")


def test_other_data_are_refused_with_the_cure(home: Path, tmp_path: Path) -> None:
    with pytest.raises(MaskwrightError, match=r"were trained on other data .* given with `data`"):
        mw.compare([home / "first", home / "third"], out=tmp_path)


def test_what_is_no_finished_run_is_refused(home: Path, tmp_path: Path) -> None:
    half = toy.interrupted(home / "first", tmp_path / "half")
    with pytest.raises(MaskwrightError, match="half is not finished: `maskwright train --resume"):
        mw.compare([home / "first", half], out=tmp_path)
    with pytest.raises(MaskwrightError, match="a comparison needs two or more runs, and 1 was given"):
        mw.compare([home / "first"], out=tmp_path)
    with pytest.raises(MaskwrightError, match="first was given twice"):
        mw.compare([home / "first", home / "sec_ond" / ".." / "first"], out=tmp_path)
    with pytest.raises(MaskwrightError, match="is not the folder of a finished run"):
        mw.compare([home / "first", home / "data"], out=tmp_path)


def test_scores_of_an_earlier_version_are_refused(home: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(home / "sec_ond", old)
    metrics = json.loads((old / "metrics.json").read_text())
    del metrics["scores"]["without"]
    (old / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(MaskwrightError, match="old was trained by an earlier version"):
        mw.compare([home / "first", old], out=tmp_path)
