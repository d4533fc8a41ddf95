"""LabelMe: each kind of shape, names and paths that lie, and what cannot be painted."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from skimage.draw import ellipse as drawn_ellipse
from tests.data.layouts import labels, photo, write

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import ReadOptions, read_dataset
from maskwright.data.labels import read_objects, read_pair

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.records import Dataset

SIZE = (40, 60)


def shape(label: str | None, points: list[list[float]], kind: str | None = "polygon", **more: Any) -> dict[str, Any]:
    own = {"label": label, "points": points, "group_id": None, "flags": {}} | more
    return own if kind is None else own | {"shape_type": kind}


def square(left: int, top: int, side: int = 10) -> list[list[float]]:
    return [[left, top], [left + side, top], [left + side, top + side], [left, top + side]]


def write_json(path: Path, shapes: list[Any], image: str = "", **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": image or f"{path.stem}.jpg"}
    document |= {"imageData": None, "imageHeight": SIZE[0], "imageWidth": SIZE[1]} | more
    path.write_text(json.dumps(document))
    return path


def make(root: Path, *shapes: Any, name: str = "a", **more: Any) -> Path:
    photo(root / f"{name}.jpg", size=SIZE)
    write_json(root / f"{name}.json", list(shapes), **more)
    return root


def label_of(dataset: Dataset, place: int = 0) -> np.ndarray:
    return read_pair(dataset, dataset.records[place])[1]


def png(mask: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(mask).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def test_polygons_rectangles_and_masks(tmp_path):
    mask = np.zeros((6, 8), bool)
    mask[1:5, 2:7] = True
    mask[2, 3] = False
    shapes = [
        shape("cat", square(2, 3)),
        shape("dog", [[20, 15], [30, 5]], "rectangle"),
        shape("bird", [[40, 20], [47, 25]], "mask", mask=png(mask)),
        shape("cat", square(5, 25), None),  # as LabelMe wrote before there were kinds of shapes
    ]
    dataset = read_dataset(make(tmp_path, *shapes))
    assert (dataset.format, dataset.faults) == ("labelme", ())
    assert dataset.classes.names == ("background", "bird", "cat", "dog")
    expected = np.zeros(SIZE, np.uint8)
    expected[3:13, 2:12] = expected[25:35, 5:15] = 2
    expected[5:15, 20:30] = 3
    expected[20:26, 40:48][mask] = 1
    np.testing.assert_array_equal(label_of(dataset), expected)


def test_a_circle(tmp_path):
    dataset = read_dataset(make(tmp_path, shape("disc", [[30, 20], [30, 32]], "circle")))
    expected = np.zeros(SIZE, np.uint8)
    expected[drawn_ellipse(19.5, 29.5, 12, 12, SIZE)] = 1  # its pixels are points at half coordinates
    found = label_of(dataset)
    assert np.count_nonzero(found != expected) <= 8
    assert abs(int(found.sum()) - np.pi * 12**2) < 8


def test_later_shapes_cover_earlier_ones(tmp_path):
    dataset = read_dataset(make(tmp_path, shape("a", square(10, 10, 4)), shape("b", square(5, 5, 20))))
    assert np.unique(label_of(dataset)).tolist() == [0, 2]


def test_a_group_is_one_object(tmp_path):
    parts = [shape("a", square(2, 2), group_id=1), shape("a", square(30, 2), group_id=1), shape("a", square(2, 20))]
    dataset = read_dataset(make(tmp_path, *parts))
    areas = [entry.area for entry in read_objects(dataset, dataset.records[0], SIZE)]
    assert sorted(areas) == [100, 200]
    covered = [shape("a", square(2, 2), group_id=1), shape("b", square(2, 2)), shape("a", square(2, 2), group_id=1)]
    assert np.unique(label_of(read_dataset(make(tmp_path, *covered)))).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (shape("b", [[20, 5], [30, 25]]), "without an outline that encloses an area"),
        *(
            (shape("b", [[20, 5], [30, 25]], kind), "drawn as a line or points")
            for kind in ("line", "linestrip", "points")
        ),
        (shape("b", [[20, 5], [30, 25]], "blob"), "unknown kind"),
        (shape(None, [[20, 5], [30, 5], [30, 25], [20, 25]]), "without a class"),
        (shape("b", [[20, 5], [29, 24]], "mask", mask=png(np.zeros((20, 10), bool))), "without an outline"),
    ],
)
def test_what_cannot_be_painted_is_ignored_in_its_box(tmp_path, odd, words):
    dataset = read_dataset(make(tmp_path, shape("a", square(2, 2)), odd))
    expected = np.zeros(SIZE, np.uint8)
    expected[2:12, 2:12] = 1
    expected[5:25, 20:30] = IGNORE
    np.testing.assert_array_equal(label_of(dataset), expected)
    (fault,) = dataset.faults
    assert words in fault.message
    assert fault.path.name == "a.json"


def test_the_order_and_the_meaning_of_labels_txt(tmp_path):
    shapes = [shape("dog", square(2, 2)), shape("cat", square(20, 2)), shape("__ignore__", square(40, 2))]
    make(tmp_path, *shapes, shape("_background_", square(2, 2, 5)))
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\ndog\ncat\n")
    dataset = read_dataset(tmp_path)
    assert dataset.classes.names == ("background", "dog", "cat")
    counts = dict(zip(*np.unique(label_of(dataset), return_counts=True), strict=True))
    assert counts == {0: 2125, 1: 75, 2: 100, IGNORE: 100}
    (tmp_path / "labels.txt").write_text("dog\n")
    (fault, *_) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity) == ("unknown-label", "warning")
    table = tmp_path / "own.csv"
    table.write_text("5,cat\n7,dog\n9,__ignore__\n0,_background_\n")
    assert read_dataset(tmp_path, ReadOptions(classes=table)).classes.names == ("background", "cat", "dog")
    joined = read_dataset(tmp_path, ReadOptions(classes=table, map={7: 5}))
    assert np.unique(label_of(joined)).tolist() == [0, 1, IGNORE]
    table.write_text("5,cat\n")
    (fault, *_) = read_dataset(tmp_path, ReadOptions(classes=table)).faults
    assert (fault.kind, fault.severity) == ("unknown-label", "error")
    assert "own.csv does not name" in fault.message


@pytest.mark.parametrize("named", ["../images/a.jpg", "..\\images\\a.jpg", "D:\\photos\\a.jpg", "/home/me/b.jpg", ""])
def test_images_in_another_folder(tmp_path, named):
    photo(tmp_path / "images" / "a.jpg", size=SIZE)
    write_json(tmp_path / "json" / "a.json", [shape("x", square(2, 2))], named)
    dataset = read_dataset(tmp_path)
    assert [record.id for record in dataset.records] == ["images/a.jpg"]
    assert dataset.faults == ()


def test_a_json_that_names_another_image_is_refused(tmp_path):
    make(tmp_path, shape("x", square(2, 2)))
    make(tmp_path, shape("x", square(2, 2)), name="b", imagePath="a.jpg")
    dataset = read_dataset(tmp_path)
    assert [record.id for record in dataset.records] == ["a.jpg"]
    fault = next(fault for fault in dataset.faults if fault.kind == "unreadable")
    assert (fault.path.name, fault.cure) == ("b.json", "correct imagePath, or rename the JSON file")


def test_two_files_of_one_image_are_joined(tmp_path):
    make(tmp_path, shape("x", square(2, 2)))
    write_json(tmp_path / "more.json", [shape("y", square(20, 2))], "a.jpg")
    dataset = read_dataset(tmp_path)
    assert np.unique(label_of(dataset), return_counts=True)[1].tolist() == [2200, 100, 100]
    assert [fault.kind for fault in dataset.faults] == ["annotated-twice"]


def test_images_and_files_alone(tmp_path):
    make(tmp_path, shape("x", square(2, 2)))
    make(tmp_path, name="empty")
    photo(tmp_path / "new.jpg", size=SIZE)
    write_json(tmp_path / "gone.json", [shape("x", square(2, 2))])
    (tmp_path / "cut.json").write_text('{"shapes": [')
    (tmp_path / "settings.json").write_text("{}")
    dataset = read_dataset(tmp_path)
    assert [record.id for record in dataset.records] == ["a.jpg", "empty.jpg"]
    assert label_of(dataset, 1).max() == 0
    assert {(fault.kind, fault.path.name) for fault in dataset.faults} == {
        ("unreadable", "cut.json"),
        ("unused", "settings.json"),
        ("unpaired", tmp_path.name),
        ("unpaired", "gone.json"),
    }


def test_pictures_in_other_folders_and_names_that_differ_in_case_are_told(tmp_path):
    make(tmp_path / "images", shape("Nut", square(2, 2)), shape("nut", square(20, 2)))
    make(tmp_path / "images", shape("nut", square(2, 2)), name="b")
    write(tmp_path / "masks" / "a.png", labels([0, 1], SIZE))
    dataset = read_dataset(tmp_path)
    assert dataset.classes.names == ("background", "Nut", "nut")
    assert {(fault.kind, fault.severity, fault.path.name) for fault in dataset.faults} == {
        ("unpaired", "note", "masks"),
        ("similar-names", "warning", tmp_path.name),
    }


def test_another_size_is_told(tmp_path):
    dataset = read_dataset(make(tmp_path, shape("x", square(2, 2)), imageHeight=80))
    assert dataset.records == ()
    assert "is 60x40 pixels, but a.json was drawn at 60x80" in dataset.faults[0].message


def test_photographs_are_turned_as_labelme_turns_them(tmp_path):
    turn = Image.Exif()
    turn[274] = 6
    write(tmp_path / "a.jpg", np.zeros((*SIZE[::-1], 3), np.uint8), exif=turn)
    write_json(tmp_path / "a.json", [shape("x", [[50, 2], [60, 2], [60, 12], [50, 12]])])
    dataset = read_dataset(tmp_path)
    expected = np.zeros(SIZE, np.uint8)
    expected[2:12, 50:60] = 1
    np.testing.assert_array_equal(label_of(dataset), expected)


def test_splits_and_one_file(tmp_path):
    for split in ("train", "val"):
        make(tmp_path / split, shape("x", square(2, 2)))
    assert [record.split for record in read_dataset(tmp_path).records] == ["train", "val"]
    assert [record.id for record in read_dataset(tmp_path / "val" / "a.json").records] == ["a.jpg"]


def test_masks_made_of_the_files_come_first(tmp_path):
    make(tmp_path / "images", shape("x", square(2, 2)))
    write(tmp_path / "masks" / "a.png", labels([0, 1], SIZE))
    assert read_dataset(tmp_path).format == "folder"
    assert read_dataset(tmp_path, ReadOptions(format="labelme")).format == "labelme"


def test_nothing_for_labelme(tmp_path):
    write_json(tmp_path / "a.json", [shape("x", square(2, 2))])
    with pytest.raises(MaskwrightError, match=r"1 annotated image, a\.jpg of a\.json, does not exist"):
        read_dataset(tmp_path)


def test_a_file_that_is_cut_off_is_told_once(tmp_path):
    make(tmp_path, shape("cat", square(2, 3)))
    make(tmp_path, shape("cat", square(2, 3)), name="b")
    path = tmp_path / "b.json"
    path.write_text(path.read_text()[:-9])
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.severity, fault.path.name, fault.cure) == ("error", "b.json", "export or copy it again")
    assert fault.message == "b.json is cut off (its JSON does not end)"


@pytest.mark.parametrize("kind", ["circle", "rectangle"])
def test_a_single_point_is_no_area(tmp_path, kind):
    dataset = read_dataset(make(tmp_path, shape("cat", square(2, 3)), shape("cat", [[20, 30]], kind)))
    expected = np.zeros(SIZE, np.uint8)
    expected[3:13, 2:12] = 1
    expected[30, 20] = IGNORE
    np.testing.assert_array_equal(label_of(dataset), expected)
    assert "without an outline that encloses an area" in dataset.faults[0].message


# ---------------------------------------------------------------- beside masks of other images


def half_and_half(root: Path, masks: int, label: str = "nut", folder: str = "images") -> Path:
    """Write eight images with one square each, in the first `masks` of them as a mask and else as an outline."""
    for number in range(8):
        photo(root / "images" / f"{number}.jpg", number, SIZE)
        if number < masks:
            mask = np.zeros(SIZE, np.uint8)
            mask[7:17, 5:15] = 255
            write(root / "masks" / f"{number}.png", mask)
        else:
            write_json(root / folder / f"{number}.json", [shape(label, square(5, 7))], f"../images/{number}.jpg")
    return root


@pytest.mark.parametrize("masks", [1, 4, 7])
@pytest.mark.parametrize("folder", ["images", "json"])
@pytest.mark.parametrize("table", ["", "0,background\n255,nut\n"])
def test_masks_of_some_images_and_outlines_of_others_are_both_used(tmp_path, masks, folder, table):
    half_and_half(tmp_path, masks, folder=folder)
    if table:
        (tmp_path / "classes.txt").write_text(table)
    dataset = read_dataset(tmp_path)
    assert (dataset.classes.names, len(dataset.records)) == (("background", "nut"), 8)
    for place in range(8):
        assert label_of(dataset, place).sum() == label_of(dataset, place)[7:17, 5:15].sum() == 100
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity) == ("two-formats", "note" if table else "warning")
    for name, count in (("folder", masks), ("labelme", 8 - masks)):
        assert len(read_dataset(tmp_path, ReadOptions(format=name)).records) == count


def test_classes_are_joined_by_name(tmp_path):
    half_and_half(tmp_path, 4, label="bolt")
    (tmp_path / "classes.txt").write_text("0,background\n1,nut\n255,bolt\n")
    dataset = read_dataset(tmp_path)
    assert dataset.classes.names == ("background", "nut", "bolt")
    assert [int(label_of(dataset, place).max()) for place in range(8)] == [2] * 8


def test_what_outlines_ignore_stays_ignored_beside_masks(tmp_path):
    half_and_half(tmp_path, 4)
    write_json(tmp_path / "images" / "7.json", [shape("nut", square(5, 7)), shape("__ignore__", square(30, 7))])
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\nnut\n")
    (tmp_path / "classes.txt").write_text("0,background\n255,nut\n")
    dataset = read_dataset(tmp_path)
    assert [int((label_of(dataset, 7) == value).sum()) for value in (1, IGNORE)] == [100, 100]


def test_outlines_of_a_class_that_masks_do_not_show_are_refused_and_the_cure_works(tmp_path):
    half_and_half(tmp_path, 4, label="bolt")
    (tmp_path / "classes.txt").write_text("0,background\n255,nut\n")
    with pytest.raises(MaskwrightError, match=r"masks show background and nut, and not bolt: name the values"):
        read_dataset(tmp_path)
    (tmp_path / "classes.txt").write_text("0,background\n255,bolt\n")
    assert len(read_dataset(tmp_path).records) == 8


def test_outlines_need_masks_with_a_background_and_the_cure_works(tmp_path):
    half_and_half(tmp_path, 4)
    (tmp_path / "classes.txt").write_text("0,sky\n255,nut\n")
    with pytest.raises(MaskwrightError, match="the first class of the masks is sky: call it background"):
        read_dataset(tmp_path)
    (tmp_path / "classes.txt").write_text("0,background\n255,nut\n")
    assert len(read_dataset(tmp_path).records) == 8


def test_outlines_beside_split_masks_say_that_the_split_does_not_count(tmp_path):
    for number, part in enumerate(("train", "val")):
        photo(tmp_path / part / "images" / f"{number}.jpg", number, SIZE)
        write(tmp_path / part / "masks" / f"{number}.png", np.full(SIZE, 255 * number, np.uint8))
    for name in ("2", "3"):
        photo(tmp_path / "more" / f"{name}.jpg", int(name), SIZE)
        write_json(tmp_path / "more" / f"{name}.json", [shape("foreground", square(5, 7))])
    dataset = read_dataset(tmp_path)
    assert [record.split for record in dataset.records] == [None] * 4
    assert [fault.kind for fault in dataset.faults] == ["split", "two-formats"]
    (tmp_path / "train" / "more").mkdir()
    (tmp_path / "val" / "more").mkdir()
    for path in list((tmp_path / "more").iterdir()):  # the cure
        path.rename(tmp_path / ("train" if path.stem == "2" else "val") / "more" / path.name)
    assert [record.split for record in read_dataset(tmp_path).records] == ["train", "train", "val", "val"]


def test_masks_and_outlines_in_two_folders_with_the_same_names_are_both_used(tmp_path):
    for number in range(3):
        for part in ("train", "val"):
            photo(tmp_path / part / "images" / f"{number}.jpg", number, SIZE)
        mask = np.zeros(SIZE, np.uint8)
        mask[7:17, 5:15] = 255
        write(tmp_path / "train" / "masks" / f"{number}.png", mask)
        write_json(tmp_path / "val" / "images" / f"{number}.json", [shape("nut", square(5, 7))])
    dataset = read_dataset(tmp_path)
    assert [record.id for record in dataset.records] == [
        f"{part}/images/{number}.jpg" for part in ("train", "val") for number in range(3)
    ]
    assert [int(label_of(dataset, place).sum()) for place in range(6)] == [100] * 6
    assert dataset.faults[-1].message.startswith("3 images, such as 0.jpg, have a mask, and 3, such as 0.jpg, outlines")


def test_a_folder_of_images_with_neither_mask_nor_outline_is_named(tmp_path):
    half_and_half(tmp_path, 4)
    photo(tmp_path / "more" / "8.jpg", 8, SIZE)
    write_json(tmp_path / "more" / "8.json", [shape("nut", square(5, 7))])
    assert [fault.kind for fault in read_dataset(tmp_path).faults] == ["two-formats"]
    photo(tmp_path / "more" / "9.jpg", 9, SIZE)
    dataset = read_dataset(tmp_path)
    assert len(dataset.records) == 9
    assert [fault.path for fault in dataset.faults if fault.kind == "unused"] == [tmp_path / "more"]


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (None, "points is null, but must be a list of points [x, y]"),
        ([1, 2, 30, 4, 50, 6], "points holds 1, but each point must be [x, y]"),
        ([["a", 3], [4, 5], [6, 30]], "a coordinate in points is 'a', but must be a number"),
    ],
)
def test_points_that_are_none(tmp_path, points, words):
    make(tmp_path, shape("cat", square(2, 3)))
    make(tmp_path, shape("cat", points), name="b")
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity, fault.path.name) == ("unreadable", "error", "b.json")
    assert fault.message == f"b.json holds a damaged shape ({words})"
    assert fault.cure == "draw it again in LabelMe"
