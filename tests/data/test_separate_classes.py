"""Masks in groups without a common value or colour: perhaps the same classes, written in two ways."""

from __future__ import annotations

import re

import numpy as np
import pytest
from tests.data.layouts import SIZE, photo, write

from maskwright.data.formats import ReadOptions, read_dataset
from maskwright.data.labels import read_label


def drawn():
    mask = np.zeros(SIZE, np.uint8)
    mask[:2, :3], mask[4:, 5:] = 1, 2
    return mask


def build(root, *codings):
    """Write six images, whose masks show the values 0, 1, 2 of `drawn` in one of the codings by turns."""
    for number in range(6):
        photo(root / f"images/{number}.png", number)
        coding = np.array(codings[number % len(codings)], np.uint8)
        write(root / f"masks/{number}.png", coding[drawn() if len(coding) > 2 else np.minimum(drawn(), 1)])
    return root


def kinds(root, options=None):
    return [fault.kind for fault in read_dataset(root, options).faults]


@pytest.mark.parametrize(
    ("codings", "held"),
    [
        (((0, 1, 2), (0, 3, 4)), ("1, 2", "3, 4")),
        (((0, 1, 2), (0, 10, 30)), ("1, 2", "10, 30")),
        (((0, 1, 2), (3, 4, 5)), ("0, 1, 2", "3, 4, 5")),
        (((1, 2, 3), (1, 8, 9)), ("2, 3", "8, 9")),
        (((0, 1, 2), (0, 3, 5), (0, 4, 7)), ("1, 2", "3, 5", "4, 7")),
        (((0, 1), (0, 2)), ("1", "2")),
    ],
)
def test_groups_of_values_are_named_and_both_cures_work(tmp_path, codings, held):
    build(tmp_path, *codings)
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity) == ("separate-classes", "warning")
    groups = (f"{6 // len(held)} (such as {number}.png) hold {values}" for number, values in enumerate(held))
    assert "; ".join(groups) in fault.message
    maps = {int(high): int(low) for high, low in re.findall(r"`read.map` (\d+)=(\d+)", fault.cure)}
    dataset = read_dataset(tmp_path, ReadOptions(map=maps))
    assert dataset.faults == ()
    labels = [read_label(dataset, record, SIZE).tolist() for record in dataset.records]
    assert labels == [labels[0]] * 6
    values = sorted({value for coding in codings for value in coding})
    (tmp_path / "classes.txt").write_text("".join(f"{value},c{value}\n" for value in values))
    assert kinds(tmp_path) == []


@pytest.mark.parametrize(
    "codings",
    [
        ((0, 1, 2), (0, 1, 3), (0, 3, 4)),  # joined by others
        ((0, 1), (0, 2), (0, 3)),  # one class an image
        ((0, 1, 2), (0, 3)),  # a single value beside several
    ],
)
def test_other_values_are_classes(tmp_path, codings):
    assert kinds(build(tmp_path, *codings)) == []


def test_groups_of_colors_are_named_and_both_cures_work(tmp_path):
    white, red, blue, green, pink = (255, 255, 255), (250, 0, 9), (0, 9, 250), (0, 200, 0), (255, 90, 200)
    build(tmp_path, (white, red, blue), (white, green, pink))
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity) == ("separate-classes", "warning")
    assert "(255, 90, 200); 3 (such as 0.png) hold (0, 9, 250) and (250, 0, 9); each is read as" in fault.message
    lines = (f"{name},{r},{g},{b}\n" for name, (r, g, b) in zip("abcde", (white, red, blue, green, pink), strict=True))
    (tmp_path / "classes.csv").write_text("name,r,g,b\n" + "".join(lines))
    assert kinds(tmp_path) == []
    (tmp_path / "classes.csv").unlink()
    assert kinds(build(tmp_path, (white, red, blue))) == []


@pytest.mark.parametrize("count", [2, 3])
def test_some_masks_that_count_from_1_are_named_and_both_cures_work(tmp_path, count):
    low, high = tuple(range(count)), tuple(range(1, count + 1))
    build(tmp_path, low, low, high)
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity, fault.path.name) == ("shifted-ids", "warning", "2.png")
    assert fault.message.startswith(
        f"2 masks (such as 2.png) hold 1 to {count}, mostly 1, and never 0; 4 others hold 0"
    )
    (tmp_path / "classes.txt").write_text("".join(f"{value},c{value}\n" for value in range(count + 1)))
    assert kinds(tmp_path) == []
    (tmp_path / "classes.txt").unlink()
    assert kinds(build(tmp_path, low)) == []


def test_one_mask_that_counts_from_1_is_named(tmp_path):
    (fault,) = [
        fault for fault in read_dataset(build(tmp_path, *[(0, 1, 2)] * 5, (1, 2, 3))).faults if "ids" in fault.kind
    ]
    assert (fault.kind, fault.path.name) == ("shifted-ids", "5.png")
    assert fault.message.startswith("1 mask (5.png) holds 1 to 3, mostly 1, and never 0; 5 others hold 0 to 2")
    write(fault.path, drawn())
    assert "shifted-ids" not in kinds(tmp_path)


@pytest.mark.parametrize("high", [(2, 1, 1), (1, 2, 2), (1, 4, 2)])
def test_masks_without_0_need_not_count_from_1(tmp_path, high):
    """They show 1 less often than others do 0, no value more, or one far above."""
    assert "shifted-ids" not in kinds(build(tmp_path, (0, 1, 2), high))
