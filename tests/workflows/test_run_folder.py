"""The run folder: found, claimed, described."""

from __future__ import annotations

import contextlib
import errno
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from tests.data.survey_data import picture, write_dataset

from maskwright.core.classes import Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Dataset, ImageRef, MaskFile, Record
from maskwright.workflows.runs import provenance, run_folder


def test_trainings_begun_together_get_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor(16) as pool:
        runs = list(pool.map(lambda _: run_folder.new_folder(None, Path("data/cells")), range(64)))
    assert len(set(runs)) == 64
    assert sorted(runs)[0] == Path("runs/cells-001")
    assert all(run.is_dir() for run in runs)


def test_what_fails_at_once_leaves_no_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for out in (None, tmp_path / "deep" / "run"):
        with contextlib.suppress(KeyboardInterrupt), run_folder.claimed(out, Path("cells")) as run:
            assert run.is_dir()
            raise KeyboardInterrupt
        assert not run.exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    with pytest.raises(ValueError, match="no"), run_folder.claimed(mine, Path("cells")):
        raise ValueError("no")
    assert mine.is_dir()
    (mine / "notes.txt").write_text("mine")
    with contextlib.suppress(ValueError), run_folder.claimed(mine, Path("cells")) as run:
        (run / run_folder.SPLIT).write_text("")
        (run / "tensorboard").mkdir()
        raise ValueError("no")
    assert [path.name for path in mine.iterdir()] == ["notes.txt"]


def test_of_two_trainings_into_one_folder_the_second_is_refused(tmp_path):
    out = tmp_path / "both"
    with run_folder.claimed(out, Path("cells")) as run:
        with pytest.raises(MaskwrightError, match=r"another training is writing to .*both: choose another `out`"):
            run_folder.claimed(out, Path("cells")).__enter__()
        (run / run_folder.PLAN).write_text("")
    assert (out / run_folder.PLAN).exists()
    with pytest.raises(MaskwrightError, match="already holds a run"):
        run_folder.claimed(out, Path("cells")).__enter__()


def test_a_run_that_is_trained_is_not_resumed_beside_it(tmp_path):
    with run_folder.locked(tmp_path), pytest.raises(MaskwrightError, match="another training is writing to"):
        run_folder.locked(tmp_path).__enter__()
    with run_folder.locked(tmp_path):
        pass


def test_where_folders_have_no_locks_a_training_does_without(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    for number, raised in ((errno.ENOLCK, None), (errno.EIO, OSError)):
        monkeypatch.setattr(fcntl, "flock", lambda *_args, number=number: (_ for _ in ()).throw(OSError(number, "no")))
        with pytest.raises(raised) if raised else contextlib.nullcontext():
            run_folder.claimed(tmp_path / "run", Path("cells")).__enter__()


def test_a_half_begun_folder_is_begun_anew_but_a_file_of_the_users_is_not_taken_for_one(tmp_path):
    for name in run_folder.BEGUN:  # as a kill leaves them behind, in the order in which they are written
        (tmp_path / name).write_text('{"a.png": {"split": "train", "group": null, "classes": []}}')
        run_folder.check_out(tmp_path)
    (tmp_path / run_folder.SPLIT).write_text('{"train": ["a.png"]}')
    with pytest.raises(MaskwrightError, match=r"holds split.json, .*which a run would overwrite"):
        run_folder.check_out(tmp_path)
    (tmp_path / run_folder.SPLIT).unlink()
    with pytest.raises(MaskwrightError, match=r"holds data.json, .*which a run would overwrite"):
        run_folder.check_out(tmp_path)


@pytest.mark.parametrize("name", ["report.html", "checkpoint"])
def test_what_a_run_would_write_over_is_refused(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(MaskwrightError, match=f"holds {name}, which a run would overwrite: move it away"):
        run_folder.check_out(tmp_path)


def test_folders_that_cannot_be(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / run_folder.PLAN).write_text("")
    for out, words in (
        ("file", "file is a file: name a folder"),
        ("file/run", "cannot be created, because .*file is a file"),
        ("old", "already holds a run: continue it with `resume`"),
    ):
        with pytest.raises(MaskwrightError, match=words):
            run_folder.new_folder(tmp_path / out, Path("cells"))
    (tmp_path / "runs").write_text("")
    with pytest.raises(MaskwrightError, match="runs/cells-001 cannot be created, because runs is a file"):
        run_folder.new_folder(None, Path("cells"))


def test_a_distribution_of_another_name_is_unknown(tmp_path, monkeypatch):
    def version(name):
        if name == "opencv-python-headless":
            raise PackageNotFoundError(name)
        return "1.2"

    monkeypatch.setattr(provenance, "version", version)
    pixels = picture(0)
    found = provenance.environment(write_dataset(tmp_path, [(pixels, pixels[..., 0] // 200)]))
    assert found["opencv-python-headless"] == "unknown"
    assert found["torch"] == "1.2"


def test_the_hash_covers_what_it_says(tmp_path):
    assert provenance.HASHED_BYTES == 65536
    assert "first 64 KiB" in provenance.HASHED
    image, mask = tmp_path / "a.png", tmp_path / "m.png"
    image.write_bytes(b"i" * 10)
    mask.write_bytes(b"m" * 70_000)
    record = Record("a.png", ImageRef(image), MaskFile(ImageRef(mask), "index"))
    dataset = Dataset(tmp_path, "folder", "", Classes.named(("a", "b")), (record,))
    before = provenance.data_hash(dataset)
    hashes = {before}
    mask.write_bytes(b"m" * 65_536 + b"x" * 4_464)
    assert provenance.data_hash(dataset) == before
    for content in (b"m" * 65_535 + b"x" * 4_465, b"m" * 70_001):
        mask.write_bytes(content)
        assert provenance.data_hash(dataset) != before
    mask.write_bytes(b"m" * 70_000)
    moved = replace(dataset, records=(replace(record, id="b.png"),))
    assert provenance.data_hash(moved) != before
    for values, white in ((((0, 0), (1, 1)), 255), (((0, 1), (1, 0)), 255), (((0, 1), (1, 0)), 1)):
        own = replace(record, annotation=MaskFile(ImageRef(mask), "index", values, white))
        hashes.add(provenance.data_hash(replace(dataset, records=(own,))))
    assert len(hashes) == 4, "what the values mean counts where it is the file's own"
    assert provenance.environment(dataset)["data_hash_of"] == provenance.HASHED
