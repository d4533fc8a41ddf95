"""The layout of the Cell Tracking Challenge: which truth a frame gets, and what is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import SplitPlan
from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_objects
from maskwright.data.split import with_splits

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 64


def cells(numbers: range, radius: int, shift: int = 0) -> np.ndarray:
    """Draw cells on a grid of 4 by 5, with their ids."""
    ids = np.zeros((SIDE, SIDE), np.uint16)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for number in numbers:
        y, x = 8 + 16 * (number // 5), 6 + 12 * (number % 5) + shift
        ids[np.hypot(rows - y, columns - x) <= radius] = number + 1
    return ids


def written(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, array, photometric="minisblack")


def sequence(root: Path, name: str, frames: int, gold: dict[int, int], silver: dict[int, int]) -> Path:
    """Write frames with 20 cells each; `gold` and `silver` map a frame to how many of them its map holds."""
    for frame in range(frames):
        everything = cells(range(20), 4, frame % 3)
        noise = np.random.default_rng(frame).integers(0, 20, (SIDE, SIDE))
        written(root / name / f"t{frame:03}.tif", (200 * (everything > 0) + noise).astype(np.uint8))
        written(root / f"{name}_GT/TRA/man_track{frame:03}.tif", cells(range(20), 1, frame % 3) * 7)
    for truth, counts in (("GT", gold), ("ST", silver)):
        for frame, count in counts.items():
            written(root / f"{name}_{truth}/SEG/man_seg{frame:03}.tif", cells(range(count), 4, frame % 3))
    return root


def chosen(root: Path) -> dict[str, str]:
    dataset = read_dataset(root)
    assert dataset.format == "cell-tracking"
    return {record.id: record.annotation.path.relative_to(root).as_posix() for record in dataset.records}


def test_the_gold_truth_counts_unless_it_lacks_cells_that_the_silver_truth_has(tmp_path):
    root = sequence(tmp_path, "01", 4, gold={0: 20, 1: 11}, silver={1: 20, 2: 20})
    assert chosen(root) == {
        "01/t000.tif": "01_GT/SEG/man_seg000.tif",
        "01/t001.tif": "01_ST/SEG/man_seg001.tif",
        "01/t002.tif": "01_ST/SEG/man_seg002.tif",
    }
    dataset = read_dataset(root)
    assert [(fault.kind, fault.severity, fault.message) for fault in dataset.faults] == [
        ("unlabelled", "note", "1 frame of 4 in 01/ has no map of object ids and is not used")
    ]
    assert [len(list(read_objects(dataset, record, (SIDE, SIDE)))) for record in dataset.records] == [20, 20, 20]


def test_a_frame_whose_map_lacks_many_cells_is_no_training_image(tmp_path):
    dataset = read_dataset(sequence(tmp_path, "01", 3, gold={0: 20, 1: 17, 2: 18}, silver={}))
    assert [record.id for record in dataset.records] == ["01/t000.tif", "01/t002.tif"]
    error, warning = dataset.faults
    assert (error.severity, error.path) == ("error", tmp_path / "01/t001.tif")
    assert error.message == (
        "01_GT/SEG/man_seg001.tif has no object for 15 % of the cells that 01_GT/TRA/man_track001.tif marks, which "
        "would count as background"
    )
    assert (warning.severity, warning.path) == ("warning", tmp_path / "01_GT/SEG/man_seg002.tif")
    assert "1 map of object ids, such as 01_GT/SEG/man_seg002.tif, lacks up to 10 % of the cells" in warning.message
    written(tmp_path / "01_ST/SEG/man_seg001.tif", cells(range(20), 4, 1))
    assert [record.id for record in read_dataset(tmp_path).records] == ["01/t000.tif", "01/t001.tif", "01/t002.tif"]


def test_without_markers_the_gold_truth_is_taken_as_it_is(tmp_path):
    root = sequence(tmp_path, "01", 2, gold={0: 3, 1: 2}, silver={0: 20, 1: 20})
    for path in (root / "01_GT/TRA").iterdir():
        path.unlink()
    assert set(chosen(root).values()) == {"01_GT/SEG/man_seg000.tif", "01_GT/SEG/man_seg001.tif"}


def test_a_damaged_gold_truth_gives_way_to_the_silver_truth(tmp_path):
    root = sequence(tmp_path, "01", 2, gold={0: 20, 1: 20}, silver={0: 20})
    for frame in range(2):
        path = root / f"01_GT/SEG/man_seg{frame:03}.tif"
        path.write_bytes(path.read_bytes()[:200])
    assert chosen(root) == {"01/t000.tif": "01_ST/SEG/man_seg000.tif", "01/t001.tif": "01_GT/SEG/man_seg001.tif"}


def test_sequences_are_groups_even_if_their_frames_look_unlike(tmp_path):
    for name in ("01", "02"):
        sequence(tmp_path, name, 12, gold=dict.fromkeys(range(12), 20), silver={})
    two = with_splits(read_dataset(tmp_path), SplitPlan(), 0)
    assert {record.group for record in two.records} == {"01", "02"}
    assert "sequence-cut" in {fault.kind for fault in two.faults}
    for name in ("03", "04", "05", "06"):
        sequence(tmp_path, name, 12, gold=dict.fromkeys(range(12), 20), silver={})
    several = with_splits(read_dataset(tmp_path), SplitPlan(), 0)
    parts = {(record.group, record.split) for record in several.records}
    assert len(parts) == 6
    assert {split for _, split in parts} == {"train", "val", "test"}


def test_slices_of_volumes_are_refused_with_a_cure(tmp_path):
    for number in range(2):
        written(tmp_path / f"01/t{number:03}.tif", np.zeros((4, SIDE, SIDE), np.uint8))
        written(tmp_path / f"01_GT/SEG/man_seg_{number:03}_002.tif", cells(range(20), 4))
    with pytest.raises(MaskwrightError, match=r"has a map of object ids such as man_seg000\.tif .*save their slices"):
        read_dataset(tmp_path)


def test_markers_alone_are_refused_and_the_cure_works(tmp_path):
    sequence(tmp_path, "01", 6, {}, {})
    with pytest.raises(
        MaskwrightError, match=r"markers .*copy each 01_GT/TRA/man_track000.tif to 01_GT/SEG/man_seg000"
    ):
        read_dataset(tmp_path)
    for path in sorted((tmp_path / "01_GT/TRA").iterdir()):
        written(tmp_path / "01_GT/SEG" / path.name.replace("track", "seg"), tifffile.imread(path))
    dataset = read_dataset(tmp_path)
    assert [len(list(read_objects(dataset, record, (SIDE, SIDE)))) for record in dataset.records] == [20] * 6


def test_a_sequence_with_markers_alone_is_named(tmp_path):
    sequence(tmp_path, "01", 6, dict.fromkeys(range(6), 20), {})
    sequence(tmp_path, "02", 4, {}, {})
    dataset = read_dataset(tmp_path)
    assert len(dataset.records) == 6
    assert [fault.message for fault in dataset.faults] == [
        "4 frames of 4 in 02/ have no map of object ids and are not used"
    ]
