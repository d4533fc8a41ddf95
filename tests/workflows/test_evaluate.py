from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from tests.workflows import toy_data as toy

import maskwright as mw
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan_file import read_plan, write_plan
from maskwright.data.formats import ReadOptions
from maskwright.workflows.train import train

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from maskwright.workflows.evaluate_parts.evaluation import EvaluateResult


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def heap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images without a split, whose classes only a table of the user's names."""
    root = toy.write(tmp_path_factory.mktemp("heap") / "data", {".": 12})
    (root.parent / "names.txt").write_text("ground\ndisc\nsquare\n")
    return root


@pytest.fixture(scope="module")
def run(heap: Path) -> Path:
    """A training by another seed and other shares than the usual ones."""
    shares = ("split.test=0.4", "split.val=0.2")
    read = ReadOptions(classes=heap.parent / "names.txt")
    train(heap, toy.request(*shares, steps=1, seed=5, read=read), heap.parent / "run")
    return heap.parent / "run"


def ids(result: EvaluateResult) -> set[str]:
    return {entry.id for entry in result.scores.per_image}


def held_out(run: Path) -> set[str]:
    return {name for name, entry in json.loads((run / "split.json").read_text()).items() if entry["split"] == "test"}


def test_the_options_of_the_training_are_the_default(run: Path, heap: Path, tmp_path: Path) -> None:
    found = mw.evaluate(run, heap, out=tmp_path)
    assert [entry.name for entry in found.scores.classes] == ["ground", "disc", "square"]
    assert found.notes == ()
    with pytest.raises(MaskwrightError, match="has the classes class-0, class-1, class-2"):
        mw.evaluate(run, heap, out=tmp_path, read=ReadOptions())


def test_the_model_file_knows_what_it_was_trained_on(run: Path, heap: Path, tmp_path: Path) -> None:
    assert ids(mw.evaluate(run / "model.safetensors", heap, out=tmp_path)) == held_out(run)


