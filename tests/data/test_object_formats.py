"""Objects of every format that tells them: class, place, pixels and crowds, by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.data.layouts import SIZE, palette_mask, photo, write

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import ReadOptions, read_dataset
from maskwright.data.formats.voc import voc_color
from maskwright.data.labels import read_label, read_objects
from maskwright.data.readers import DecodeError
from maskwright.data.survey import survey
from maskwright.data.things import check_objects, objects_alone
from maskwright.workflows.plan_parts.suggested_task import suggested_task

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.records import Dataset

# Two nuts that touch, and a bolt: ids in the order of the columns.
IDS = np.zeros(SIZE, np.uint16)
IDS[1:3, 1:3] = 1
IDS[1:3, 3:5] = 2
IDS[4:6, 2:7] = 3
CLASSES = np.array([0, 1, 1, 2], np.uint8)[IDS]
PLACES = [(1, 1, 1, 4), (1, 1, 3, 4), (2, 4, 2, 10)]
ALIKE = [(1, *place[1:]) for place in PLACES]


def objects(dataset: Dataset, place: int = 0, size: tuple[int, int] = SIZE) -> list[tuple[int, int, int, int]]:
    """Return (class index, top, left, pixels) of each object; all pixels of its box but for those of other objects."""
    return [
        (entry.index, entry.top, entry.left, entry.area)
        for entry in read_objects(dataset, dataset.records[place], size)
        if not entry.crowd
    ]


def crowds(dataset: Dataset, size: tuple[int, int] = SIZE) -> list[tuple[int, int, int, int]]:
    found = read_objects(dataset, dataset.records[0], size)
    return [(entry.index, entry.top, entry.left, entry.area) for entry in found if entry.crowd]


def kinds(dataset: Dataset) -> list[str]:
    return [fault.kind for fault in dataset.faults]


# ---------------------------------------------------------------- maps of ids


DEPTHS = {"m.png": [np.uint8, np.uint16], "m.tif": [np.uint8, np.uint16, np.uint32, np.int32], "m.npy": [np.int32]}


@pytest.mark.parametrize(("name", "dtype"), [(name, dtype) for name, types in DEPTHS.items() for dtype in types])
def test_maps_of_any_depth(tmp_path, name, dtype):
    top = {1: 200, 2: 60_000, 4: 2_000_000_000}[np.dtype(dtype).itemsize]
    array = np.array([0, 7, 40, top], dtype)[IDS]
    path = tmp_path / "instances" / name
    path.parent.mkdir()
    photo(tmp_path / "images" / "m.jpg")
    tifffile.imwrite(path, array) if path.suffix == ".tif" else write(path, array)
    dataset = read_dataset(tmp_path)
    assert objects(dataset) == ALIKE
    np.testing.assert_array_equal(read_label(dataset, dataset.records[0], SIZE), IDS > 0)
    assert suggested_task(dataset)[0] == "instance"


def test_an_id_that_options_ignore_is_no_object(tmp_path):
    photo(tmp_path / "images" / "m.jpg")
    write(tmp_path / "instances" / "m.png", IDS)
    dataset = read_dataset(tmp_path, ReadOptions(ignore=3))
    assert objects(dataset) == ALIKE[:2]
    assert read_label(dataset, dataset.records[0], SIZE)[4, 2] == IGNORE


def test_each_colour_is_an_object(tmp_path):
    photo(tmp_path / "images" / "m.jpg")
    colors = np.array([[0, 0, 0], [255, 0, 0], [254, 0, 0], [0, 9, 9]], np.uint8)[IDS]
    write(tmp_path / "instances" / "m.png", colors)
    dataset = read_dataset(tmp_path, ReadOptions(ignore=255))  # 255 is a value, and pure red a colour
    assert objects(dataset) == [ALIKE[1], ALIKE[0], ALIKE[2]]
    np.testing.assert_array_equal(read_label(dataset, dataset.records[0], SIZE), IDS > 0)


def test_colours_with_soft_edges_are_refused(tmp_path):
    photo(tmp_path / "images" / "m.jpg", size=(64, 64))
    sharp = np.zeros((64, 64, 3), np.uint8)
    sharp[8:30, 8:30] = (250, 10, 60)
    sharp[30:60, 20:50] = (10, 200, 90)
    soft = Image.fromarray(sharp).rotate(11, Image.Resampling.BICUBIC)
    write(tmp_path / "instances" / "m.png", np.array(soft))
    dataset = read_dataset(tmp_path)
    with pytest.raises(DecodeError, match=r"colours, most of them only at edges.*without interpolation"):
        read_label(dataset, dataset.records[0], (64, 64))


def test_jpeg_maps_are_refused(tmp_path):
    for name in "abc":
        photo(tmp_path / "images" / f"{name}.jpg")
        write(tmp_path / "instances" / f"{name}.jpg", (IDS * 60).astype(np.uint8))
    with pytest.raises(MaskwrightError, match=r"lossily compressed maps of objects.*export them again as PNG or TIFF"):
        read_dataset(tmp_path)
    for name in "ab":
        (tmp_path / "instances" / f"{name}.jpg").unlink()
        write(tmp_path / "instances" / f"{name}.png", IDS)
    dataset = read_dataset(tmp_path)
    assert objects(dataset) == ALIKE
    with pytest.raises(DecodeError, match=r"c\.jpg is lossily compressed, which changes the ids") as caught:
        read_label(dataset, dataset.records[2], SIZE)
    assert caught.value.kind == "jpeg-mask"


def test_one_value_for_all_objects(tmp_path):
    for name in "abc":
        photo(tmp_path / "images" / f"{name}.jpg", ord(name))
        write(tmp_path / "instances" / f"{name}.png", np.where(IDS > 0, 255, 0).astype(np.uint8))
    dataset = read_dataset(tmp_path)
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity, fault.path.name) == ("one-value", "warning", "instances")
    assert objects(dataset) == [(1, 1, 1, 8), (1, 4, 2, 10)]  # the two that touch are one
    np.testing.assert_array_equal(read_label(dataset, dataset.records[0], SIZE), IDS > 0)
    task, reason = suggested_task(dataset)
    assert task == "semantic"
    assert "one value" in reason
    for name in "abc":  # the cure
        write(tmp_path / "instances" / f"{name}.png", IDS)
    assert read_dataset(tmp_path).faults == ()


def test_one_object_an_image_may_have_parts(tmp_path):
    for name in "abc":
        photo(tmp_path / "images" / f"{name}.jpg", ord(name))
        array = IDS > 0 if name == "a" else IDS > 2
        write(tmp_path / "instances" / f"{name}.png", array.astype(np.uint8))
    dataset = read_dataset(tmp_path)
    assert dataset.faults == ()
    assert objects(dataset) == [(1, 1, 1, 18)]


def test_a_file_an_object(tmp_path):
    photo(tmp_path / "8f2c" / "images" / "8f2c.png")
    for number in (1, 2, 3):
        write(tmp_path / "8f2c" / "masks" / f"{number}.png", np.where(number == IDS, 255, 0).astype(np.uint8))
    photo(tmp_path / "91aa" / "images" / "91aa.png", 1)
    write(tmp_path / "91aa" / "masks" / "4.png", np.zeros(SIZE, np.uint8))
    write(tmp_path / "91aa" / "masks" / "5.png", np.where(IDS == 3, 255, 0).astype(np.uint8))
    dataset = read_dataset(tmp_path)
    assert (objects(dataset), objects(dataset, 1)) == (ALIKE, [ALIKE[2]])
    assert suggested_task(dataset) == (
        "instance",
        "each object has a mask file of its own; `task` semantic learns the classes only",
    )


# ---------------------------------------------------------------- maps of ids beside masks of classes


def beside(root: Path, ids: np.ndarray = IDS, classes: np.ndarray = CLASSES, suffix: str = ".png") -> Path:
    for number, name in enumerate("abc"):
        photo(root / "images" / f"{name}.jpg", number)
        write(root / "masks" / f"{name}.png", classes)
        write(root / "instances" / f"{name}{suffix}", ids)
    (root / "classes.txt").write_text("background\nnut\nbolt\n")
    return root


def test_the_class_under_an_object_counts(tmp_path):
    classes = CLASSES.copy()
    classes[4, 2:6] = (1, 1, 0, IGNORE)  # most of the bolt is a bolt
    dataset = read_dataset(beside(tmp_path, classes=classes))
    assert dataset.faults == ()
    assert dataset.layout.endswith("object ids in instances/")
    assert objects(dataset) == PLACES
    np.testing.assert_array_equal(read_label(dataset, dataset.records[0], SIZE), classes)
    assert suggested_task(dataset)[0] == "semantic"


def test_objects_on_background_are_left_out(tmp_path):
    dataset = read_dataset(beside(tmp_path, classes=np.where(IDS == 2, 0, CLASSES).astype(np.uint8)))
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity) == ("object-map", "warning")
    assert fault.message.startswith("3 objects in 3 of 3 maps looked at lie where the masks of classes show background")
    assert objects(dataset) == [PLACES[0], PLACES[2]]


def test_objects_on_ignored_pixels_are_left_out(tmp_path):
    dataset = read_dataset(beside(tmp_path, classes=np.where(IDS == 2, 255, CLASSES).astype(np.uint8)))
    assert (dataset.faults, objects(dataset)) == ((), [PLACES[0], PLACES[2]])


def test_maps_that_cannot_be_used_leave_the_classes_alone(tmp_path):
    dataset = read_dataset(beside(tmp_path, ids=(IDS * 60).astype(np.uint8), suffix=".jpg"))
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity) == ("unused-maps", "warning")
    assert "the maps of objects in instances/ are not used: a.jpg is lossily compressed" in fault.message
    assert not dataset.tells_objects
    with pytest.raises(MaskwrightError, match=r"not used: a\.jpg is lossily compressed.*export the map again as PNG"):
        check_objects(dataset)
    np.testing.assert_array_equal(read_label(dataset, dataset.records[0], SIZE), CLASSES)


def test_an_image_without_its_map(tmp_path):
    beside(tmp_path)
    (tmp_path / "instances" / "b.png").unlink()
    dataset = read_dataset(tmp_path)
    (fault,) = dataset.faults
    assert (fault.kind, fault.path.name) == ("object-map", "b.jpg")
    with pytest.raises(DecodeError, match=r"b\.jpg has a mask of classes, but no map of objects.*add the map"):
        read_objects(dataset, dataset.records[1], SIZE)
    assert objects(dataset, 2) == PLACES


def test_a_map_of_another_size(tmp_path):
    beside(tmp_path)
    write(tmp_path / "instances" / "b.png", IDS[:5])
    dataset = read_dataset(tmp_path)
    with pytest.raises(DecodeError, match=r"b\.png is 8x5 pixels, but its image b\.jpg is 8x6"):
        read_objects(dataset, dataset.records[1], SIZE)


def test_one_value_beside_classes(tmp_path):
    dataset = read_dataset(beside(tmp_path, ids=(IDS > 0).astype(np.uint8)))
    assert kinds(dataset) == ["one-value"]
    assert objects(dataset) == [(1, 1, 1, 8), (2, 4, 2, 10)]


# ---------------------------------------------------------------- VOC, Cityscapes


@pytest.mark.parametrize("colored", [False, True])
def test_voc(tmp_path, colored):
    border = np.zeros(SIZE, bool)
    border[3, 1:5] = True
    palette = [voc_color(value) for value in range(256)]
    for number, name in enumerate(("a", "b")):
        photo(tmp_path / "JPEGImages" / f"{name}.jpg", number)
        for folder, values in (("SegmentationClass", np.array([0, 15, 15, 7])[IDS]), ("SegmentationObject", IDS)):
            array = np.where(border, 255, values).astype(np.uint8)
            path = tmp_path / folder / f"{name}.png"
            if colored and folder == "SegmentationObject":
                write(path, np.array(palette, np.uint8)[array])
            else:
                palette_mask(path, array, palette)
    dataset = read_dataset(tmp_path)
    assert (dataset.format, dataset.faults) == ("voc", ())
    found = objects(dataset)
    assert sorted(found) == [(7, 4, 2, 10), (15, 1, 1, 4), (15, 1, 3, 4)]
    assert dataset.classes.names[15] == "person"
    assert read_label(dataset, dataset.records[0], SIZE)[3, 1] == IGNORE


def test_cityscapes(tmp_path):
    ids = np.full(SIZE, 7, np.uint16)  # road
    ids[0:2, 0:3], ids[0:2, 3:5] = 26_000, 26_001  # two cars that touch
    ids[3, 0:4] = 24  # a group of persons
    ids[4, 0:2], ids[4, 4:6] = 29_000, 0  # a caravan, which the benchmark ignores; unlabelled
    labels = np.where(ids >= 1000, ids // 1000, ids).astype(np.uint8)
    for split, city in (("train", "ulm"), ("val", "bonn")):
        photo(tmp_path / "leftImg8bit" / split / city / f"{city}_leftImg8bit.png")
        write(tmp_path / "gtFine" / split / city / f"{city}_gtFine_labelIds.png", labels)
        write(tmp_path / "gtFine" / split / city / f"{city}_gtFine_instanceIds.png", ids)
    dataset = read_dataset(tmp_path)
    car, person = (dataset.classes.names.index(name) for name in ("car", "person"))
    assert dataset.faults == ()
    assert dataset.classes.things == set(range(11, 19))
    assert suggested_task(dataset)[0] == "semantic"
    assert objects(dataset) == [(car, 0, 0, 6), (car, 0, 3, 4)]
    assert crowds(dataset) == [(person, 3, 0, 4)]
    label = read_label(dataset, dataset.records[0], SIZE)
    assert (label[3, 0], label[5, 7], label[4, 0], label[4, 4]) == (person, 0, IGNORE, IGNORE)


# ---------------------------------------------------------------- COCO panoptic


SEGMENTS = np.zeros(SIZE, np.uint32)
SEGMENTS[1:3, 1:3] = 0x010101  # grey in the PNG
SEGMENTS[1:3, 3:5] = 3_000_000
SEGMENTS[4:6, 2:7] = 70_000
SEGMENTS[5, 0:2] = 9
INFOS = [(0x010101, 44, 0), (3_000_000, 44, 0), (70_000, 1, 1), (9, 200, 0)]


def panoptic(root: Path, infos: list[tuple[int, int, int]] = INFOS, **more: Any) -> Path:
    photo(root / "val2017" / "a.jpg")
    pixels = np.stack([SEGMENTS & 255, SEGMENTS >> 8 & 255, SEGMENTS >> 16], axis=2).astype(np.uint8)
    write(root / "annotations" / "panoptic_val2017" / "a.png", pixels)
    segments = [{"id": key, "category_id": category, "iscrowd": crowd} for key, category, crowd in infos]
    content = {
        "images": [{"id": 5, "file_name": "a.jpg", "height": SIZE[0], "width": SIZE[1]}],
        "categories": [
            {"id": 200, "name": "grass", "isthing": 0, "color": [0, 90, 0]},
            {"id": 1, "name": "person", "isthing": 1, "color": [220, 20, 60]},
            {"id": 44, "name": "bottle", "isthing": 1, "color": [0, 0, 9]},
        ],
        "annotations": [{"image_id": 5, "file_name": "a.png", "segments_info": segments}],
    }
    (root / "annotations" / "panoptic_val2017.json").write_text(json.dumps(content | more))
    return root


def test_panoptic(tmp_path):
    dataset = read_dataset(panoptic(tmp_path))
    assert (dataset.format, dataset.faults) == ("panoptic", ())
    assert dataset.layout == "panoptic_val2017.json: 2 classes of things, 1 of stuff"
    assert dataset.classes.names == ("person", "bottle", "grass")
    assert dataset.classes.colors[2] == (0, 90, 0)
    assert dataset.records[0].id == "val2017/a.jpg"
    assert sorted(objects(dataset)) == [(1, 1, 1, 4), (1, 1, 3, 4)]
    assert crowds(dataset) == [(0, 4, 2, 10)]
    expected = np.full(SIZE, IGNORE, np.uint8)
    expected[1:3, 1:5], expected[4:6, 2:7], expected[5, 0:2] = 1, 0, 2
    np.testing.assert_array_equal(read_label(dataset, dataset.records[0], SIZE), expected)
    assert dataset.classes.things == {0, 1}
    name, reason = suggested_task(dataset)
    assert (name, "2 classes with objects and of 1 without" in reason) == ("panoptic", True)


def test_panoptic_photographs_beside_their_pngs(tmp_path):
    root = panoptic(tmp_path)
    folder = root / "annotations" / "panoptic_val2017"
    (root / "val2017" / "a.jpg").rename(folder / "a.jpg")
    dataset = read_dataset(root)
    assert [record.image.path for record in dataset.records] == [folder / "a.jpg"]
    assert len(objects(dataset)) == 2


def test_panoptic_options(tmp_path):
    dataset = read_dataset(panoptic(tmp_path), ReadOptions(map={44: "ignore"}))
    assert dataset.classes.names == ("person", "grass")
    assert objects(dataset) == []
    assert read_label(dataset, dataset.records[0], SIZE)[1, 1] == IGNORE
    dataset = read_dataset(tmp_path, ReadOptions(map={44: 1}))
    assert {entry[0] for entry in objects(dataset)} == {0}
    with pytest.raises(MaskwrightError, match=r"leave out `read\.classes`"):
        read_dataset(tmp_path, ReadOptions(classes=tmp_path / "classes.txt"))


def test_panoptic_faults(tmp_path):
    dataset = read_dataset(panoptic(tmp_path, INFOS[:3]))
    with pytest.raises(DecodeError, match=r"holds the segment 9 .*segments_info in the JSON file does not list"):
        read_label(dataset, dataset.records[0], SIZE)
    dataset = read_dataset(panoptic(tmp_path, [*INFOS, (11, 200, 0)]))
    with pytest.raises(DecodeError, match=r"holds no pixel of the segment 11, which segments_info in the JSON"):
        read_label(dataset, dataset.records[0], SIZE)
    for infos, words in (
        ([*INFOS, (0, 200, 0)], "lists a segment 0 of a.jpg, but 0 is no segment"),
        ([*INFOS, INFOS[0]], "lists the segment 65793 of a.jpg more than once"),
        ([*INFOS[:3], (9, 77, 0)], "holds a segment of category 77 on a.jpg, which it does not name"),
    ):
        with pytest.raises(MaskwrightError, match=words):
            read_dataset(panoptic(tmp_path, infos))
    names = [{"id": 1, "name": "person", "isthing": 1}, {"id": 1, "name": "dog", "isthing": 1}]
    with pytest.raises(MaskwrightError, match="gives the id 1 to 'person' and 'dog'"):
        read_dataset(panoptic(tmp_path, categories=names))
    with pytest.raises(MaskwrightError, match=r"there is no key 'isthing'"):
        read_dataset(panoptic(tmp_path, categories=[{"id": 1, "name": "person"}]))
    panoptic(tmp_path)
    (tmp_path / "annotations" / "panoptic_val2017" / "a.png").unlink()
    with pytest.raises(MaskwrightError, match=r"lists a\.png for a\.jpg, which does not exist"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("areas", "words"),
    [
        ((4, 4, 10, 2), None),
        ((4, 4, 40, 2), "shows 10 pixels of person, but the areas of its segments in the JSON file are 40 together"),
        ((1, 1, 10, 2), "shows 8 pixels of bottle, but the areas of its segments in the JSON file are 2 together"),
        ((None, 1, 40, 2), None),
        ((0, "many", 10, 2), None),
    ],
    ids=["right", "thing", "two segments", "one without", "no areas"],
)
def test_stated_areas_of_segments_are_compared(tmp_path, areas, words):
    path = panoptic(tmp_path) / "annotations" / "panoptic_val2017.json"
    content = json.loads(path.read_text())
    for part, area in zip(content["annotations"][0]["segments_info"], areas, strict=True):
        part["area"] = area
    path.write_text(json.dumps(content))
    dataset = read_dataset(tmp_path)
    for seen in (dataset, objects_alone(dataset)):
        found = [fault for fault in survey(seen).dataset.faults if fault.kind == "other-area"]
        assert [fault.message for fault in found] == ([words] if words else [])
        assert all((fault.severity, fault.path.name) == ("warning", "a.png") for fault in found)


def test_a_panoptic_jpeg_is_refused(tmp_path):
    panoptic(tmp_path)
    path = tmp_path / "annotations" / "panoptic_val2017" / "a.png"
    Image.open(path).save(path, "JPEG")
    dataset = read_dataset(tmp_path)
    with pytest.raises(DecodeError, match="lossily compressed, which changes the ids of segments"):
        read_label(dataset, dataset.records[0], SIZE)


def test_a_damaged_panoptic_file_beside_a_good_one(tmp_path):
    panoptic(tmp_path)
    good, other = (tmp_path / "annotations" / f"panoptic_{split}.json" for split in ("val2017", "train2017"))
    text = good.read_text()
    without = {key: value for key, value in json.loads(text).items() if key != "categories"}
    for content, words in (
        (text[: len(text) // 3], "panoptic_train2017.json is cut off (its JSON does not end)"),
        (text[:-20], "panoptic_train2017.json is cut off (its JSON does not end)"),
        (
            json.dumps(without),
            "panoptic_train2017.json lists no categories, so the classes of its segments are unknown",
        ),
    ):
        other.write_text(content)
        dataset = read_dataset(tmp_path)
        (fault,) = dataset.faults
        assert (dataset.format, len(dataset.records)) == ("panoptic", 1)
        assert (fault.kind, fault.severity, fault.path, fault.message) == ("unreadable", "error", other, words)
    with pytest.raises(MaskwrightError, match=r"lists no categories.*: add the list, or export the file again"):
        read_dataset(other)


def test_two_panoptic_annotations_of_one_image(tmp_path):
    path = panoptic(tmp_path) / "annotations" / "panoptic_val2017.json"
    photo(tmp_path / "val2017" / "b.jpg", 1)
    write(path.with_suffix("") / "b.png", np.zeros((*SIZE, 3), np.uint8))
    content = json.loads(path.read_text())
    content["images"].append({"id": 6, "file_name": "b.jpg", "height": SIZE[0], "width": SIZE[1]})
    content["annotations"].append({"image_id": 5, "file_name": "b.png", "segments_info": []})
    path.write_text(json.dumps(content))
    words = (
        r"2 annotations belong to a\.jpg, which is not used: a\.png \(image_id 5 in panoptic_val2017\.json\) and "
        r"b\.png \(image_id 5 in panoptic_val2017\.json\): give each annotation the id of its own image"
    )
    with pytest.raises(MaskwrightError, match=words):
        read_dataset(tmp_path)
    photo(tmp_path / "val2017" / "c.jpg", 2)
    write(path.with_suffix("") / "c.png", np.zeros((*SIZE, 3), np.uint8))
    content["images"].append({"id": 7, "file_name": "c.jpg", "height": SIZE[0], "width": SIZE[1]})
    content["annotations"].append({"image_id": 7, "file_name": "c.png", "segments_info": []})
    path.write_text(json.dumps(content))
    dataset = read_dataset(tmp_path)
    assert [record.image.name for record in dataset.records] == ["c.jpg"]
    assert [(fault.kind, fault.severity) for fault in dataset.faults] == [
        ("annotated-twice", "error"),
        ("unpaired", "warning"),  # no annotation is that of b.jpg
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image_id": 99}, "image_id is 99, which no entry of 'images' has"),
        ({"segments_info": None}, "it has no list of 'segments_info'"),
        ({"segments_info": [{"id": "abc", "category_id": 1}]}, "id of a segment is 'abc', but must be a whole number"),
        ({"segments_info": [{"id": 3}]}, "'category_id' is missing"),
    ],
)
def test_a_damaged_panoptic_annotation_is_named(tmp_path, change, words):
    path = panoptic(tmp_path) / "annotations" / "panoptic_val2017.json"
    photo(tmp_path / "val2017" / "b.jpg", 1)
    write(path.with_suffix("") / "b.png", np.zeros((*SIZE, 3), np.uint8))
    content = json.loads(path.read_text())
    content["images"].append({"id": 6, "file_name": "b.jpg", "height": SIZE[0], "width": SIZE[1]})
    content["annotations"].append({"image_id": 6, "file_name": "b.png", "segments_info": []} | change)
    path.write_text(json.dumps(content))
    dataset = read_dataset(tmp_path)
    assert [record.image.name for record in dataset.records] == ["a.jpg"]
    damaged, bare = dataset.faults
    assert (damaged.kind, damaged.severity, damaged.path) == ("unreadable", "error", path)
    assert damaged.message == f"annotation 2 (b.png) of panoptic_val2017.json cannot be used: {words}"
    assert bare.message == "no JSON file annotates 1 image in val2017/, b.jpg"
    content["annotations"] = content["annotations"][1:]
    path.write_text(json.dumps(content))
    with pytest.raises(MaskwrightError, match=r"annotation 1 \(b\.png\) of panoptic_val2017\.json cannot be used"):
        read_dataset(tmp_path)


def test_outlines_win_over_segments(tmp_path):
    panoptic(tmp_path)
    content = {
        "images": [{"id": 5, "file_name": "a.jpg", "height": SIZE[0], "width": SIZE[1]}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [{"image_id": 5, "category_id": 1, "segmentation": [[1, 1, 3, 1, 3, 3, 1, 3]]}],
    }
    (tmp_path / "annotations" / "instances_val2017.json").write_text(json.dumps(content))
    assert read_dataset(tmp_path).format == "coco"
    assert read_dataset(tmp_path, ReadOptions(format="panoptic")).format == "panoptic"


# ---------------------------------------------------------------- outlines


SQUARE = [1, 1, 5, 1, 5, 5, 1, 5]
HOLE = [2, 2, 4, 2, 4, 4, 2, 4]
FAR = [6, 0, 8, 0, 8, 2, 6, 2]


def text(ring: list[int], between: str = ";") -> str:
    return between.join(f"{x},{y}" for x, y in zip(ring[::2], ring[1::2], strict=True))


def points(ring: list[int]) -> list[list[int]]:
    return [list(point) for point in zip(ring[::2], ring[1::2], strict=True)]


def coco_outlines(root: Path) -> None:
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 6, "width": 8}],
        "categories": [{"id": 0, "name": "nut"}, {"id": 90, "name": "bolt"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 90, "segmentation": [SQUARE, FAR]},
            {"id": 2, "image_id": 1, "category_id": 0, "segmentation": [HOLE]},
        ],
    }
    (root / "a.json").write_text(json.dumps(content))


def yolo_outlines(root: Path) -> None:
    (root / "data.yaml").write_text("train: .\nval: .\nnames: [nut, bolt]\n")
    rows = [(1, SQUARE), (0, HOLE), (1, FAR)]
    lines = (f"{k} {' '.join(str(v / (8, 6)[n % 2]) for n, v in enumerate(ring))}" for k, ring in rows)
    (root / "a.txt").write_text("\n".join(lines))


def labelme_outlines(root: Path) -> None:
    rows = [("bolt", SQUARE, 1), ("bolt", FAR, 1), ("nut", HOLE, None)]
    shapes = [
        {"label": name, "points": points(ring), "shape_type": "polygon", "group_id": group}
        for name, ring, group in rows
    ]
    content = {"shapes": shapes, "imagePath": "a.jpg", "imageHeight": 6, "imageWidth": 8}
    (root / "a.json").write_text(json.dumps(content))


def cvat_outlines(root: Path) -> None:
    rows = [("bolt", SQUARE, ' group_id="1"'), ("bolt", FAR, ' group_id="1"'), ("nut", HOLE, "")]
    shapes = "".join(f'<polygon label="{name}"{group} points="{text(ring)}"/>' for name, ring, group in rows)
    labels = "<meta><job><labels><label><name>bolt</name></label><label><name>nut</name></label></labels></job></meta>"
    image = f'<image name="a.jpg" width="8" height="6">{shapes}</image>'
    (root / "annotations.xml").write_text(f"<annotations>{labels}{image}</annotations>")


def geojson_outlines(root: Path) -> None:
    features = []
    for name, polygons in (("bolt", [[SQUARE, HOLE], [FAR]]), ("nut", [[HOLE]])):
        rings = [[[*points(ring), points(ring)[0]] for ring in polygon] for polygon in polygons]
        geometry = {"type": "MultiPolygon", "coordinates": rings}
        features.append({"type": "Feature", "geometry": geometry, "properties": {"classification": {"name": name}}})
    (root / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (coco_outlines, {("bolt", 0, 1, 20), ("nut", 2, 2, 4)}),
        (yolo_outlines, {("bolt", 1, 1, 16), ("bolt", 0, 6, 4), ("nut", 2, 2, 4)}),
        (labelme_outlines, {("bolt", 0, 1, 20), ("nut", 2, 2, 4)}),
        (cvat_outlines, {("bolt", 0, 1, 20), ("nut", 2, 2, 4)}),
        (geojson_outlines, {("bolt", 0, 1, 16), ("nut", 2, 2, 4)}),
    ],
)
def test_outlines_are_whole_objects(tmp_path, make, expected):
    photo(tmp_path / "a.jpg")
    make(tmp_path)
    dataset = read_dataset(tmp_path)
    names = dataset.classes.names
    assert {(names[index], *rest) for index, *rest in objects(dataset)} == expected
    task, reason = suggested_task(dataset)
    assert task == "semantic"
    assert reason == "outlines may mark objects as well as regions; `task` instance learns the objects"


def test_masks_of_classes_suggest_no_objects(tmp_path):
    beside(tmp_path)
    for path in (tmp_path / "instances").iterdir():
        path.unlink()
    dataset = read_dataset(tmp_path)
    assert not dataset.tells_objects
    assert suggested_task(dataset) == ("semantic", "the masks give the class of each pixel, but no objects")


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("{n}.png", "{n}_cp_masks.png"),
        ("{n}_img.tif", "{n}_img_cp_masks.tif"),
        ("images/{n}.png", "masks/{n}_cp_masks.png"),
    ],
)
def test_maps_of_ids_that_cellpose_wrote(tmp_path, image, mask):
    for number in range(3):
        photo(tmp_path / image.format(n=f"m{number}"), number)
        path = tmp_path / mask.format(n=f"m{number}")
        write(path, IDS)
        state = path.with_name(path.stem.removesuffix("_cp_masks") + "_seg.npy")
        np.save(state, np.array({"masks": IDS}), allow_pickle=True)
        write(path.with_name(path.name.replace("_masks", "_outlines")), IDS)
        flows = tmp_path / image.format(n=f"m{number}")
        photo(flows.with_name(f"{flows.stem}_flows.tif"))
    dataset = read_dataset(tmp_path)
    assert (len(dataset.records), dataset.faults) == (3, ())
    assert [objects(dataset, number) for number in range(3)] == [ALIKE] * 3


def test_what_cellpose_keeps_is_never_read(tmp_path):
    photo(tmp_path / "m.png")
    np.save(tmp_path / "m_seg.npy", np.array({"masks": IDS}), allow_pickle=True)
    with pytest.raises(MaskwrightError, match=r"m_seg\.npy holds Python objects.*as NAME_cp_masks\.png"):
        read_dataset(tmp_path)
    write(tmp_path / "m_cp_masks.png", IDS)
    assert objects(read_dataset(tmp_path)) == ALIKE
