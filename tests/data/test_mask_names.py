"""Names that are too few for the values or colours in masks: nothing is named wrongly, and each cure works as told."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.data.drawings import GROUND, ONE, SIDE, TWO, as_values, counts, drawn, save
from tests.data.layouts import photo, write

from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_label
from maskwright.data.readers import DecodeError

if TYPE_CHECKING:
    from pathlib import Path

EXPECTED = {"background": 4 * GROUND, "nut": 4 * ONE, "bolt": 4 * TWO}
COLORS = np.array([[0, 0, 0], [200, 0, 0], [0, 9, 250]], np.uint8)


def refusal(root: Path) -> str:
    with pytest.raises(MaskwrightError) as caught:
        read_dataset(root)
    return str(caught.value)


def fault(root: Path) -> str:
    """Return what is said of the first mask."""
    dataset = read_dataset(root)
    with pytest.raises(DecodeError) as caught:
        read_label(dataset, dataset.records[0], (SIDE, SIDE))
    return str(caught.value)


def added(text: str) -> tuple[str, str]:
    """Return the line that a message proposes, and the file to add it to."""
    found = re.search(r"add the line (.+?) to (\S+?)(?: \(<tab> is a tab\))?(?:,|$)", text)
    assert found is not None, text
    return found[1].replace("<tab>", "\t").replace("NAME", "bolt").replace("ID", "2"), found[2]


# ---------------------------------------------------------------- one name too few


@pytest.mark.parametrize(("name", "text"), [("classes.txt", "nut\nbolt\n"), ("labels.txt", "__ignore__\nnut\nbolt\n")])
def test_names_without_the_background_are_refused_with_cures_that_work(tmp_path, name, text):
    save(tmp_path, [drawn(number) for number in range(4)])
    (tmp_path / name).write_text(text)
    said = refusal(tmp_path)
    assert "gives 2 names, nut to bolt, but" in said
    assert "the 3 values 0 to 2, and 0 is the most frequent" in said
    (tmp_path / name).write_text(text.replace("nut", "background\nnut"))
    assert counts(tmp_path) == EXPECTED
    (tmp_path / name).write_text(f"{text}screw\n")
    assert counts(tmp_path) == {"nut": 4 * GROUND, "bolt": 4 * ONE, "screw": 4 * TWO}
    (tmp_path / name).write_text(text)
    assert counts(tmp_path, map={2: "ignore"}) == {"nut": 4 * GROUND, "bolt": 4 * ONE, "ignored": 4 * TWO}


def test_masks_without_the_last_value_are_not_used_either(tmp_path):
    save(tmp_path, [np.minimum(drawn(number), 1 + (number == 0)) for number in range(4)])
    (tmp_path / "classes.txt").write_text("nut\nbolt\n")
    assert "it is unclear which" in refusal(tmp_path)


def test_a_value_of_another_class_that_is_frequent_says_no_less(tmp_path):
    save(tmp_path, [as_values(1, 0, 2)[drawn(number)].astype(np.uint8) for number in range(4)])
    (tmp_path / "classes.txt").write_text("nut\nbolt\n")
    assert "the 3 values 0 to 2, so one name is missing" in refusal(tmp_path)


def test_a_list_that_begins_with_the_background_lacks_its_last_name(tmp_path):
    save(tmp_path, [drawn(number) for number in range(4)])
    (tmp_path / "classes.txt").write_text("background\nnut\n")
    said = fault(tmp_path)
    assert "add the name of 2 to the end of classes.txt" in said
    (tmp_path / "classes.txt").write_text("background\nnut\nbolt\n")
    assert counts(tmp_path) == EXPECTED


def test_two_values_more_than_names(tmp_path):
    save(tmp_path, [as_values(0, 1, 5)[drawn(number)].astype(np.uint8) for number in range(4)])
    (tmp_path / "classes.txt").write_text("background\nnut\n")
    assert "begin each line of classes.txt with its id, from 0 on, and add 5,NAME" in fault(tmp_path)
    (tmp_path / "classes.txt").write_text("0,background\n1,nut\n5,bolt\n")
    assert counts(tmp_path) == EXPECTED


def test_a_rare_value_in_masks_of_0_and_255_is_no_third_class(tmp_path):
    masks = [as_values(0, 255, 255)[drawn(number)].astype(np.uint8) for number in range(6)]
    masks[0][0, 0] = 2
    save(tmp_path, masks)
    (tmp_path / "classes.txt").write_text("field\nnut\n")
    assert counts(tmp_path) == {"field": 6 * GROUND - 1, "nut": 6 * (ONE + TWO), "ignored": 1}


# ---------------------------------------------------------------- a line in the syntax of the table


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.txt", "0,background\n1,nut\n"),
        ("classes.txt", "background=0\nnut=1\n"),
        ("labels.csv", "pixel value, class\n0, background\n1, nut\n"),
        ("classes.csv", "id;name;red;green;blue\n0;background;0;0;0\n1;nut;9;9;9\n"),
        ("names.txt", '0 0 0 0 0 0 0 "background"\n1 200 0 0 1 1 1 "nut"\n'),
    ],
)
def test_a_value_gets_a_name_in_the_syntax_of_the_table(tmp_path, name, text):
    save(tmp_path, [drawn(number) for number in range(4)])
    (tmp_path / ("classes.csv" if name == "labels.csv" else name)).write_text(text)
    line, file = added(fault(tmp_path))
    line = line.replace("R", "1").replace("G", "2").replace("B", "3")
    (tmp_path / file).write_text(f"{text}{line}\n")
    assert counts(tmp_path) == EXPECTED


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\nnut:200,0,0::\n"),
        ("class_dict.csv", "name, r, g, b\nbackground, 0, 0, 0\nnut, 200, 0, 0\n"),
        ("classes.csv", "id,class,rgb\n0,background,#000000\n1,nut,#c80000\n"),
        ("label_colors.txt", "0 0 0\tbackground\n200 0 0\tnut\n"),
        ("classes.txt", "{background} 0 0 0\nnut 200 0 0\n"),
    ],
)
def test_a_color_gets_a_name_in_the_syntax_of_the_table(tmp_path, name, text):
    save(tmp_path, [COLORS[drawn(number)] for number in range(4)])
    (tmp_path / name).write_text(text)
    said = fault(tmp_path)
    assert "the colour 0,9,250 (200 pixels), which is not one of the 2 known colours" in said
    line, file = added(said)
    (tmp_path / file).write_text(f"{text}{line}\n")
    found = counts(tmp_path)
    assert {name.strip("{}"): pixels for name, pixels in found.items()} == EXPECTED


def test_the_nearest_color_is_named(tmp_path):
    save(tmp_path, [COLORS[drawn(number)] for number in range(4)])
    table = "background,0,0,0\nnut,200,0,0\nbolt,0,9,255\n"
    (tmp_path / "classes.csv").write_text(table)
    assert "if it is meant to be 0,9,255, correct that colour in classes.csv" in fault(tmp_path)
    (tmp_path / "classes.csv").write_text(table.replace("255", "250"))
    assert counts(tmp_path) == EXPECTED


def test_a_table_in_json_is_replaced(tmp_path):
    save(tmp_path, [drawn(number) for number in range(4)])
    (tmp_path / "classes.json").write_text('{"names": {"0": "background", "1": "nut"}}')
    assert "one id,name per line, among them 2,NAME, and give it as `read.classes`" in fault(tmp_path)
    (tmp_path / "given.txt").write_text("0,background\n1,nut\n2,bolt\n")
    assert counts(tmp_path, classes=tmp_path / "given.txt") == EXPECTED


# ---------------------------------------------------------------- layouts that bring their names


def test_a_label_of_nnunet_is_added_to_its_json(tmp_path):
    for number in range(4):
        photo(tmp_path / "imagesTr" / f"c{number}_0000.png", number, (SIDE, SIDE))
        write(tmp_path / "labelsTr" / f"c{number}.png", drawn(number))
    about = tmp_path / "dataset.json"
    about.write_text(json.dumps({"labels": {"background": 0, "nut": 1}, "file_ending": ".png"}))
    line, file = added(fault(tmp_path))
    assert (line, file) == ('"bolt": 2', "dataset.json")
    about.write_text(about.read_text().replace('"nut": 1', f'"nut": 1, {line}'))
    assert counts(tmp_path) == EXPECTED


@pytest.mark.parametrize("colored", [False, True])
def test_a_class_of_supervisely_is_added_where_it_is_listed(tmp_path, colored):
    shown = COLORS if colored else np.array([[0] * 3, [1] * 3, [2] * 3], np.uint8)
    for number in range(4):
        photo(tmp_path / "day" / "img" / f"{number}.png", number, (SIDE, SIDE))
        write(tmp_path / "day" / "masks_machine" / f"{number}.png", shown[drawn(number)])
    (tmp_path / "meta.json").write_text(json.dumps({"classes": [{"title": "nut"}]}))
    if not colored:
        assert "among them 2,NAME, and give it as `read.classes`" in fault(tmp_path)
        (tmp_path / "all.txt").write_text("0,background\n1,nut\n2,bolt\n")
        assert counts(tmp_path, classes=tmp_path / "all.txt") == EXPECTED
    table = tmp_path / "obj_class_to_machine_color.json"
    table.write_text(json.dumps({"nut": shown[1].tolist()}))
    line, file = added(fault(tmp_path))
    assert file == table.name
    table.write_text(table.read_text().replace("}", f", {line}}}"))
    assert counts(tmp_path) == EXPECTED


def test_a_value_that_cityscapes_does_not_have_needs_no_name(tmp_path):
    for number in range(4):
        stem = f"ulm_{number}"
        photo(tmp_path / "leftImg8bit" / "train" / "ulm" / f"{stem}_leftImg8bit.png", number, (SIDE, SIDE))
        mask = as_values(7, 26, 60)[drawn(number)].astype(np.uint8)
        write(tmp_path / "gtFine" / "train" / "ulm" / f"{stem}_gtFine_labelIds.png", mask)
    said = fault(tmp_path)
    assert "classes.txt" not in said
    assert "make the labels again with the Cityscapes scripts, or map it with `read.map` 60=ignore" in said
    found = counts(tmp_path, map={60: "ignore"})
    assert found == {"road": 4 * GROUND, "car": 4 * ONE, "ignored": 4 * TWO}


def test_a_value_in_a_mask_of_one_class_needs_no_name(tmp_path):
    for number in range(6):
        photo(tmp_path / "images" / f"{number}.png", number, (SIDE, SIDE))
        for place, name in enumerate(("nut", "bolt"), 1):
            mask = (drawn(number) == place).astype(np.uint8) * 255
            if (number, name) == (3, "nut"):
                mask[0, :3] = 40
            write(tmp_path / "masks" / name / f"{number}.png", mask)
    (said,) = read_dataset(tmp_path).faults
    assert said.kind == "stray-value"
    assert said.cure.endswith("if it is a class, save it with the values of the other masks of its class")


def test_255_is_named_where_the_layout_reads_its_names(tmp_path):
    for number in range(4):
        photo(tmp_path / "imagesTr" / f"c{number}_0000.png", number, (SIDE, SIDE))
        write(tmp_path / "labelsTr" / f"c{number}.png", as_values(0, 1, 255)[drawn(number)].astype(np.uint8))
    about = tmp_path / "dataset.json"
    about.write_text(json.dumps({"labels": {"background": 0, "nut": 1}, "file_ending": ".png"}))
    (said,) = read_dataset(tmp_path).faults
    assert (said.kind, '"NAME": 255 to dataset.json' in said.cure) == ("white-ignored", True)
    about.write_text(about.read_text().replace('"nut": 1', '"nut": 1, "bolt": 255'))
    assert counts(tmp_path) == EXPECTED
