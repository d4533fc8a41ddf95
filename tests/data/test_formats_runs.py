"""Run lengths in CSV files: the pixels by another implementation, and what is refused."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.layouts import photo

from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_objects, read_pair

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (30, 40)


def encoded(mask: np.ndarray) -> str:
    """Return Kaggle's run lengths of a mask, as its discussions define them: one pixel after the other."""
    pairs: list[list[int]] = []
    for place, value in enumerate(mask.flatten(order="F"), start=1):
        if value and pairs and sum(pairs[-1]) == place:
            pairs[-1][1] += 1
        elif value:
            pairs.append([place, 1])
    return " ".join(f"{start} {length}" for start, length in pairs)


def box(top: int, left: int, height: int, width: int) -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    mask[top : top + height, left : left + width] = 1
    return mask


NUT, BOLT = box(2, 3, 10, 12), box(15, 20, 8, 9)


def save(root: Path, rows: list[str], header: str = "ImageId,EncodedPixels", images: int = 3) -> Path:
    for number in range(images):
        photo(root / "train" / f"{number}.jpg", number, SIZE)
    (root / "train.csv").write_text("\n".join([header, *rows]) + "\n")
    return root


@given(st.lists(st.booleans(), min_size=48, max_size=48))
def test_any_mask_is_read_back(tmp_path_factory, values):
    root, mask = tmp_path_factory.mktemp("r"), np.reshape(values, (6, 8)).astype(np.uint8)
    photo(root / "a.png", 0, (6, 8))
    photo(root / "b.png", 1, (6, 8))
    (root / "t.csv").write_text(f"ImageId,EncodedPixels\na.png,{encoded(mask)}\nb.png,1 1\n")
    if not mask.any():
        (root / "t.csv").write_text("ImageId,EncodedPixels\na.png,\nb.png,1 1\n")
    dataset = read_dataset(root)
    np.testing.assert_array_equal(read_pair(dataset, dataset.records[0])[1], mask)


def test_the_longest_cell_of_other_tables_stays_as_it_is(tmp_path):
    before = csv.field_size_limit()
    assert len(read_dataset(save(tmp_path, [f"{n}.jpg,{encoded(NUT)}" for n in range(3)])).records) == 3
    assert csv.field_size_limit() == before


def test_rows_are_objects_and_an_image_without_runs_is_background(tmp_path):
    save(tmp_path, [f"0.jpg,{encoded(NUT)}", f"0.jpg,{encoded(BOLT)}", f"1,{encoded(NUT)}", "2.jpg,"])
    (tmp_path / "sample_submission.csv").write_text("ImageId,EncodedPixels\n0.jpg,1 1\n")
    dataset = read_dataset(tmp_path)
    assert (dataset.format, dataset.faults) == ("runs", ())
    assert dataset.classes.names == ("background", "object")
    found = [read_pair(dataset, record)[1] for record in dataset.records]
    for label, truth in zip(found, (NUT | BOLT, NUT, np.zeros(SIZE)), strict=True):
        np.testing.assert_array_equal(label, truth)
    assert sorted(entry.area for entry in read_objects(dataset, dataset.records[0], SIZE)) == [72, 120]


def test_images_that_no_row_names_and_the_cure(tmp_path):
    """Severstal's file of 2020 lists the images with a defect only."""
    save(tmp_path, [f"0.jpg,{encoded(NUT)}", f"1.jpg,{encoded(NUT)}"])
    (fault,) = read_dataset(tmp_path).faults
    assert fault.message == "no row names 1 image in train/, 2.jpg"
    assert fault.cure.startswith("add a row without runs for those that show no object")
    with (tmp_path / "train.csv").open("a") as rows:
        rows.write("2.jpg,\n")
    dataset = read_dataset(tmp_path)
    assert (len(dataset.records), dataset.faults) == (3, ())


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("ImageId,EncodedPixels,ClassId", "{n}.jpg,{r},{c}"),
        ("ImageId_ClassId,EncodedPixels", "{n}.jpg_{c},{r}"),
        ("Image_Label,EncodedPixels", "{n}.jpg_{c},{r}"),
        ("id,class,encoded_pixels,height", '{n},{c},"{r}",30'),
    ],
)
def test_classes(tmp_path, header, row):
    rows = [
        row.format(n=number, c=name, r=encoded(mask) if (number, name) != (1, "nut") else "-1")
        for number in range(3)
        for name, mask in (("nut", NUT), ("bolt", BOLT))
    ]
    dataset = read_dataset(save(tmp_path, rows, header))
    assert (dataset.classes.names, dataset.faults) == (("background", "bolt", "nut"), ())
    labels = np.stack([read_pair(dataset, record)[1] for record in dataset.records])
    assert np.bincount(labels.ravel()).tolist() == [3 * 1200 - 3 * 72 - 2 * 120, 3 * 72, 2 * 120]


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ("5 3 2 4", "the run 2 4 does not follow the one before"),
        ("0 3", "the run 0 3 does not follow"),
        ("5 0", "the run 5 0 does not follow"),
        ("1199 3", "2 numbers that reach pixel 1201 of 40x30"),
        ("5 3 7", "3 numbers"),
        ("x 3", "invalid literal"),
    ],
)
def test_damaged_runs_leave_out_their_image(tmp_path, runs, words):
    dataset = read_dataset(save(tmp_path, [f"0.jpg,{runs}", f"1.jpg,{encoded(NUT)}", "2.jpg,"]))
    assert [record.id for record in dataset.records] == ["train/1.jpg", "train/2.jpg"]
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity) == ("unreadable", "error")
    assert words in fault.message