def test_moved_data_are_known_by_their_names(run: Path, heap: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(heap, tmp_path / "elsewhere")
    found = mw.evaluate(run, moved, out=tmp_path)
    assert ids(found) == held_out(run)
    assert "recognised by name" in found.notes[0]


def test_a_folder_above_the_training_s_is_known_too(run: Path, heap: Path, tmp_path: Path) -> None:
    below = tmp_path / "all" / "site"
    below.parent.mkdir()
    shutil.copytree(heap, below)
    found = mw.evaluate(run, below.parent, out=tmp_path)
    assert {name.removeprefix("site/") for name in ids(found)} == held_out(run)


def test_a_folder_below_the_training_s_is_known_too(run: Path, heap: Path, tmp_path: Path) -> None:
    own = shutil.copytree(run, tmp_path / "run")
    entries = json.loads((own / "split.json").read_text())
    (own / "split.json").write_text(json.dumps({f"site/{name}": entry for name, entry in entries.items()}))
    assert ids(mw.evaluate(own, heap, out=tmp_path)) == held_out(run)


def test_new_images_beside_known_ones_are_test_images(run: Path, heap: Path, tmp_path: Path) -> None:
    grown = shutil.copytree(heap, tmp_path / "grown")
    image, mask = toy.picture(555)
    for name, array in (("images/99.png", image), ("masks/99.png", mask)):
        assert cv2.imwrite(str(grown / name), array)
    found = mw.evaluate(run, grown, out=tmp_path)
    assert ids(found) == held_out(run) | {"images/99.png"}
    assert "1 image unknown to the training, scored as test images" in found.notes
    assert "scored as test images" in (tmp_path / "report-test.html").read_text()
    assert json.loads((tmp_path / "metrics-test.json").read_text())["notes"] == list(found.notes)


def test_unknown_data_are_all_unseen(run: Path, tmp_path: Path) -> None:
    new = toy.write(tmp_path / "new", {".": 3})
    for folder in ("images", "masks"):
        for path in (new / folder).glob("*.png"):
            path.rename(path.with_name(f"new-{path.name}"))
    assert len(ids(mw.evaluate(run, new, out=tmp_path))) == 3


def test_frames_left_out_at_a_cut_are_no_test_images(run: Path, heap: Path, tmp_path: Path) -> None:
    own = shutil.copytree(run, tmp_path / "run")
    entries = json.loads((own / "split.json").read_text())
    left_out = min(held_out(run))
    entries[left_out]["split"] = None
    (own / "split.json").write_text(json.dumps(entries))
    assert ids(mw.evaluate(own, heap, out=tmp_path)) == held_out(run) - {left_out}
    assert left_out in ids(mw.evaluate(own, heap, split="all", out=tmp_path))


def film(root: Path, count: int = 12) -> Path:
    """Write frames of one scene that moves to the right, under names that the training has not seen."""
    image, mask = toy.picture(77)
    image = cv2.GaussianBlur(image, (0, 0), 5)
    for number in range(count):
        for folder, array in (("images", image), ("masks", mask)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(root / folder / f"cam_{number:02}.png"), np.roll(array, 2 * number, 1))
    return root


def test_frames_of_a_film_count_as_one(run: Path, tmp_path: Path) -> None:
    found = mw.evaluate(run, film(tmp_path / "film"), out=tmp_path)
    assert (found.scores.images, found.scores.groups) == (12, 1)
    assert found.scores.scope is not None
    assert (
        "from one group of related images (images/cam_#): the score holds for these scenes only" in found.scores.scope
    )
    assert found.notes[-1].startswith("12 images are frames of 1 sequence (images/cam_#)")
    assert json.loads((tmp_path / "metrics-test.json").read_text())["scores"]["scope"] == found.scores.scope
    assert "on others is unknown" in (tmp_path / "report-test.html").read_text()


def test_groups_are_those_of_the_training_s_pattern_where_it_fits(run: Path, tmp_path: Path) -> None:
    own = shutil.copytree(run, tmp_path / "run")
    plan = read_plan(own / "plan.yaml")
    plan.split.group_by = "cam_0"
    write_plan(own / "plan.yaml", plan)
    found = mw.evaluate(own, film(tmp_path / "film"), out=tmp_path)
    assert [entry.group for entry in found.scores.per_image].count("cam_0") == 10
    assert [entry.group for entry in found.scores.per_image].count(None) == 2


def test_a_model_without_its_run_says_that_nobody_knows(run: Path, heap: Path, tmp_path: Path) -> None:
    shutil.copy(run / "model.safetensors", tmp_path)
    read = ReadOptions(classes=heap.parent / "names.txt")
    found = mw.evaluate(tmp_path / "model.safetensors", heap, read=read)
    assert "the training images of this model are unknown" in found.notes[0]


def test_a_damaged_image_is_left_out_and_reported(run: Path, heap: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(heap, tmp_path / "data")
    bad = sorted(held_out(run))[0]
    content = (copy / bad).read_bytes()
    (copy / bad).write_bytes(content[: len(content) // 2])
    found = mw.evaluate(run, copy, out=tmp_path)
    assert ids(found) == held_out(run) - {bad}
    assert any("an image was left out" in note and bad in note for note in found.notes)
    assert "An image was left out" in (tmp_path / "report-test.html").read_text()


def test_all_of_it_can_judge(run: Path, heap: Path, tmp_path: Path) -> None:
    found = mw.evaluate(run, heap, split="all", out=tmp_path)
    assert found.scores.images == 12
    assert "the split all contains images that the model was trained on: the scores are too good" in found.notes
    assert not any("too good" in note for note in mw.evaluate(run, heap, out=tmp_path).notes)
    assert (tmp_path / "metrics-all.json").exists()
    assert np.isfinite(mw.evaluate(run, heap, split="train", out=tmp_path).scores.mean["iou"].value or 0)


@pytest.mark.parametrize("verb", [mw.evaluate, mw.diagnose])
def test_a_read_only_folder_is_refused_before_anything_is_scored(
    verb: Callable[..., object], run: Path, heap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda _path, mode: not mode & os.W_OK)
    monkeypatch.setattr("maskwright.workflows.evaluate_parts.scoring.score", lambda *_, **__: pytest.fail("too late"))
    with pytest.raises(MaskwrightError, match=r"new/here could not be written: the folder is read-only\. Choose"):
        verb(run, heap, out=tmp_path / "new/here")


def test_nothing_labelled_is_an_error(run: Path, heap: Path, tmp_path: Path) -> None:
    blank = shutil.copytree(heap, tmp_path / "blank")
    for path in (blank / "masks").glob("*.png"):
        assert cv2.imwrite(str(path), np.full_like(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), 255))
    with pytest.raises(
        MaskwrightError,
        match=r"blank has no labelled pixel in its test split, .*: label some, or choose another `split`",
    ):
        mw.evaluate(run, blank, out=tmp_path, read=ReadOptions(classes=heap.parent / "names.txt", ignore=255))
