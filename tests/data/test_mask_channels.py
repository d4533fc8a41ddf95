"""Masks with a channel for each class, or with alpha: each pixel gets the class that was drawn, or is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.data.drawings import GROUND, ONE, SIDE, TWO, counts, drawn, kinds, save
from tests.data.layouts import photo, write

from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import ReadOptions, read_dataset
from maskwright.data.readers import DecodeError, read_alpha
from maskwright.data.survey import survey

if TYPE_CHECKING:
    from pathlib import Path

FOUND = {"class-0": 4 * GROUND, "class-1": 4 * ONE, "class-2": 4 * TWO}
COLORS = "background,0,0,255\nnut,255,0,0\nbolt,0,255,0\n"


def coded(classes: int, high: int = 1, dtype: type = np.uint8) -> list[np.ndarray]:
    return [np.eye(classes, dtype=dtype)[drawn(number)] * dtype(high) for number in range(4)]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64, np.bool_])
@pytest.mark.parametrize("classes", [3, 4, 6])
def test_channels_of_an_array(tmp_path, classes, dtype):
    for number, mask in enumerate(coded(classes, dtype=dtype)):
        photo(tmp_path / "images" / f"{number}.png", number, (SIDE, SIDE))
        write(tmp_path / "masks" / f"{number}.npy", mask if number % 2 else np.moveaxis(mask, 2, 0))
    assert counts(tmp_path) == FOUND
    assert kinds(tmp_path) == []
    (tmp_path / "classes.txt").write_text("background\nnut\nbolt\n")
    assert counts(tmp_path) == {"background": 4 * GROUND, "nut": 4 * ONE, "bolt": 4 * TWO}


def test_the_last_of_four_channels_is_a_class_even_if_a_mask_holds_no_other(tmp_path):
    masks = [np.eye(4, dtype=np.uint8)[drawn(number) + 1] for number in range(3)]
    for number, mask in enumerate([*masks, np.eye(4, dtype=np.uint8)[np.full((SIDE, SIDE), 3)]]):
        photo(tmp_path / "images" / f"{number}.png", number, (SIDE, SIDE))
        write(tmp_path / "masks" / f"{number}.npy", mask)
    assert counts(tmp_path) == {"class-1": 3 * GROUND, "class-2": 3 * ONE, "class-3": 3 * TWO + SIDE * SIDE}


def test_two_channels_of_an_array(tmp_path):
    for number in range(4):
        photo(tmp_path / "images" / f"{number}.png", number, (SIDE, SIDE))
        write(tmp_path / "masks" / f"{number}.npy", np.eye(2)[np.minimum(drawn(number), 1)])
    assert counts(tmp_path) == {"background": 4 * GROUND, "foreground": 4 * (ONE + TWO)}


def test_a_picture_of_white_channels_is_read_in_their_order_with_a_warning(tmp_path):
    save(tmp_path, coded(3, 255))
    assert counts(tmp_path) == FOUND
    assert [(fault.kind, fault.severity) for fault in read_dataset(tmp_path).faults] == [("one-hot", "warning")]
    (tmp_path / "classes.csv").write_text(COLORS)
    assert counts(tmp_path) == {"background": 4 * TWO, "nut": 4 * GROUND, "bolt": 4 * ONE}
    assert kinds(tmp_path) == []


def test_a_list_of_names_that_is_too_short_for_the_channels(tmp_path):
    save(tmp_path, coded(3))
    (tmp_path / "classes.txt").write_text("nut\nbolt\n")
    with pytest.raises(MaskwrightError, match="the 3 values 0 to 2"):
        read_dataset(tmp_path)


def test_two_pure_colors_are_colors(tmp_path):
    save(tmp_path, [np.eye(3, dtype=np.uint8)[np.minimum(drawn(number), 1)] * 255 for number in range(4)])
    assert counts(tmp_path) == {"class-1": 4 * (ONE + TWO), "class-2": 4 * GROUND}


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_four_channels_of_which_one_may_be_alpha_are_refused(tmp_path, suffix):
    masks = coded(4, 255)
    save(tmp_path, masks, suffix)
    with pytest.raises(MaskwrightError, match=r"one-hot in four channels.*numpy\.argmax"):
        read_dataset(tmp_path)
    save(tmp_path, [mask.argmax(axis=2).astype(np.uint8) for mask in masks], suffix)
    assert counts(tmp_path) == FOUND


def test_colors_with_alpha_are_colors(tmp_path):
    opaque = np.full((SIDE, SIDE, 1), 255, np.uint8)
    save(tmp_path, [np.dstack([mask, opaque]) for mask in coded(3, 255)])
    (tmp_path / "classes.csv").write_text(COLORS)
    assert counts(tmp_path) == {"background": 4 * TWO, "nut": 4 * GROUND, "bolt": 4 * ONE}


def test_a_tiff_of_five_channels(tmp_path):
    for number, mask in enumerate(coded(5)):
        photo(tmp_path / "images" / f"{number}.png", number, (SIDE, SIDE))
        (tmp_path / "masks").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / "masks" / f"{number}.tif", mask, photometric="minisblack", planarconfig="contig")
    assert counts(tmp_path) == FOUND


def test_five_channels_that_are_not_one_hot_are_refused(tmp_path):
    photo(tmp_path / "images" / "0.png", 0, (SIDE, SIDE))
    write(tmp_path / "masks" / "0.npy", np.ones((SIDE, SIDE, 5), np.uint8))
    with pytest.raises(MaskwrightError, match="has 5 channels"):
        read_dataset(tmp_path)


# ---------------------------------------------------------------- masks of one value


def notes(root: Path) -> list[tuple[str, str, str]]:
    found = survey(read_dataset(root)).dataset.faults
    return [(fault.kind, fault.severity, fault.path.name) for fault in found]


def test_a_mask_of_foreground_alone_is_told_of(tmp_path):
    masks = [np.minimum(drawn(number), 1) * 255 for number in range(4)]
    save(tmp_path, [*masks, np.full((SIDE, SIDE), 255, np.uint8)])
    assert counts(tmp_path)["foreground"] == 4 * (ONE + TWO) + SIDE * SIDE
    assert notes(tmp_path) == [("full-mask", "note", "04.png")]


def test_a_file_of_an_object_that_shows_none_is_told_of(tmp_path):
    for number in range(4):
        photo(tmp_path / f"a{number}" / "images" / f"a{number}.png", number, (SIDE, SIDE))
        for place in (1, 2):
            mask = (drawn(number) == place) & ((number, place) != (2, 1))
            write(tmp_path / f"a{number}" / "masks" / f"{place}b{number}.png", mask.astype(np.uint8) * 255)
    (said,) = read_dataset(tmp_path).faults
    assert (said.kind, said.severity) == ("empty-object", "warning")
    assert said.message == "1 of 8 mask files looked at shows no object, such as a2/masks/1b2.png"
    assert counts(tmp_path)["object"] == 3 * (ONE + TWO) + TWO


# ---------------------------------------------------------------- alpha


@pytest.mark.parametrize("shade", [0, 255])
@pytest.mark.parametrize(("suffix", "colors"), [(".png", 3), (".png", 1), (".tif", 3)])
def test_masks_in_alpha_alone_are_refused_with_a_cure_that_works(tmp_path, suffix, colors, shade):
    plain = np.full((SIDE, SIDE, colors), shade, np.uint8)
    save(tmp_path, [np.dstack([plain, np.minimum(drawn(number), 1) * 255]) for number in range(4)], suffix)
    with pytest.raises(MaskwrightError, match=r"one colour everywhere.*getchannel\('A'\)"):
        read_dataset(tmp_path)
    for path in (tmp_path / "masks").iterdir():
        alpha = Image.open(path).getchannel("A")
        alpha.save(path)
    assert counts(tmp_path) == {"background": 4 * GROUND, "foreground": 4 * (ONE + TWO)}


def test_one_mask_in_alpha_alone_is_a_fault(tmp_path):
    masks = [np.minimum(drawn(number), 1) * 255 for number in range(5)]
    last = np.dstack([np.zeros((SIDE, SIDE, 3), np.uint8), masks[4]])
    save(tmp_path, [*masks[:4], last])
    assert counts(tmp_path) == {"background": 4 * GROUND, "foreground": 4 * (ONE + TWO), "faults": 1}


def test_objects_in_alpha_and_in_color_are_read_by_color(tmp_path):
    masks = [np.minimum(drawn(number), 1) * 255 for number in range(4)]
    save(tmp_path, [np.dstack([mask] * 4) for mask in masks])
    assert counts(tmp_path) == {"background": 4 * GROUND, "foreground": 4 * (ONE + TWO)}


@pytest.mark.parametrize("objects", [3, 200])
def test_class_ids_in_red_beside_object_ids_are_told_of(tmp_path, objects):
    for number in range(6):
        mask = np.zeros((SIDE, SIDE, 3), np.uint8)
        mask[..., 0] = drawn(number)
        rows, columns = np.indices((SIDE, SIDE)) // 2
        mask[..., 1] = np.where(drawn(number) > 0, (rows * 24 + columns) % objects + 1 + number, 0)
        mask[..., 2] = np.where(drawn(number) > 0, 40 * number + 3, 0)
        photo(tmp_path / "images" / f"{number}.png", number, (SIDE, SIDE))
        write(tmp_path / "masks" / f"{number}.png", mask)
    if objects > 100:
        with pytest.raises(MaskwrightError) as caught:
            read_dataset(tmp_path)
        said = str(caught.value)
    else:
        (fault,) = read_dataset(tmp_path).faults
        said = fault.cure
    assert "the red channel alone holds class ids (0 to 2), save it as the mask" in said
    for path in (tmp_path / "masks").iterdir():
        red = Image.open(path).getchannel("R")
        red.save(path)
    assert counts(tmp_path) == {"class-0": 6 * GROUND, "class-1": 6 * ONE, "class-2": 6 * TWO}


def test_a_rare_value_in_one_channel_is_named_and_the_cure_works(tmp_path):
    masks = [np.dstack([drawn(number), *[np.zeros((SIDE, SIDE), np.uint8)] * 2]) for number in range(6)]
    masks[3][0, 0, 0] = 37
    save(tmp_path, masks)
    (fault,) = read_dataset(tmp_path).faults
    assert fault.message == "03.png holds the value 37, which is rare (1 pixel in 1 of 6 masks) and counts as class-37"
    found = {"class-0": 6 * GROUND - 1, "class-1": 6 * ONE, "class-2": 6 * TWO}
    assert counts(tmp_path) == found | {"class-37": 1}
    assert counts(tmp_path, map={37: "ignore"}) == found | {"ignored": 1}
    assert kinds(tmp_path, map={37: "ignore"}) == []


HUES = np.array([(0, 0, 0), (255, 0, 0), (0, 128, 255)], np.uint8)


def with_clear_rows(hues: np.ndarray) -> list[np.ndarray]:
    """Return masks with alpha, whose first two rows are transparent."""
    alpha = np.full((SIDE, SIDE, 1), 255, np.uint8)
    alpha[:2] = 0
    return [np.dstack([hues[drawn(number)], alpha]) for number in range(4)]


@pytest.mark.parametrize("hues", [HUES, np.array([[0], [255], [255]], np.uint8)], ids=["colours", "greys"])
def test_transparent_pixels_that_look_like_opaque_ones_are_told_of_with_a_cure_that_works(tmp_path, hues):
    read = counts(save(tmp_path, with_clear_rows(hues)))
    (said,) = read_dataset(tmp_path).faults
    assert (said.kind, said.severity) == ("transparent", "warning")
    assert said.message.startswith("4 of 4 masks looked at, such as 00.png, show the same ")
    own = np.array([90, 90, 90], np.uint8)[: hues.shape[1]]
    for path in (tmp_path / "masks").iterdir():
        mask = np.array(Image.open(path))
        mask[mask[..., -1] == 0, :-1] = own
        write(path, mask[..., :-1].squeeze())
    if hues is HUES:
        (tmp_path / "classes.csv").write_text("name,r,g,b\nbackground,0,0,0\na,255,0,0\nb,0,128,255\nvoid,90,90,90\n")
    options = ReadOptions() if hues is HUES else ReadOptions(ignore=90)
    dataset = survey(read_dataset(tmp_path, options))
    ignored = [int(summary.pixels[-1]) for summary in dataset.summaries.values()]
    assert ignored == [2 * SIDE] * 4
    assert sum(read.values()) == 4 * SIDE * SIDE


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_transparency_of_tiff_is_looked_at_too(tmp_path, dtype):
    (tmp_path / "masks").mkdir()
    for number, clear in enumerate(with_clear_rows(HUES)):
        photo(tmp_path / "images" / f"{number}.png", number, (SIDE, SIDE))
        mask = clear.astype(dtype)
        mask[..., 3] *= np.iinfo(dtype).max // 255
        path = tmp_path / "masks" / f"{number}.tif"
        tifffile.imwrite(path, mask, photometric="rgb", extrasamples=["unassalpha"])
        opaque = np.full((SIDE, SIDE), 255, np.uint8)
        opaque[:2] = 0
        np.testing.assert_array_equal(read_alpha(path).array, opaque)
    assert kinds(tmp_path) == ["transparent"]
    tifffile.imwrite(path, mask[..., :3], photometric="rgb")
    with pytest.raises(DecodeError, match=r"has no alpha channel"):
        read_alpha(path)


@pytest.mark.parametrize("under", [0, 80])
def test_transparent_pixels_of_a_colour_of_their_own_deserve_no_word(tmp_path, under):
    hues = np.array([(under, under, under), (255, 0, 0), (0, 128, 255)], np.uint8)
    masks = [np.dstack([hues[drawn(number)], np.minimum(drawn(number), 1) * 255]) for number in range(4)]
    assert kinds(save(tmp_path, masks)) == []