def test_runs_along_rows_are_refused(tmp_path):
    save(tmp_path, [f"{number}.jpg,{encoded_by_rows(NUT)}" for number in range(3)])
    with pytest.raises(MaskwrightError, match=r"train\.csv holds runs that follow the rows"):
        read_dataset(tmp_path)


def test_the_file_whose_runs_follow_rows_is_named(tmp_path):
    save(tmp_path, [f"0.jpg,{encoded(NUT)}"])
    rows = [f"{number}.jpg,{encoded_by_rows(NUT)}" for number in (1, 2)]
    (tmp_path / "val.csv").write_text("\n".join(["ImageId,EncodedPixels", *rows]))
    with pytest.raises(MaskwrightError, match=r"val\.csv holds runs that follow the rows"):
        read_dataset(tmp_path)


def test_square_images_do_not_tell_the_direction(tmp_path):
    save(tmp_path, ["0.jpg,1 5 31 5", "1.jpg,1 5 31 5", "2.jpg,"])
    for number in range(3):
        photo(tmp_path / "train" / f"{number}.jpg", number, (30, 30))
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity, fault.path) == ("unknown-direction", "note", tmp_path / "train.csv")
    assert fault.message.startswith("0 runs lie a column behind the one before, and 0 a row")
    photo(tmp_path / "train" / "0.jpg", 0, SIZE)
    assert not read_dataset(tmp_path).faults


@pytest.mark.parametrize(
    ("runs", "severity", "steps"),
    [
        ("5 3", "note", (0, 0)),  # one run
        ("5 3 45 3", "warning", (0, 1)),  # 40 on: a row
        ("5 3 35 3 75 3", "note", (1, 1)),
    ],
)
def test_few_runs_do_not_tell_the_direction(tmp_path, runs, severity, steps):
    save(tmp_path, [f"0.jpg,{runs}", "1.jpg,", "2.jpg,"])
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity) == ("unknown-direction", severity)
    column, row = steps
    assert fault.message.startswith(f"{column} run{'s lie' if column != 1 else ' lies'} a column")
    assert f"and {row} a row" in fault.message


def encoded_by_rows(mask: np.ndarray) -> str:
    return encoded(mask.T)


def test_images_without_a_row_and_rows_without_an_image_are_named(tmp_path):
    dataset = read_dataset(save(tmp_path, [f"0.jpg,{encoded(NUT)}", f"9.jpg,{encoded(NUT)}"]))
    assert [(fault.kind, fault.severity) for fault in dataset.faults] == [("unpaired", "warning")] * 2
    assert "no row names 2 images in train/" in dataset.faults[0].message


def test_masks_come_first(tmp_path):
    save(tmp_path, [f"0.jpg,{encoded(NUT)}"])
    for number in range(3):
        photo(tmp_path / "train_masks" / f"{number}.png", 0, SIZE)
    with pytest.raises(MaskwrightError, match="colours"):
        read_dataset(tmp_path)


def test_runs_may_be_longer_than_a_cell_of_the_csv_module_usually_is(tmp_path):
    size = (300, 600)
    photo(tmp_path / "0.png", 0, size)
    runs = " ".join(f"{start} 1" for start in range(1, 300 * 600, 10))
    assert len(runs) > 131072
    (tmp_path / "t.csv").write_text(f"ImageId,EncodedPixels\n0.png,{runs}\n")
    dataset = read_dataset(tmp_path)
    np.testing.assert_array_equal(read_pair(dataset, dataset.records[0])[1].ravel(order="F")[:20], [1, *[0] * 9] * 2)
