"""Masks that once were refused, or half of them, without need: pixels of each class, or a cure that works."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
import tifffile
from tests.data.drawings import GROUND, ONE, SIDE, TWO, as_values, counts, drawn, kinds, save
from tests.data.layouts import palette_mask, photo, write

from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_label
from maskwright.data.readers import DecodeError, is_lossy

if TYPE_CHECKING:
    from pathlib import Path

COLORS = np.array([(0, 0, 0), (200, 30, 30), (30, 200, 30)], np.uint8)


def near(found: dict[str, int], wanted: dict[str, int], share: float = 0.1) -> bool:
    """Tell whether counts have the same names, and agree but for a share of each."""
    return found.keys() == wanted.keys() and all(
        abs(found[name] - pixels) <= share * pixels for name, pixels in wanted.items()
    )


def test_channels_of_overlapping_classes_are_refused_and_the_cure_works(tmp_path):
    save_floats(tmp_path, [np.dstack([drawn(number) > 0, drawn(number) == 2]) for number in range(3)], ".npy")
    with pytest.raises(MaskwrightError, match=r"a mask file for each channel, such as masks/CLASS/NAME\.png"):
        read_dataset(tmp_path)
    for mask in (tmp_path / "masks").iterdir():
        for channel, name in enumerate(("any", "bolt")):
            write(tmp_path / "masks" / name / f"{mask.stem}.png", np.load(mask)[..., channel])
        mask.unlink()
    assert counts(tmp_path) == {"background": 3 * GROUND, "any": 3 * ONE, "bolt": 3 * TWO}


def test_photographs_are_not_to_be_listed_by_their_colours(tmp_path):
    for number in range(3):
        photo(tmp_path / "images" / f"{number}.png", number, (SIDE, SIDE))
        photo(tmp_path / "masks" / f"{number}.png", number, (SIDE, SIDE))
    with pytest.raises(MaskwrightError, match=r"Export the masks again as PNG, without smooth edges$"):
        read_dataset(tmp_path)


# ---------------------------------------------------------------- WebP


def webp(root: Path, table: np.ndarray, count: int = 5, **options: object) -> Path:
    for number in range(count):
        photo(root / "images" / f"{number}.png", number, (SIDE, SIDE))
        write(root / "masks" / f"{number}.webp", table[drawn(number)], **options)
    return root


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"])
def test_webp_with_loss_is_cut_at_half(tmp_path, exif):
    webp(tmp_path, as_values(0, 255, 255).astype(np.uint8), quality=60, exif=exif)
    assert is_lossy(tmp_path / "masks" / "0.webp")
    assert near(counts(tmp_path), {"background": 5 * GROUND, "foreground": 5 * (ONE + TWO)}, 0.02)
    assert kinds(tmp_path) == ["soft-mask"]


def test_webp_with_loss_of_several_classes_is_refused_or_goes_to_the_nearest_listed_colour(tmp_path):
    webp(tmp_path, COLORS, quality=70)
    with pytest.raises(MaskwrightError, match=r"WebP with loss.*as PNG, or list the colours in classes\.csv"):
        read_dataset(tmp_path)
    (tmp_path / "classes.csv").write_text("name,r,g,b\nground,0,0,0\nnut,200,30,30\nbolt,30,200,30\n")
    assert near(counts(tmp_path), {"ground": 5 * GROUND, "nut": 5 * ONE, "bolt": 5 * TWO})
    webp(tmp_path / "grey", as_values(0, 80, 160).astype(np.uint8), quality=70)
    with pytest.raises(MaskwrightError, match=r"grey lossily compressed masks.*save the masks again as PNG"):
        read_dataset(tmp_path / "grey")


def test_webp_without_loss_is_read_as_stored(tmp_path):
    webp(tmp_path, as_values(0, 1, 2).astype(np.uint8), lossless=True)
    assert not is_lossy(tmp_path / "masks" / "0.webp")
    assert counts(tmp_path) == {"class-0": 5 * GROUND, "class-1": 5 * ONE, "class-2": 5 * TWO}


# ---------------------------------------------------------------- 0 as the value for no data


@pytest.mark.parametrize("ground", [0, 2])
def test_a_declared_zero_beside_several_classes_is_a_class_only_if_it_fills_most_of_the_masks(tmp_path, ground):
    """`ground` is the class of the drawing that is saved as 0."""
    table = np.array([0, 1, 2] if ground == 0 else [1, 2, 0], np.uint8)
    for number in range(5):
        photo(tmp_path / "images" / f"{number}.png", number, (SIDE, SIDE))
        path = tmp_path / "masks" / f"{number}.tif"
        path.parent.mkdir(exist_ok=True)
        tifffile.imwrite(path, table[drawn(number)], extratags=[(42113, "s", 0, "0", True)], photometric="minisblack")
    classes = {"class-0": 5 * GROUND, "class-1": 5 * ONE, "class-2": 5 * TWO}
    if ground:
        classes = {"class-0": 5 * TWO, "class-1": 5 * GROUND, "class-2": 5 * ONE}
    ignored = {name.replace("class-0", "ignored"): pixels for name, pixels in classes.items()}
    assert counts(tmp_path) == (ignored if ground else classes)
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity) == ("no-data", "warning")
    assert ("`read.map` 0=0" if ground else "`read.ignore` 0") in fault.cure
    assert counts(tmp_path, ignore=0) == ignored
    assert counts(tmp_path, map={0: 0}) == classes
    (tmp_path / "classes.txt").write_text("1,a\n2,b\n")
    assert counts(tmp_path)["ignored"] == classes["class-0"]


@pytest.mark.parametrize("more", [0, 1])
def test_a_declared_zero_that_fills_half_of_the_masks_and_no_more_is_ignored(tmp_path, more):
    mask = np.zeros(SIDE * SIDE, np.uint8)
    mask[SIDE * SIDE // 2 + more :] = 1
    mask[SIDE * SIDE * 3 // 4 :] = 2
    (tmp_path / "masks").mkdir()
    tag = [(42113, "s", 0, "0", True)]
    for number in range(5):
        photo(tmp_path / "images" / f"{number}.png", number, (SIDE, SIDE))
        path = tmp_path / "masks" / f"{number}.tif"
        tifffile.imwrite(path, mask.reshape(SIDE, SIDE), extratags=tag, photometric="minisblack")
    assert ("ignored" in counts(tmp_path)) is (more == 0)
    (fault,) = read_dataset(tmp_path).faults
    assert ("`read.ignore` 0" in fault.cure) is (more == 1)


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize("separator", [":", ": ", " = ", "\t"])
def test_a_name_with_a_comma(tmp_path, separator):
    save(tmp_path, [drawn(number) for number in range(4)])
    rows = ["background", "nut", "washer, thick"]
    (tmp_path / "classes.txt").write_text("\n".join(f"{place}{separator}{name}" for place, name in enumerate(rows)))
    assert counts(tmp_path) == {"background": 4 * GROUND, "nut": 4 * ONE, "washer, thick": 4 * TWO}


def test_a_comma_that_may_be_part_of_a_name_is_refused_and_the_cure_works(tmp_path):
    save(tmp_path, [drawn(number) for number in range(4)])
    table = tmp_path / "classes.txt"
    table.write_text("0,background\n1,nut\n2,washer, thick\n")
    with pytest.raises(MaskwrightError, match="if the name holds a comma, write every line as id: name"):
        read_dataset(tmp_path)
    table.write_text("0: background\n1: nut\n2: washer, thick\n")
    assert counts(tmp_path)["washer, thick"] == 4 * TWO


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("ID\tName\tColor\n2\tbolt\t#ff0000\n1\tnut\t#00ff00\n", "0<tab>background<tab>#000000"),
        ("1\tnut\n2\tbolt\n", "0<tab>background"),
        ("id;name;r;g;b\n1;nut;255;0;0\n2;bolt;0;255;0\n", "0;background;0;0;0"),
        ("1: nut\n2: bolt\n", "0: background"),
        ("nut,1\nbolt,2\n", "background,0"),
    ],
)
def test_the_line_to_add_is_written_as_the_table_is(tmp_path, text, row):
    save(tmp_path, [drawn(number) for number in range(4)])
    (tmp_path / "classes.txt").write_text(text)
    dataset = read_dataset(tmp_path)
    with pytest.raises(DecodeError) as caught:
        read_label(dataset, dataset.records[0], (SIDE, SIDE))
    line = r"add the line (.*?) to classes\.txt( \(<tab> is a tab\))?, or if nothing is known there"
    added = re.match(line, caught.value.cure)
    assert added is not None
    assert added[1] == row
    assert (added[2] is not None) == ("<tab>" in row)
    (tmp_path / "classes.txt").write_text(text + row.replace("<tab>", "\t"))
    assert counts(tmp_path) == {"background": 4 * GROUND, "nut": 4 * ONE, "bolt": 4 * TWO}


def test_a_colour_to_add_is_written_as_the_table_writes_colours(tmp_path):
    save(tmp_path, [COLORS[drawn(number)] for number in range(4)])
    table = tmp_path / "classes.csv"
    table.write_text("name\tcolor\nbackground\t#000000\nnut\t#c81e1e\n")
    dataset = read_dataset(tmp_path)
    with pytest.raises(DecodeError, match="the colour 30,200,30") as caught:
        read_label(dataset, dataset.records[0], (SIDE, SIDE))
    assert caught.value.cure.startswith("add the line NAME<tab>#1ec81e to classes.csv (<tab> is a tab), or")
    table.write_text(table.read_text() + "bolt\t#1ec81e\n")
    assert counts(tmp_path) == {"background": 4 * GROUND, "nut": 4 * ONE, "bolt": 4 * TWO}


# ---------------------------------------------------------------- probabilities


def probabilities(number: int) -> np.ndarray:
    """Return the foreground of the drawing with soft edges; 0.5 lies where the edges were."""
    return cv2.GaussianBlur((drawn(number) > 0).astype(np.float32), (5, 5), 1)


def save_floats(root: Path, masks: list[np.ndarray], suffix: str = ".tif", nodata: str | None = None) -> Path:
    for number, mask in enumerate(masks):
        photo(root / "images" / f"{number}.png", number, (SIDE, SIDE))
        path = root / "masks" / f"{number}{suffix}"
        path.parent.mkdir(exist_ok=True)
        if suffix == ".npy":
            np.save(path, mask)
        else:
            tags = [] if nodata is None else [(42113, "s", 0, nodata, True)]
            tifffile.imwrite(path, mask, photometric="minisblack", extratags=tags)
    return root


@pytest.mark.parametrize("suffix", [".tif", ".npy"])
@pytest.mark.parametrize("whole", [0, 2])
def test_probabilities_are_cut_at_half(tmp_path, suffix, whole):
    masks = [(drawn(n) > 0).astype(np.float32) if n < whole else probabilities(n) for n in range(5)]
    save_floats(tmp_path, masks, suffix)
    above = sum(int((mask >= 0.5).sum()) for mask in masks)
    expected = {"background": 5 * SIDE * SIDE - above, "foreground": above}
    assert near(expected, {"background": 5 * GROUND, "foreground": 5 * (ONE + TWO)}, 0.03)
    assert counts(tmp_path) == expected
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity) == ("soft-mask", "warning")
    assert f"{5 - whole} of 5 masks hold fractions from 0 to 1" in fault.message
    (tmp_path / "classes.txt").write_text("ground\nthing\n")
    assert counts(tmp_path) == {"ground": expected["background"], "thing": above}


@pytest.mark.parametrize("nodata", ["-9999", "nan"])
def test_probabilities_with_no_data(tmp_path, nodata):
    masks = [probabilities(number) for number in range(5)]
    for mask in masks:
        mask[:2] = float(nodata)
    save_floats(tmp_path, masks, nodata=nodata)
    above = sum(int((mask >= 0.5).sum()) for mask in masks)
    assert counts(tmp_path) == {
        "background": 5 * (SIDE - 2) * SIDE - above,
        "foreground": above,
        "ignored": 5 * 2 * SIDE,
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda mask: as_values(0, 0.5, 1)[mask],  # three classes, scaled to 1
        lambda mask: as_values(0, 0.3, 0.7)[mask],
        lambda mask: np.linspace(0, 1, mask.size).reshape(mask.shape),  # measured values
        lambda mask: as_values(0, 0.5, 2)[mask],
    ],
)
def test_fractions_that_are_no_probabilities_of_one_class_are_refused(tmp_path, change):
    save_floats(tmp_path, [change(drawn(number)).astype(np.float32) for number in range(5)])
    with pytest.raises(MaskwrightError, match=r"holds fractions or infinite values.* or ids of objects as uint16"):
        read_dataset(tmp_path)


def test_probabilities_among_masks_of_several_classes_or_objects_are_faults(tmp_path):
    masks = [drawn(number).astype(np.float32) for number in range(3)]
    save_floats(tmp_path, [*masks, probabilities(3)])
    assert counts(tmp_path) == {"class-0": 3 * GROUND, "class-1": 3 * ONE, "class-2": 3 * TWO, "faults": 1}
    (tmp_path / "masks").rename(tmp_path / "instances")
    assert counts(tmp_path) == {"background": 3 * GROUND, "object": 3 * (ONE + TWO), "faults": 1}


# ---------------------------------------------------------------- colours beside values


def save_mixed(root: Path, painted: int, colors: np.ndarray, count: int = 6) -> Path:
    """Save the drawing as RGB in the first masks, and with a palette of the same colours in the others."""
    for number in range(count):
        photo(root / "images" / f"{number}.png", number, (SIDE, SIDE))
        path = root / "masks" / f"{number}.png"
        if number < painted:
            write(path, colors[drawn(number)])
        else:
            palette_mask(path, drawn(number), [tuple(color) for color in colors.tolist()])
    return root


@pytest.mark.parametrize("painted", [1, 3])
@pytest.mark.parametrize("table", [None, "1,nut\n0,ground\n2,bolt\n", "ground\nnut\nbolt\n"])
def test_colours_are_read_by_the_palettes_of_other_masks(tmp_path, painted, table):
    save_mixed(tmp_path, painted, COLORS)
    names = ("class-0", "class-1", "class-2")
    if table is not None:
        (tmp_path / "classes.txt").write_text(table)
        names = ("ground", "nut", "bolt")
    assert counts(tmp_path) == dict(zip(names, (6 * GROUND, 6 * ONE, 6 * TWO), strict=True))
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity) == ("two-conventions", "note")
    assert fault.message.startswith(f"{painted} of 6 masks hold")


def test_more_colours_than_palettes_are_read_by_colour(tmp_path):
    save_mixed(tmp_path, 4, COLORS)
    assert counts(tmp_path) == {"background": 6 * GROUND, "class-1": 6 * TWO, "class-2": 6 * ONE}


def test_a_colour_that_no_palette_shows_stays_a_fault(tmp_path):
    save_mixed(tmp_path, 0, COLORS)
    write(tmp_path / "masks" / "0.png", np.array([(0, 0, 0), (200, 30, 30), (9, 9, 200)], np.uint8)[drawn(0)])
    assert counts(tmp_path)["faults"] == 1


@pytest.mark.parametrize("red", [1, 3, 5])
@pytest.mark.parametrize("white", [1, 255])
@pytest.mark.parametrize("table", [None, "ground\nthing\n"])
def test_one_colour_on_black_beside_black_and_white_is_one_foreground(tmp_path, red, white, table):
    tinted = np.array([(0, 0, 0), (255, 0, 0), (255, 0, 0)], np.uint8)
    grey = as_values(0, white, white).astype(np.uint8)
    save(tmp_path, [(tinted if number < red else grey)[drawn(number)] for number in range(6)])
    names = ("background", "foreground")
    if table is not None:
        (tmp_path / "classes.txt").write_text(table)
        names = ("ground", "thing")
    assert counts(tmp_path) == dict(zip(names, (6 * GROUND, 6 * (ONE + TWO)), strict=True))
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity) == ("two-conventions", "warning")
    assert f"{red} of 6 masks hold the colour 255,0,0 on black" in fault.message


def test_two_colours_beside_black_and_white_are_not_one_foreground(tmp_path):
    grey = as_values(0, 255, 255).astype(np.uint8)
    save(tmp_path, [(COLORS if number < 2 else grey)[drawn(number)] for number in range(6)])
    assert counts(tmp_path) == {"background": 4 * GROUND, "foreground": 4 * (ONE + TWO), "faults": 2}
