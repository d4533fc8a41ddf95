"""What values mean where masks differ: each count of pixels is right, or the mask is a fault, or the set is refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.data.drawings import GROUND, ONE, SIDE, TWO, as_values, counts, drawn, kinds, save
from tests.data.layouts import palette_mask, photo, write

from maskwright.cli.options import parse_map
from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import ReadOptions, read_dataset
from maskwright.data.labels import read_label, read_objects
from maskwright.data.readers import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NODATA_TAG = 42113


# ---------------------------------------------------------------- binary masks


def binary(value: int, count: int = 4) -> list[np.ndarray]:
    return [as_values(0, value, value)[drawn(number)].astype(np.uint8) for number in range(count)]


def both(masks: int) -> dict[str, int]:
    return {"background": masks * GROUND, "foreground": masks * (ONE + TWO)}


@pytest.mark.parametrize(("ones", "whites"), [(4, 4), (7, 1), (1, 7)])
def test_each_binary_mask_is_read_by_its_own_convention(tmp_path, ones, whites):
    save(tmp_path, [*binary(1, ones), *binary(255, whites)])
    assert counts(tmp_path) == both(8)
    assert kinds(tmp_path) == ["two-conventions"]
    assert "0 and 1 or 0 and 255" in read_dataset(tmp_path).layout
    (tmp_path / "classes.txt").write_text("background\nforeground\n")
    assert counts(tmp_path) == both(8)
    (tmp_path / "classes.txt").write_text("foreground\n")
    assert counts(tmp_path) == both(8)
    (tmp_path / "classes.txt").write_text("0,background\n1,foreground\n")
    assert counts(tmp_path) == both(8)
    assert counts(tmp_path, ignore=255) == {
        "background": 8 * GROUND,
        "foreground": ones * (ONE + TWO),
        "ignored": whites * (ONE + TWO),
    }


@pytest.mark.parametrize("values", [(1, 65535), (255, 65535), (1, 255, 65535)])
def test_white_in_sixteen_bits_is_a_convention_too(tmp_path, values):
    save(
        tmp_path, [as_values(0, high, high)[drawn(number)].astype(np.uint16) for high in values for number in range(2)]
    )
    assert counts(tmp_path) == both(2 * len(values))
    assert kinds(tmp_path) == ["two-conventions"]


@pytest.mark.parametrize("white", [1, 255])
@pytest.mark.parametrize("numbers", [(2, 5, 7), (1, 3, 5, 8), (0, 1, 2, 4, 6, 7), tuple(range(8))])
def test_masks_that_are_inverted_are_reported_and_the_cure_works(tmp_path, white, numbers):
    masks = binary(white, 9)
    for number in numbers:
        masks[number] = white - masks[number]
    save(tmp_path, masks)
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity, fault.path.name) == ("inverted-masks", "warning", f"{numbers[0]:02}.png")
    assert f"foreground fills more than half and most of the rim of {len(numbers)} of 9 masks" in fault.message
    assert f"and background of {9 - len(numbers)} (" in fault.message
    save(tmp_path, binary(white, 9))
    assert kinds(tmp_path) == []


def test_inverted_masks_are_reported_where_objects_touch_the_rim_and_the_others_use_255(tmp_path):
    inverted = [1 - mask for mask in binary(1, 3)]
    inverted[0][:3, 0] = 0
    save(tmp_path, [*inverted, *binary(255, 3)])
    assert kinds(tmp_path) == ["two-conventions", "inverted-masks"]
    assert "foreground fills more than half and most of the rim of 3" in read_dataset(tmp_path).faults[-1].message


@pytest.mark.parametrize("white", [1, 255])
def test_masks_that_are_all_inverted_are_reported_and_the_cure_works(tmp_path, white):
    save(tmp_path, [white - mask for mask in binary(white, 6)])
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity, fault.path.name) == ("inverted-masks", "warning", "masks")
    assert "the whole rim of 6 of 6 masks looked at, as a background does: all masks may be inverted" in fault.message
    assert cured(fault) == {0: white, white: 0}
    assert kinds(tmp_path, map=cured(fault)) == []
    assert counts(tmp_path, map=cured(fault)) == both(6)


def test_a_large_object_that_leaves_a_side_of_the_rim_is_not_inverted(tmp_path):
    masks = binary(255, 6)
    masks[1] = 255 - masks[1]
    masks[1][0] = masks[1][:2, 0] = 0
    assert kinds(save(tmp_path, masks)) == []


def test_objects_that_cross_the_rim_in_most_masks_tell_nothing_of_one_that_fills_it(tmp_path):
    masks = binary(255, 6)
    for number in range(4):
        masks[number][:, :6] = 255
    masks[5] = 255 - masks[5]
    assert kinds(save(tmp_path, masks)) == []


def jpegs(root: Path, others: list[np.ndarray]) -> Path:
    """Write `others`, and two black and white JPEGs; all of 8 times the size of `drawn`, so that edges are few."""
    for number, mask in enumerate([*others, *binary(255, 2)]):
        photo(root / "images" / f"{number}.png", number, (8 * SIDE, 8 * SIDE))
        suffix = ".png" if number < len(others) else ".jpg"
        write(root / "masks" / f"{number}{suffix}", np.kron(mask, np.ones((8, 8), np.uint8)), quality=90)
    return root


@pytest.mark.parametrize(
    ("others", "faults"), [(binary(255, 3), 0), ([*binary(1, 2), *binary(255, 1)], 0), (binary(1, 3), 2)]
)
def test_a_few_jpegs_among_other_masks(tmp_path, others, faults):
    dataset = read_dataset(jpegs(tmp_path, others))
    shares, refused = [], 0
    for record in dataset.records:
        try:
            label = read_label(dataset, record, (8 * SIDE, 8 * SIDE))
        except DecodeError:
            refused += 1
            continue
        assert set(np.unique(label)) <= {0, 1}
        shares.append((label == 1).mean())
    assert refused == faults
    assert shares == pytest.approx([(ONE + TWO) / SIDE**2] * (5 - faults), rel=0.01)


def test_empty_and_full_masks_fit_either_convention(tmp_path):
    nothing = np.zeros((SIDE, SIDE), np.uint8)
    save(tmp_path, [*binary(1), *binary(255), nothing, nothing + 255, nothing + 1])
    area = SIDE * SIDE
    assert counts(tmp_path) == {
        "background": 8 * GROUND + area,
        "foreground": 8 * (ONE + TWO) + 2 * area,
    }


def test_one_bit_and_grey_with_alpha_and_booleans(tmp_path):
    for number in range(8):
        photo(tmp_path / "images" / f"{number}.png", number, (SIDE, SIDE))
        grey = Image.fromarray(binary(255)[0])
        path = tmp_path / "masks" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        if number % 4 == 0:
            grey.convert("1").save(path)
        elif number % 4 == 1:
            Image.merge("LA", (grey, Image.new("L", grey.size, 255))).save(path)
        elif number % 4 == 2:
            np.save(path.with_suffix(".npy"), binary(1)[0].astype(bool))
        else:
            np.save(path.with_suffix(".npy"), binary(255)[0])
    assert counts(tmp_path) == both(8)


def outlined(number: int, value: int = 1) -> np.ndarray:
    """Return a square with an outline of 255, as Pascal VOC draws."""
    mask = (drawn(number) == 1).astype(np.uint8) * value
    mask[2 + number % 5, 3:19] = mask[17 + number % 5, 3:19] = 255
    mask[2 + number % 5 : 18 + number % 5, 3] = mask[2 + number % 5 : 18 + number % 5, 18] = 255
    return mask


def test_white_that_outlines_is_ignored_and_a_mask_of_white_alone_is_a_fault(tmp_path):
    save(tmp_path, [*map(outlined, range(6)), *binary(255, 2)])
    found = counts(tmp_path)
    assert found["faults"] == 2
    assert found["ignored"] == 6 * 60
    assert counts(tmp_path, ignore=255)["ignored"] == 6 * 60 + 2 * (ONE + TWO)
    assert counts(tmp_path, map={255: 1})["foreground"] == 6 * (ONE + 60) + 2 * (ONE + TWO)


def test_white_that_fills_regions_beside_a_class_is_ignored_with_a_warning(tmp_path):
    save(tmp_path, [as_values(0, 1, 255)[drawn(number)].astype(np.uint8) for number in range(6)])
    assert counts(tmp_path) == {"background": 6 * GROUND, "foreground": 6 * ONE, "ignored": 6 * TWO}
    assert kinds(tmp_path) == ["white-ignored"]
    assert kinds(tmp_path, ignore=255) == []
    (tmp_path / "classes.txt").write_text("0,ground\n1,disc\n255,box\n")
    assert counts(tmp_path) == {"ground": 6 * GROUND, "disc": 6 * ONE, "box": 6 * TWO}
    assert kinds(tmp_path) == []


def test_binary_masks_among_masks_of_several_classes_are_faults(tmp_path):
    save(tmp_path, [*(drawn(number) for number in range(8)), *binary(255, 2)])
    assert counts(tmp_path) == {"class-0": 8 * GROUND, "class-1": 8 * ONE, "class-2": 8 * TWO, "faults": 2}
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    assert counts(tmp_path)["faults"] == 2


@pytest.mark.parametrize("value", [1, 255])
def test_a_mask_that_was_not_scanned_and_differs_is_a_fault(tmp_path, monkeypatch, value):
    monkeypatch.setattr("maskwright.data.formats.folder.MOST_MASKS", 3)
    save(tmp_path, [*binary(value, 1), *binary(256 - value, 1), *binary(value, 4)])
    assert counts(tmp_path) == {**both(5), "faults": 1}
    dataset = read_dataset(tmp_path)
    with pytest.raises(DecodeError) as caught:
        read_label(dataset, dataset.records[1], (SIDE, SIDE))
    assert counts(tmp_path, map=cured(caught.value)) == both(6)


# ---------------------------------------------------------------- greys


@pytest.mark.parametrize("values", [(0, 127, 255), (0, 128, 255), (0, 255, 127)])
def test_evenly_spaced_greys_are_classes(tmp_path, values):
    save(tmp_path, [as_values(*values)[drawn(number)].astype(np.uint8) for number in range(6)])
    names = [f"class-{value}" for value in values]
    assert counts(tmp_path) == dict(zip(names, (6 * GROUND, 6 * ONE, 6 * TWO), strict=True))
    assert "evenly spaced greys" in read_dataset(tmp_path).layout
    assert counts(tmp_path, ignore=255)["ignored"] == 6 * (TWO if values[2] == 255 else ONE)
    (tmp_path / "classes.txt").write_text("low\nmiddle\nhigh\n")
    order = ["low", "middle", "high"] if values[2] == 255 else ["low", "high", "middle"]
    assert counts(tmp_path) == dict(zip(order, (6 * GROUND, 6 * ONE, 6 * TWO), strict=True))


def test_greys_that_no_mask_shows_together_are_faults(tmp_path):
    save(tmp_path, [*binary(127, 4), *binary(255, 4)])
    assert counts(tmp_path)["faults"] == 4
    assert "faults" not in counts(tmp_path, map={255: 127})


def test_greys_beside_ids_are_refused_with_a_cure_that_works(tmp_path):
    masks = [np.where(drawn(number) == 0, np.eye(SIDE, dtype=np.uint8) * 3, drawn(number)) for number in range(6)]
    save(tmp_path, [mask * np.uint8(85 if number % 2 else 1) for number, mask in enumerate(masks)])
    with pytest.raises(MaskwrightError, match=r"hold the values 1, 2, 3, and the others 85, 170, 255") as caught:
        read_dataset(tmp_path)
    assert cured(caught.value) == {85: 1, 170: 2, 255: 3}
    found = counts(tmp_path, map=cured(caught.value))
    assert found == {f"class-{value}": int(np.sum(np.array(masks) == value)) for value in range(4)}


@pytest.mark.parametrize("values", [(0, 10, 20), (0, 256, 512), (0, 50, 100)])
def test_multiples_of_ids_in_other_masks_are_reported_and_the_cures_work(tmp_path, values):
    dtype = np.uint16 if max(values) > 255 else np.uint8
    masks = [as_values(*values)[drawn(number)].astype(dtype) if number % 2 else drawn(number) for number in range(6)]
    save(tmp_path, masks)
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity) == ("two-scales", "warning")
    assert f"hold the values 1, 2, and the others {values[1]}, {values[2]}; each value" in fault.message
    assert cured(fault) == {values[1]: 1, values[2]: 2}
    assert kinds(tmp_path, map=cured(fault)) == []
    assert counts(tmp_path, map=cured(fault)) == {"class-0": 6 * GROUND, "class-1": 6 * ONE, "class-2": 6 * TWO}
    (tmp_path / "classes.txt").write_text("".join(f"{value},c{value}\n" for value in sorted({0, 1, 2, *values})))
    assert kinds(tmp_path) == []


@pytest.mark.parametrize(
    "others",
    [
        [(0, 10, 20), (0, 1, 20)],  # a mask with values of both
        [(0, 10, 10), (0, 20, 20)],  # no mask with both multiples
    ],
)
def test_other_values_in_other_masks_are_classes(tmp_path, others):
    masks = [as_values(*values)[drawn(number)].astype(np.uint8) for number, values in enumerate(others * 2)]
    assert kinds(save(tmp_path, [*map(drawn, range(4)), *masks])) == []


def test_masks_of_0_and_255_beside_a_table_of_more_names_are_faults(tmp_path):
    save(tmp_path, binary(255))
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    assert counts(tmp_path) == {"faults": 4}
    assert counts(tmp_path, map={255: 2}) == {"a": 4 * GROUND, "c": 4 * (ONE + TWO)}


def test_a_palette_that_contradicts_a_table_of_colours_is_a_fault(tmp_path):
    (tmp_path / "classes.csv").parent.mkdir(exist_ok=True)
    (tmp_path / "classes.csv").write_text("id,name,r,g,b\n0,ground,0,0,0\n1,red,200,30,30\n2,green,30,200,30\n")
    save(tmp_path, [drawn(number) for number in range(4)])
    palette_mask(tmp_path / "masks" / "01.png", drawn(1), [(0, 0, 0), GREEN, RED])
    palette_mask(tmp_path / "masks" / "02.png", drawn(2), [(0, 0, 0), RED, GREEN])
    assert counts(tmp_path) == {"ground": 3 * GROUND, "red": 3 * ONE, "green": 3 * TWO, "faults": 1}


def resized(mask: np.ndarray, mode: int = Image.Resampling.BILINEAR) -> np.ndarray:
    small = Image.fromarray(mask).resize((SIDE // 2, SIDE // 2), mode)
    return np.asarray(small.resize((SIDE, SIDE), mode))


@pytest.mark.parametrize(
    ("mode", "white"),
    [
        (Image.Resampling.BILINEAR, 255),
        (Image.Resampling.BILINEAR, 200),
        (Image.Resampling.BICUBIC, 255),
        (Image.Resampling.LANCZOS, 255),
    ],
)
def test_interpolated_masks_of_two_classes_are_cut_at_half(tmp_path, mode, white):
    masks = [resized(mask, mode) for mask in binary(white, 8)]
    save(tmp_path, masks)
    cut = 128 if white == 255 else 100
    assert counts(tmp_path)["foreground"] == sum(int((mask >= cut).sum()) for mask in masks)
    assert kinds(tmp_path) == ["soft-mask"]
    (tmp_path / "classes.txt").write_text("ground\nbox\n")
    assert counts(tmp_path)["box"] == sum(int((mask >= cut).sum()) for mask in masks)


def test_a_few_interpolated_masks_among_clean_ones(tmp_path):
    masks = [*binary(255, 6), *map(resized, binary(255, 2))]
    save(tmp_path, masks)
    assert counts(tmp_path)["foreground"] == sum(int((mask >= 128).sum()) for mask in masks)
    assert kinds(tmp_path) == ["soft-mask"]


def test_a_mask_of_0_and_1_among_interpolated_ones_is_a_fault(tmp_path):
    soft = [resized(mask) for mask in binary(255, 5)]
    save(tmp_path, [*soft, *binary(1, 2), np.zeros((SIDE, SIDE), np.uint8)])
    white = sum(int((mask >= 128).sum()) for mask in soft)
    assert counts(tmp_path) == {"background": 6 * SIDE**2 - white, "foreground": white, "faults": 2}
    assert counts(tmp_path, map={1: 255}).get("faults") is None


def test_thin_layers_in_the_order_of_their_ids_are_classes(tmp_path):
    layers = np.zeros((SIDE, SIDE), np.uint8)
    for value in range(1, 10):
        layers[10 + 2 * value :] = value
    save(tmp_path, [layers] * 4)
    assert counts(tmp_path)["class-5"] == 4 * 2 * SIDE


def test_interpolated_masks_of_sixteen_bits(tmp_path):
    masks = [resized(mask).astype(np.uint16) * 257 for mask in binary(255, 6)]
    save(tmp_path, masks)
    assert counts(tmp_path)["foreground"] == sum(int((mask >= 32768).sum()) for mask in masks)


@pytest.mark.parametrize("table", [None, "a\nb\nc\n", "0,a\n50,b\n100,c\n"])
@pytest.mark.parametrize("values", [(0, 50, 100), (0, 127, 255)])
def test_interpolated_masks_of_several_classes_are_refused(tmp_path, table, values):
    save(tmp_path, [resized(as_values(*values)[drawn(number)].astype(np.uint8)) for number in range(8)])
    if table:
        (tmp_path / "classes.txt").write_text(table)
    with pytest.raises(MaskwrightError, match=r"saved with interpolation.*nearest-neighbour.*`read\.classes`"):
        read_dataset(tmp_path)
    (tmp_path / "classes.txt").write_text("".join(f"{value},class {value}\n" for value in range(255)))
    assert "faults" not in counts(tmp_path)


def test_interpolated_colours_are_refused(tmp_path):
    colors = np.array([[0, 0, 0], [200, 0, 0], [0, 9, 250]], np.uint8)
    save(tmp_path, [resized(colors[drawn(number)]) for number in range(4)])
    with pytest.raises(MaskwrightError, match=r"different colours.*interpolation"):
        read_dataset(tmp_path)


def test_a_class_with_a_negative_id_does_not_stand_for_white(tmp_path):
    save(tmp_path, [*binary(1), *binary(255)])
    (tmp_path / "classes.txt").write_text("-1,license plate\n0,ground\n1,crack\n")
    assert counts(tmp_path) == {"ground": 8 * GROUND, "crack": 8 * (ONE + TWO)}


def test_white_is_a_class_beside_an_ignored_name_where_masks_hold_nothing_else(tmp_path):
    save(tmp_path, binary(255))
    (tmp_path / "labels.txt").write_text("__ignore__\nground\ncrack\n")
    assert counts(tmp_path) == {"ground": 4 * GROUND, "crack": 4 * (ONE + TWO)}


def test_a_few_shades_between_two_colours_are_refused(tmp_path):
    masks = []
    for number in range(4):
        rows, columns = np.mgrid[: 2 * SIDE, : 2 * SIDE]
        disc = np.hypot(rows - 40 - number, columns - 50) < 20
        share = disc.reshape(SIDE, 2, SIDE, 2).mean((1, 3))
        masks.append((share[..., None] * (255, 0, 0)).astype(np.uint8))
    assert len({tuple(color) for mask in masks for color in mask.reshape(-1, 3).tolist()}) <= 5
    save(tmp_path, masks)
    with pytest.raises(MaskwrightError, match=r"different colours.*interpolation.*as PNG, without smooth edges$"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("channel", [0, 2])
def test_ids_in_one_channel_get_the_names_of_a_table(tmp_path, channel):
    masks = []
    for number in range(4):
        mask = np.zeros((SIDE, SIDE, 3), np.uint8)
        mask[..., channel] = drawn(number)
        masks.append(mask)
    save(tmp_path, masks)
    assert counts(tmp_path) == {"class-0": 4 * GROUND, "class-1": 4 * ONE, "class-2": 4 * TWO}
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    assert counts(tmp_path) == {"a": 4 * GROUND, "b": 4 * ONE, "c": 4 * TWO}
    assert counts(tmp_path, ignore=2)["ignored"] == 4 * TWO


def test_many_rare_classes_and_thin_ones_are_not_interpolated(tmp_path):
    random, masks = np.random.default_rng(0), []
    for number in range(8):
        mask = drawn(number)
        for value in random.choice(np.arange(3, 150), 20, replace=False):
            top, left = random.integers(0, SIDE - 3, 2)
            mask[top : top + random.integers(1, 4), left : left + random.integers(1, 4)] = value
        mask[:, 45] = 17  # a pole
        masks.append(mask)
    save(tmp_path, masks)
    found = counts(tmp_path)
    assert {f"class-{value}" for value in np.unique(masks)} == set(found)
    assert found["class-17"] >= 8 * SIDE


# ---------------------------------------------------------------- no data, negative and large values


def tiff(path: Path, array: np.ndarray, nodata: str | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tags = [] if nodata is None else [(NODATA_TAG, "s", 0, nodata, True)]
    tifffile.imwrite(path, array, extratags=tags, photometric="minisblack")


def rasters(root: Path, change: Callable[[np.ndarray], np.ndarray], nodata: str | None) -> Path:
    for number in range(5):
        photo(root / "images" / f"{number}.png", number, (SIDE, SIDE))
        tiff(root / "masks" / f"{number}.tif", change(drawn(number)), nodata)
    return root


@pytest.mark.parametrize(
    ("value", "dtype", "tag"),
    [
        (-9999, np.float32, "-9999"),
        (-9999, np.int16, "-9999"),
        (np.nan, np.float32, "nan"),
        (np.nan, np.float64, None),
        (-3.4028234663852886e38, np.float32, "-3.4028234663852886e+38"),
        (200, np.uint8, "200"),
        (-1, np.int16, None),
    ],
)
def test_no_data_is_ignored_and_said(tmp_path, value, dtype, tag):
    rasters(tmp_path, lambda mask: np.where(mask == 2, dtype(value), mask.astype(dtype)), tag)
    assert counts(tmp_path) == {"background": 5 * GROUND, "foreground": 5 * ONE, "ignored": 5 * TWO}
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity) == ("no-data", "note")
    assert f"{TWO / SIDE**2:.1%} of the pixels" in fault.message
    (tmp_path / "classes.txt").write_text("ground\nbox\n")
    assert counts(tmp_path) == {"ground": 5 * GROUND, "box": 5 * ONE, "ignored": 5 * TWO}
    if abs(value) < 10_000:
        assert counts(tmp_path, map={value: 0}) == {"ground": 5 * (GROUND + TWO), "box": 5 * ONE}


def test_ignoring_most_of_the_masks_deserves_a_warning(tmp_path):
    rasters(tmp_path, lambda mask: mask.astype(np.int8) - 1, None)
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity) == ("no-data", "warning")
    assert counts(tmp_path, map=cured(fault)) == {"background": 5 * (GROUND + ONE), "foreground": 5 * TWO}


def test_nan_is_ignored_where_the_declared_value_is_a_class(tmp_path):
    rasters(tmp_path, lambda mask: np.where(mask == 2, np.float32(np.nan), mask.astype(np.float32)), "0")
    (tmp_path / "classes.txt").write_text("0,ground\n1,box\n")
    assert counts(tmp_path) == {"ground": 5 * GROUND, "box": 5 * ONE, "ignored": 5 * TWO}


@pytest.mark.parametrize(("value", "dtype"), [(-9999, np.float32), (np.nan, np.float32), (-1, np.int8)])
def test_no_data_beside_one_value_is_the_background(tmp_path, value, dtype):
    rasters(tmp_path, lambda mask: np.where(mask == 0, dtype(value), dtype(1)), None if value == -1 else str(value))
    assert counts(tmp_path) == both(5)
    assert kinds(tmp_path) == ["no-data"]
    (tmp_path / "classes.txt").write_text("building\n")
    assert counts(tmp_path) == {"background": 5 * GROUND, "building": 5 * (ONE + TWO)}


def test_no_data_around_objects_in_some_masks_is_the_background_there(tmp_path):
    rasters(tmp_path, lambda mask: np.where(mask > 0, np.float32(1), np.float32(np.nan)), "nan")
    for number in range(3):
        photo(tmp_path / "images" / f"x{number}.png", number, (SIDE, SIDE))
        write(tmp_path / "masks" / f"x{number}.png", binary(255)[0])
    assert counts(tmp_path) == both(8)


def test_a_declared_zero_is_the_background_of_binary_masks(tmp_path):
    rasters(tmp_path / "a", lambda mask: (mask > 0).astype(np.uint8), "0")
    assert counts(tmp_path / "a") == both(5)
    rasters(tmp_path / "b", lambda mask: (mask > 0).astype(np.uint8) * 255, "255")
    assert counts(tmp_path / "b") == both(5)


def test_a_table_and_the_options_say_more_than_a_tag(tmp_path):
    rasters(tmp_path, lambda mask: mask, "2")
    assert counts(tmp_path)["ignored"] == 5 * TWO
    assert counts(tmp_path, map={2: 1}) == {"background": 5 * GROUND, "foreground": 5 * (ONE + TWO)}
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    assert counts(tmp_path) == {"a": 5 * GROUND, "b": 5 * ONE, "c": 5 * TWO}


def test_a_negative_value_that_nothing_explains_is_refused_with_a_cure_that_works(tmp_path):
    save(tmp_path, [as_values(0, 1, -9999)[drawn(number)].astype(np.int16) for number in range(4)])
    with pytest.raises(MaskwrightError, match=r"holds the value -9999") as caught:
        read_dataset(tmp_path)
    expected = {"background": 4 * GROUND, "foreground": 4 * ONE, "ignored": 4 * TWO}
    assert counts(tmp_path, map=cured(caught.value)) == expected
    assert counts(tmp_path, ignore=-9999) == expected
    (tmp_path / "classes.txt").write_text("0,ground\n1,box\n-9999,hole\n")
    assert counts(tmp_path) == {"hole": 4 * TWO, "ground": 4 * GROUND, "box": 4 * ONE}


def test_infinite_values_and_fractions_are_refused(tmp_path):
    for value, name in ((np.inf, "a"), (0.5, "b"), (1e12, "c")):
        rasters(tmp_path / name, lambda mask, v=value: np.where(mask == 2, v, mask).astype(np.float32), None)
        with pytest.raises(MaskwrightError, match="fractions or infinite"):
            read_dataset(tmp_path / name)


@pytest.mark.parametrize("value", [70_000, 3_000_000_000])
def test_ids_above_sixteen_bits(tmp_path, value):
    save(tmp_path, [as_values(0, 1, value)[drawn(number)].astype(np.int64) for number in range(4)])
    with pytest.raises(MaskwrightError, match=rf"values up to {value}.*instances/"):
        read_dataset(tmp_path)
    assert counts(tmp_path, map={value: "ignore"})["ignored"] == 4 * TWO
    assert counts(tmp_path, map={value: 1})["foreground"] == 4 * (ONE + TWO)
    (tmp_path / "classes.txt").write_text(f"0,a\n1,b\n{value},c\n")
    assert counts(tmp_path) == {"a": 4 * GROUND, "b": 4 * ONE, "c": 4 * TWO}
    (tmp_path / "classes.txt").unlink()
    (tmp_path / "masks").rename(tmp_path / "instances")
    assert counts(tmp_path) == {"background": 4 * GROUND, "object": 4 * (ONE + TWO)}
    dataset = read_dataset(tmp_path)
    assert [entry.area for entry in read_objects(dataset, dataset.records[0], (SIDE, SIDE))] == [ONE, TWO]


def test_a_declared_zero_is_the_background_of_objects_too(tmp_path):
    rasters(tmp_path, lambda mask: mask.astype(np.uint16), "0")
    (tmp_path / "masks").rename(tmp_path / "instances")
    assert counts(tmp_path) == {"background": 5 * GROUND, "object": 5 * (ONE + TWO)}


def test_minus_1_in_maps_of_objects_is_ignored(tmp_path):
    save(tmp_path, [as_values(0, 1, -1)[drawn(number)].astype(np.int32) for number in range(2)])
    (tmp_path / "masks").rename(tmp_path / "instances")
    assert counts(tmp_path)["ignored"] == 2 * TWO
    assert counts(tmp_path) == counts(tmp_path, map={-1: "ignore"})


def test_negative_ids_of_objects_are_faults_until_they_are_explained(tmp_path):
    save(tmp_path, [as_values(0, 1, -7)[drawn(number)].astype(np.int32) for number in range(2)])
    (tmp_path / "masks").rename(tmp_path / "instances")
    assert counts(tmp_path) == {"faults": 2}
    assert counts(tmp_path, map={-7: "ignore"})["ignored"] == 2 * TWO


# ---------------------------------------------------------------- tables that do not fit


def test_ids_shifted_by_one_are_refused_with_cures_that_work(tmp_path):
    save(tmp_path, [drawn(number) + 1 for number in range(4)])
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    with pytest.raises(MaskwrightError, match=r"hold 3 and never 0.*count from 1") as caught:
        read_dataset(tmp_path)
    expected = {"a": 4 * GROUND, "b": 4 * ONE, "c": 4 * TWO}
    assert cured(caught.value) == {1: 0, 2: 1, 3: 2}
    assert counts(tmp_path, map=cured(caught.value)) == expected
    assert counts(tmp_path, map={3: "ignore"}) == {"b": 4 * GROUND, "c": 4 * ONE, "ignored": 4 * TWO}
    (tmp_path / "classes.txt").write_text("1,a\n2,b\n3,c\n")
    assert counts(tmp_path) == expected


def test_some_masks_shifted_by_one_are_told_of(tmp_path):
    save(tmp_path, [drawn(number) + number // 5 for number in range(8)])
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity, fault.path.name) == ("shifted-ids", "warning", "05.png")
    assert fault.message.startswith("3 masks hold 3, which classes.txt does not name, and never 0")
    assert counts(tmp_path)["faults"] == 3
    assert kinds(tmp_path, map={3: "ignore"}) == []


@pytest.mark.parametrize("table", ["background\nb\nc\n", "0,a\n1,b\n2,c\n"])
def test_the_cure_of_an_unknown_id_mentions_the_shift_only_in_masks_without_0(tmp_path, table):
    masks = [drawn(number) + number // 5 for number in range(8)]
    masks[0] = as_values(0, 1, 3)[masks[0]]
    (save(tmp_path, masks) / "classes.txt").write_text(table)
    dataset = read_dataset(tmp_path)
    cures = []
    for number in (0, 5, 6, 7):
        with pytest.raises(DecodeError) as caught:
            read_label(dataset, dataset.records[number], (SIDE, SIDE))
        cures.append(caught.value.cure)
    assert cures[0].startswith("add the ")
    assert cures[1:] == ["if the mask counts from 1, subtract 1 from its values; if not, " + cures[0]] * 3
    save(tmp_path, [masks[0] % 3, *(drawn(number) for number in range(1, 8))])
    assert kinds(tmp_path) == []


def test_a_lone_name_and_masks_that_count_from_one(tmp_path):
    save(tmp_path, [np.minimum(drawn(number), 1) + 1 for number in range(4)])
    (tmp_path / "classes.txt").write_text("box\n")
    with pytest.raises(MaskwrightError, match=r"hold 2 and never 0") as caught:
        read_dataset(tmp_path)
    assert counts(tmp_path, map=cured(caught.value)) == {"background": 4 * GROUND, "box": 4 * (ONE + TWO)}


def test_a_table_of_colours_that_lacks_one_is_refused_where_colours_count(tmp_path):
    (tmp_path / "classes.csv").write_text("name,r,g,b\na,0,0,0\nb,200,0,0\nc,,,\n")
    colors = np.array([[0, 0, 0], [200, 0, 0], [0, 9, 250]], np.uint8)
    save(tmp_path, [colors[drawn()]])
    with pytest.raises(MaskwrightError, match="gives 'c' no colour"):
        read_dataset(tmp_path)
    save(tmp_path, [drawn()])
    assert counts(tmp_path) == {"a": GROUND, "b": ONE, "c": TWO}


def labelme(root: Path, names: list[list[str]]) -> Path:
    for number, own in enumerate(names):
        folder = root / f"photo{number}_json"
        photo(folder / "img.png", number, (SIDE, SIDE))
        values = [own.index(name) if name in own else 0 for name in ("_background_", "apple", "pea")]
        palette_mask(folder / "label.png", as_values(*values)[drawn(number)], [(0, 0, 0), (128, 0, 0), (0, 128, 0)])
        (folder / "label_names.txt").write_text("\n".join(own) + "\n")
    return root


def test_each_folder_is_read_by_its_own_table(tmp_path):
    labelme(tmp_path, [["_background_", "apple", "pea"], ["_background_", "pea", "apple"], ["_background_", "pea"]])
    expected = {"_background_": 3 * GROUND + ONE, "apple": 2 * ONE, "pea": 3 * TWO}
    assert counts(tmp_path) == expected
    with pytest.raises(MaskwrightError, match=r"`read\.map` needs values that mean the same"):
        read_dataset(tmp_path, ReadOptions(map={1: 0}))
    (tmp_path / "photo2_json" / "label_names.txt").unlink()
    with pytest.raises(MaskwrightError, match=r"differently, and .*photo2_json has none.*`read\.classes`"):
        read_dataset(tmp_path)


def test_tables_that_agree_are_one(tmp_path):
    labelme(tmp_path, [["_background_", "apple"], ["_background_", "apple", "pea"]])
    assert counts(tmp_path) == {"_background_": 2 * GROUND + TWO, "apple": 2 * ONE, "pea": TWO}
    assert "3 names from label_names.txt" in read_dataset(tmp_path).layout
    (tmp_path / "classes.txt").write_text("_background_\npea\napple\n")
    with pytest.raises(MaskwrightError, match="name the values differently"):
        read_dataset(tmp_path)
    assert counts(tmp_path, classes=tmp_path / "classes.txt")["pea"] == 2 * ONE


RED, GREEN = (200, 30, 30), (30, 200, 30)


def palettes(root: Path, second: list[tuple[int, int, int]]) -> Path:
    """Write palette masks: a red and a green object, or those of `second` in every other mask."""
    for number in range(6):
        photo(root / "images" / f"{number}.png", number, (SIDE, SIDE))
        path, usual = root / "masks" / f"{number}.png", number % 2 == 0
        mask = drawn(number) if usual else as_values(0, 2, 1)[drawn(number)]
        palette_mask(path, mask, [(0, 0, 0), *([RED, GREEN] if usual else second)])
    return root


def test_palettes_in_another_order_are_read_by_colour(tmp_path):
    palettes(tmp_path, [GREEN, RED])
    assert counts(tmp_path) == {"background": 6 * GROUND, "class-1": 6 * TWO, "class-2": 6 * ONE}
    (tmp_path / "classes.csv").write_text("id,name,r,g,b\n0,ground,0,0,0\n1,red,200,30,30\n2,green,30,200,30\n")
    assert counts(tmp_path) == {"ground": 6 * GROUND, "red": 6 * ONE, "green": 6 * TWO}


def test_a_palette_of_white_before_black_is_read_as_it_is_shown(tmp_path):
    for number in range(6):
        photo(tmp_path / "images" / f"{number}.png", number, (SIDE, SIDE))
        path, mask = tmp_path / "masks" / f"{number}.png", (drawn(number) > 0).astype(np.uint8)
        if number % 2:
            palette_mask(path, 1 - mask, [(255, 255, 255), (0, 0, 0)])
        else:
            write(path, mask * 255)
    assert counts(tmp_path) == both(6)
    for number in range(0, 6, 2):
        (tmp_path / "images" / f"{number}.png").unlink()
        (tmp_path / "masks" / f"{number}.png").unlink()
    assert counts(tmp_path) == both(3)
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity) == ("inverted-palette", "warning")
    swapped = parse_map(re.findall(r"`read\.map` (\S+=\S+)", fault.cure))
    assert counts(tmp_path, map=swapped) == {"background": 3 * (ONE + TWO), "foreground": 3 * GROUND}


def test_palettes_that_share_no_colours_are_refused_until_a_table_tells(tmp_path):
    palettes(tmp_path, [(1, 2, 3), (4, 5, 6)])
    with pytest.raises(MaskwrightError, match=r"shows the value 1 in the colour.*classes.csv.*classes.txt"):
        read_dataset(tmp_path)
    (tmp_path / "classes.txt").write_text("0,a\n1,b\n2,c\n")
    assert counts(tmp_path) == {"a": 6 * GROUND, "b": 3 * (ONE + TWO), "c": 3 * (ONE + TWO)}


def test_a_palette_that_was_not_scanned_and_differs_is_a_fault(tmp_path, monkeypatch):
    monkeypatch.setattr("maskwright.data.formats.folder.MOST_MASKS", 2)
    palettes(tmp_path, [RED, GREEN])
    path = tmp_path / "masks" / "2.png"
    palette_mask(path, drawn(), [(0, 0, 0), GREEN, RED])
    assert counts(tmp_path)["faults"] == 1


# ---------------------------------------------------------------- cures


def cured(error: object) -> dict[int, int | str]:
    """Return the first alternative with `read.map` that an error or a fault names, parsed as the command line does."""
    maps = re.search(r"(`read\.map` \S+?(?=[\s,:;]|$) ?)+", str(error))
    assert maps is not None
    return parse_map(re.findall(r"`read\.map` (-?\d+=-?\w+)", maps[0]))


@pytest.mark.parametrize("value", [-5, 37, 255, 70_000])
@pytest.mark.parametrize("table", ["background\nb\nc\n", "0,a\n1,b\n2,c\n"])
def test_the_cure_of_an_unknown_label_works(tmp_path, value, table):
    masks = [drawn(number).astype(np.int32) for number in range(4)]
    masks[1] = np.where(masks[1] == 0, value, masks[1]) if value != 255 else np.where(masks[1] > 0, 255, 0)
    save(tmp_path, masks)
    (tmp_path / "classes.txt").write_text(table)
    dataset = read_dataset(tmp_path)
    with pytest.raises(DecodeError) as caught:
        read_label(dataset, dataset.records[1], (SIDE, SIDE))
    assert counts(tmp_path)["faults"] == 1
    assert "faults" not in counts(tmp_path, map=cured(caught.value))
    assert "faults" not in counts(tmp_path, ignore=value)
