"""COCO: outlines, holes and crowds against pycocotools, splits, and JSON that lies."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco
from tests.data.layouts import labels, photo, write

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Shape, Shapes
from maskwright.data.formats import ReadOptions, read_dataset
from maskwright.data.formats.outlines.shapes import painting_order, ring, ring_area
from maskwright.data.labels import read_label, read_objects, read_pair
from maskwright.data.painting import paint, paint_objects
from maskwright.data.readers import DecodeError
from maskwright.workflows.inspect import inspect

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (20, 30)
BIG = [2.0, 2.0, 20.0, 2.0, 20.0, 16.0, 2.0, 16.0]
SMALL = [4.0, 4.0, 8.0, 4.0, 8.0, 8.0, 4.0, 8.0]
ELSEWHERE = [24.0, 2.0, 28.0, 2.0, 28.0, 6.0]
CATEGORIES = [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}]


def annotation(number: int, category: int, segmentation: Any, **more: Any) -> dict[str, Any]:
    return {"id": number, "image_id": 1, "category_id": category, "segmentation": segmentation, "iscrowd": 0} | more


def write_json(path: Path, annotations: list[dict[str, Any]], **more: Any) -> Path:
    images = [{"id": 1, "file_name": "a.jpg", "height": SIZE[0], "width": SIZE[1]}]
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"images": images, "categories": CATEGORIES, "annotations": annotations} | more
    path.write_text(json.dumps(content))
    return path


def make(root: Path, annotations: list[dict[str, Any]], **more: Any) -> Path:
    photo(root / "images" / "a.jpg", size=SIZE)
    write_json(root / "annotations" / "instances.json", annotations, **more)
    return root


def judged(*segmentations: Any) -> np.ndarray:
    """Paint with pycocotools alone, as its own `annToMask` does."""
    codes = [coco.merge(coco.frPyObjects(part, *SIZE)) if isinstance(part, list) else part for part in segmentations]
    merged = coco.merge(codes)
    with warnings.catch_warnings():  # pycocotools and NumPy 2 disagree about a keyword
        warnings.simplefilter("ignore", DeprecationWarning)
        return coco.decode(merged).astype(bool)


def test_outlines_in_several_parts(tmp_path):
    dataset = read_dataset(make(tmp_path, [annotation(1, 3, [SMALL, ELSEWHERE])]))
    assert dataset.format == "coco"
    assert dataset.classes.names == ("background", "cat", "dog")
    assert dataset.value_to_index == {0: 0, 3: 1, 7: 2}
    np.testing.assert_array_equal(read_pair(dataset, dataset.records[0])[1] == 1, judged([SMALL, ELSEWHERE]))


def test_small_objects_lie_on_large_ones(tmp_path):
    for order in ([(1, 7, SMALL), (2, 3, BIG)], [(1, 3, BIG), (2, 7, SMALL)]):
        dataset = read_dataset(make(tmp_path, [annotation(n, category, [shape]) for n, category, shape in order]))
        label = read_pair(dataset, dataset.records[0])[1]
        np.testing.assert_array_equal(label == 2, judged([SMALL]))
        np.testing.assert_array_equal(label == 1, judged([BIG]) & ~judged([SMALL]))
        objects = {entry.index: entry.mask for entry in read_objects(dataset, dataset.records[0], SIZE)}
        assert objects[1].sum() == judged([BIG]).sum()
        assert objects[2].shape == (4, 4)


@pytest.mark.parametrize("compressed", [True, False])
def test_run_lengths_with_a_hole_and_a_crowd(tmp_path, compressed):
    ring_mask = np.zeros(SIZE, np.uint8)
    ring_mask[3:15, 4:18] = 1
    ring_mask[6:9, 7:12] = 0
    if compressed:
        code = coco.encode(np.asfortranarray(ring_mask))
        rle = {"size": list(SIZE), "counts": code["counts"].decode()}
    else:
        flat = ring_mask.ravel(order="F")
        edges = np.flatnonzero(np.diff(np.concatenate([[0], flat]))).tolist()
        rle = {"size": list(SIZE), "counts": np.diff([0, *edges, flat.size]).tolist()}
    dataset = read_dataset(make(tmp_path, [annotation(1, 3, rle), annotation(2, 7, [BIG], iscrowd=1)]))
    label = read_pair(dataset, dataset.records[0])[1]
    np.testing.assert_array_equal(label == 1, ring_mask == 1)
    np.testing.assert_array_equal(label == IGNORE, judged([BIG]) & (ring_mask == 0))
    crowd, entry = read_objects(dataset, dataset.records[0], SIZE)
    assert (crowd.index, crowd.crowd, crowd.area) == (2, True, judged([BIG]).sum())
    index, mask = entry.index, entry.mask
    assert (index, entry.crowd, mask.shape, mask.sum()) == (1, False, (12, 14), ring_mask.sum())


points = st.tuples(st.floats(-5, 35), st.floats(-5, 25))


@settings(deadline=None)
@given(st.lists(st.lists(points, min_size=3, max_size=7), min_size=1, max_size=3))
def test_painting_in_a_box_is_painting_in_the_whole(rings):
    flat = [[value for point in corner for value in point] for corner in rings]
    shapes = Shapes(None, (Shape(1, tuple(tuple(part) for part in flat)),))
    np.testing.assert_array_equal(paint(shapes, SIZE, None) == 1, judged(flat))


@given(arrays.arrays(np.bool_, (7, 5)))
def test_run_lengths_round_trip(mask):
    code = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    flat = mask.ravel(order="F").astype(int)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat]))).tolist()
    for counts in (code["counts"], np.diff([0, *edges, flat.size]).tolist()):
        shapes = Shapes(None, (Shape(4, rle={"size": [7, 5], "counts": counts}),))
        np.testing.assert_array_equal(paint(shapes, (7, 5), None), mask * 4)
        (found,) = [entry.mask for entry in paint_objects(shapes, (7, 5), None)] or [np.zeros(0)]
        assert found.sum() == mask.sum()


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=8))
def test_painting_order(entries):
    ordered = painting_order([(area, crowd, Shape(int(crowd), ((area,) * 6,))) for area, crowd in entries])
    keys = [(-shape.index, -shape.polygons[0][0]) for shape in ordered]
    assert keys == sorted(keys)


def test_rings_by_hand():
    assert ring_area((0, 0, 4, 0, 4, 3, 0, 3)) == 12
    assert ring([0, 0, 1, 1, 2, 0]) == (0, 0, 1, 1, 2, 0)
    for bad in ([0, 0, 1, 1], [0, 0, 1, 1, 2], "abcdef", [0, 0, 1, 1, 2, float("nan")], [0, 0, 1, 1, 2, None]):
        assert ring(bad) is None


def test_splits_from_file_names(tmp_path):
    for split, year in (("train", 2017), ("val", 2017), ("test", 2017)):
        photo(tmp_path / f"{split}{year}" / "a.jpg", size=SIZE)
        write_json(tmp_path / "annotations" / f"instances_{split}{year}.json", [annotation(1, 3, [BIG])])
    write_json(tmp_path / "annotations" / "person_keypoints_val2017.json", [annotation(1, 3, [BIG])])
    dataset = read_dataset(tmp_path)
    assert {record.id: record.split for record in dataset.records} == {
        "test2017/a.jpg": "test",
        "train2017/a.jpg": "train",
        "val2017/a.jpg": "val",
    }
    assert dataset.layout.startswith("annotations/instances_test2017.json, annotations/instances_train2017.json")


def test_splits_from_folders_as_roboflow_exports_them(tmp_path):
    for split in ("train", "valid"):
        photo(tmp_path / split / "a.jpg", size=SIZE)
        write_json(tmp_path / split / "_annotations.coco.json", [annotation(1, 3, [BIG])])
    assert {record.id: record.split for record in read_dataset(tmp_path).records} == {
        "train/a.jpg": "train",
        "valid/a.jpg": "val",
    }


def test_a_path_to_the_json_itself(tmp_path):
    make(tmp_path, [annotation(1, 3, [BIG])])
    dataset = read_dataset(tmp_path / "annotations" / "instances.json")
    assert dataset.records[0].id == "images/a.jpg"
    assert dataset.records[0].split is None


def test_a_category_that_stands_twice_is_refused_with_its_file(tmp_path):
    twice = [{"id": 3, "name": "cat"}, {"id": 7, "name": "cat"}]
    make(tmp_path, [annotation(1, 3, [BIG])], categories=twice)
    with pytest.raises(MaskwrightError, match=r"instances\.json: the class name 'cat' occurs twice"):
        read_dataset(tmp_path)


def test_options(tmp_path):
    make(tmp_path, [annotation(1, 3, [BIG]), annotation(2, 7, [SMALL])])
    joined = read_dataset(tmp_path, ReadOptions(map={7: 3}))
    assert joined.classes.names == ("background", "cat")
    assert set(np.unique(read_pair(joined, joined.records[0])[1])) == {0, 1}
    ignored = read_dataset(tmp_path, ReadOptions(ignore=7))
    assert np.unique(read_pair(ignored, ignored.records[0])[1]).tolist() == [0, 1, IGNORE]
    with pytest.raises(MaskwrightError, match=r"cannot be used: leave out `read\.classes`"):
        read_dataset(tmp_path, ReadOptions(classes=tmp_path))


def test_categories_called_background_or_zero(tmp_path):
    categories = [{"id": 0, "name": "Background"}, {"id": 1, "name": "cat"}]
    dataset = read_dataset(make(tmp_path / "a", [annotation(1, 1, [BIG])], categories=categories))
    assert dataset.classes.names == ("background", "cat")
    categories = [{"id": 0, "name": "dog"}, {"id": 1, "name": "cat"}]
    dataset = read_dataset(make(tmp_path / "b", [annotation(1, 0, [BIG])], categories=categories))
    assert dataset.classes.names == ("background", "dog", "cat")
    assert read_pair(dataset, dataset.records[0])[1].max() == 1


def test_an_image_without_objects_is_background(tmp_path):
    images = [
        {"id": 1, "file_name": "a.jpg", "height": 20, "width": 30},
        {"id": 2, "file_name": "images/b.jpg", "height": 20, "width": 30},
    ]
    photo(tmp_path / "images" / "b.jpg", size=SIZE)
    dataset = read_dataset(make(tmp_path, [annotation(1, 3, [BIG])], images=images))
    assert read_pair(dataset, dataset.records[1])[1].max() == 0


def test_images_missing_and_images_extra(tmp_path):
    images = [
        {"id": 1, "file_name": "a.jpg", "height": 20, "width": 30},
        {"id": 2, "file_name": "gone.jpg", "height": 20, "width": 30},
    ]
    make(tmp_path, [annotation(1, 3, [BIG])], images=images)
    photo(tmp_path / "images" / "extra.jpg")
    faults = read_dataset(tmp_path).faults
    assert {fault.kind for fault in faults} == {"unpaired"}
    assert [fault.path.name for fault in faults] == ["instances.json", "images"]
    (tmp_path / "images" / "a.jpg").unlink()
    with pytest.raises(MaskwrightError, match=r"none of the images.*a\.jpg"):
        read_dataset(tmp_path)


def test_annotations_of_images_that_are_not_listed(tmp_path):
    strays = [annotation(n, 3, [BIG], image_id=40 + n) for n in (2, 3)]
    (fault,) = read_dataset(make(tmp_path, [annotation(1, 3, [BIG]), *strays])).faults
    assert (fault.kind, fault.path.name) == ("unpaired", "instances.json")
    assert fault.message == "2 annotations belong to images, such as id 42, that the file does not list"


def test_a_file_that_is_cut_off_is_named(tmp_path):
    make(tmp_path, [annotation(1, 3, [BIG])])
    write_json(tmp_path / "annotations" / "instances_val.json", [annotation(1, 3, [BIG])])
    whole = (tmp_path / "annotations" / "instances_val.json").read_text()
    (tmp_path / "annotations" / "instances_val.json").write_text(whole[: whole.index('"categories"')])
    (fault,) = [fault for fault in read_dataset(tmp_path).faults if fault.path.name == "instances_val.json"]
    assert (fault.kind, fault.severity) == ("unreadable", "error")
    assert "is cut off" in fault.message


def test_a_file_that_is_cut_off_is_named_also_alone(tmp_path):
    make(tmp_path, [annotation(1, 3, [BIG])])
    path = tmp_path / "annotations" / "instances.json"
    path.write_text(path.read_text()[:70])
    with pytest.raises(MaskwrightError, match=r"instances\.json is cut off"):
        read_dataset(tmp_path)


def test_a_damaged_file_does_not_spoil_the_others(tmp_path):
    """Its categories come first, as some tools write them, so that it is recognised though it is cut off."""
    make(tmp_path, [annotation(1, 3, [BIG])])
    (tmp_path / "annotations" / "instances_val.json").write_text(
        '{"categories": [], "images": [], "annotations": [{"segmentation": '
    )
    dataset = read_dataset(tmp_path)
    np.testing.assert_array_equal(read_pair(dataset, dataset.records[0])[1] == 1, judged([BIG]))
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity, fault.path.name) == ("unreadable", "error", "instances_val.json")
    (tmp_path / "annotations" / "instances.json").rename(tmp_path / "annotations" / "train.json")
    assert [fault.path.name for fault in read_dataset(tmp_path).faults] == ["instances_val.json"]


def test_without_categories_the_ids_are_the_names(tmp_path):
    make(tmp_path, [annotation(1, 3, [BIG]), annotation(2, 7, [SMALL])])
    path = tmp_path / "annotations" / "instances.json"
    document = json.loads(path.read_text())
    del document["categories"]
    path.write_text(json.dumps(document))
    dataset = read_dataset(tmp_path)
    assert dataset.classes.names == ("background", "class-3", "class-7")
    expected = judged([BIG]).astype(np.uint8)
    expected[judged([SMALL])] = 2
    np.testing.assert_array_equal(read_pair(dataset, dataset.records[0])[1], expected)
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity) == ("unknown-label", "warning")
    write_json(tmp_path / "annotations" / "instances_val.json", [annotation(1, 3, [BIG])])
    with pytest.raises(MaskwrightError, match=r"lists no categories, but instances_val\.json does"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("category", [None, "", "absent"])
def test_an_object_without_a_category_is_ignored_in_its_outline(tmp_path, category):
    loose = annotation(2, 7, [SMALL]) | {"category_id": category}
    if category == "absent":
        del loose["category_id"]
    dataset = read_dataset(make(tmp_path, [annotation(1, 3, [BIG]), loose]))
    expected = judged([BIG]).astype(np.uint8)
    expected[judged([SMALL])] = IGNORE
    np.testing.assert_array_equal(read_pair(dataset, dataset.records[0])[1], expected)
    (fault,) = dataset.faults
    assert "1 object without a class" in fault.message
    assert "id 2" in fault.message


def test_a_category_may_be_given_by_its_name(tmp_path):
    dataset = read_dataset(make(tmp_path, [annotation(1, 3, [BIG]) | {"category_id": "cat"}]))
    np.testing.assert_array_equal(read_pair(dataset, dataset.records[0])[1] == 1, judged([BIG]))
    assert dataset.faults == ()
    dataset = read_dataset(make(tmp_path, [annotation(1, 3, [BIG]) | {"category_id": "cow"}]))
    assert dataset.records == ()
    assert "the class 'cow' on a.jpg" in dataset.faults[0].message


def test_one_damaged_entry_costs_no_other(tmp_path):
    images = [{"id": n, "file_name": f"{n}.jpg"} for n in (1, 2)]
    odd = annotation(2, 3, {"size": ["x", 3], "counts": [1]}) | {"image_id": 2}
    lost = annotation(3, 3, [BIG]) | {"image_id": None}
    make(tmp_path, [annotation(1, 3, [BIG]), odd, lost], images=[*images, {"id": 3}])
    for number in (1, 2):
        photo(tmp_path / "images" / f"{number}.jpg", size=SIZE)
    dataset = read_dataset(tmp_path)
    assert [record.id for record in dataset.records] == ["images/1.jpg"]
    messages = " ".join(fault.message for fault in dataset.faults)
    assert "1 entry of 'images' has no id or no file_name" in messages
    assert "1 annotation belongs to an image, id None, that the file does not list" in messages
    assert "holds an object on 2.jpg (id 2) without outline and box" in messages


def test_an_area_that_is_no_number_does_not_change_the_order(tmp_path):
    for order in ([(1, 7, SMALL), (2, 3, BIG)], [(1, 3, BIG), (2, 7, SMALL)]):
        objects = [annotation(n, category, [shape], area=float("nan")) for n, category, shape in order]
        dataset = read_dataset(make(tmp_path, objects))
        np.testing.assert_array_equal(read_pair(dataset, dataset.records[0])[1] == 2, judged([SMALL]))


def test_an_image_of_another_size_is_left_out(tmp_path):
    make(tmp_path, [annotation(1, 3, [BIG])])
    images = [{"id": n, "file_name": f"{n}.jpg", "height": 20, "width": 30} for n in (1, 2)]
    write_json(tmp_path / "annotations" / "instances.json", [annotation(1, 3, [BIG])], images=images)
    photo(tmp_path / "images" / "1.jpg", size=SIZE)
    photo(tmp_path / "images" / "2.jpg", size=SIZE[::-1])
    dataset = read_dataset(tmp_path)
    assert [record.id for record in dataset.records] == ["images/1.jpg"]
    fault = next(fault for fault in dataset.faults if fault.kind == "size-mismatch")
    assert fault.path.name == "2.jpg"
    words = "is 20x30 pixels, but instances.json was drawn at 30x20"
    assert words in fault.message


def test_run_lengths_of_another_size_and_damaged_ones(tmp_path):
    for rle, kind in (
        ({"size": [10, 10], "counts": [0, 100]}, "size-mismatch"),
        ({"size": list(SIZE), "counts": [5, 5]}, "unreadable"),
        ({"size": list(SIZE), "counts": [601, -1]}, "unreadable"),
        ({"size": list(SIZE), "counts": "zzzzzz"}, "unreadable"),
        ({"size": list(SIZE), "counts": "0"}, "unreadable"),
        ({"size": list(SIZE), "counts": "0\u00ff"}, "unreadable"),
    ):
        dataset = read_dataset(make(tmp_path, [annotation(1, 3, rle)]))
        with pytest.raises(DecodeError) as caught:
            read_label(dataset, dataset.records[0], SIZE)
        assert caught.value.kind == kind


def test_outlines_that_are_none(tmp_path):
    bad = [annotation(number, 3, drawn) for number, drawn in enumerate(([[1, 2, 3, 4]], [], None, {"size": 3}))]
    dataset = read_dataset(make(tmp_path / "a", [annotation(1, 3, [BIG]), bad[0]]))
    expected = judged([BIG]).astype(np.uint8)
    expected[2:4, 1:3] = np.where(expected[2:4, 1:3], 1, IGNORE)  # the box around the line from (1, 2) to (3, 4)
    np.testing.assert_array_equal(read_pair(dataset, dataset.records[0])[1], expected)
    assert [fault.kind for fault in dataset.faults] == ["bad-outline"]
    with pytest.raises(MaskwrightError, match="holds 4 outlines, and none encloses an area"):
        read_dataset(make(tmp_path / "b", bad))
    with pytest.raises(MaskwrightError, match="boxes only"):
        read_dataset(make(tmp_path / "c", bad[1:]))


@pytest.mark.parametrize("segmentation", [[], None, {"size": 3}])
def test_an_object_without_a_place_makes_the_image_unusable(tmp_path, segmentation):
    dataset = read_dataset(make(tmp_path, [annotation(1, 3, [BIG]), annotation(8, 3, segmentation)]))
    assert dataset.records == ()
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity, fault.path.name) == ("bad-outline", "error", "instances.json")
    assert "an object on a.jpg (id 8) without outline and box, which may be anywhere" in fault.message


def test_an_unknown_category_makes_the_image_unusable(tmp_path):
    images = [{"id": n, "file_name": f"{n}.jpg", "height": 20, "width": 30} for n in (1, 2)]
    make(tmp_path, [annotation(1, 99, [BIG])], images=images)
    for number in (1, 2):
        photo(tmp_path / "images" / f"{number}.jpg", size=SIZE)
    dataset = read_dataset(tmp_path)
    assert [record.id for record in dataset.records] == ["images/2.jpg"]
    fault = next(fault for fault in dataset.faults if fault.kind == "unknown-label")
    assert "class 99" in fault.message
    assert "`read.map` 99=ignore" in fault.cure
    assert len(read_dataset(tmp_path, ReadOptions(map={99: "ignore"})).records) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"categories": [], "images": [], "annotations": [{"segmentation": ', r"is cut off \(its JSON does not end\)"),
        (
            '{"categories": [], "images": [{}], "annotations": [], "segmentation": 1}',
            "1 entry of 'images' has no id or no file_name",
        ),
        ('["images", "annotations", "categories", "segmentation"]', "is not a COCO annotation file"),
    ],
)
def test_damaged_json(tmp_path, text, words):
    (make(tmp_path, []) / "annotations" / "instances.json").write_text(text)
    with pytest.raises(MaskwrightError, match=words):
        read_dataset(tmp_path)


def test_categories_that_are_numbered_differently_are_matched_by_name(tmp_path):
    photo(tmp_path / "a.jpg", size=SIZE)
    write_json(tmp_path / "one.json", [annotation(1, 1, [BIG])], categories=[{"id": 1, "name": "cat"}])
    two = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
    write_json(tmp_path / "two.json", [annotation(1, 1, [SMALL]), annotation(2, 2, [ELSEWHERE])], categories=two)
    dataset = read_dataset(tmp_path)
    assert dataset.classes.names == ("background", "cat", "dog")
    expected = (judged([BIG]) | judged([ELSEWHERE])).astype(np.uint8)
    expected[judged([SMALL])] = 2
    np.testing.assert_array_equal(read_pair(dataset, dataset.records[0])[1], expected)
    assert {fault.kind for fault in dataset.faults} == {"categories", "annotated-twice"}
    with pytest.raises(MaskwrightError, match=r"`read\.map` and `read\.ignore` are ambiguous"):
        read_dataset(tmp_path, ReadOptions(map={2: 1}))


def test_files_over_the_same_images_are_joined(tmp_path):
    photo(tmp_path / "a.jpg", size=SIZE)
    write_json(tmp_path / "one.json", [annotation(1, 3, [BIG])])
    write_json(tmp_path / "two.json", [annotation(1, 7, [SMALL]), annotation(2, 3, [BIG])])
    dataset = read_dataset(tmp_path)
    expected = judged([BIG]).astype(np.uint8)
    expected[judged([SMALL])] = 2
    np.testing.assert_array_equal(read_pair(dataset, dataset.records[0])[1], expected)
    assert len(list(read_objects(dataset, dataset.records[0], SIZE))) == 2  # the object in both files counts once
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity) == ("annotated-twice", "note")
    assert "in one.json and two.json; all objects are used" in fault.message


def test_files_that_contradict_each_other_are_told(tmp_path):
    photo(tmp_path / "a.jpg", size=SIZE)
    write_json(tmp_path / "new.json", [annotation(1, 3, [BIG])])
    write_json(tmp_path / "old.json", [annotation(1, 3, [ELSEWHERE])])
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity, fault.path.name) == ("annotated-twice", "warning", "old.json")
    assert "in new.json and old.json, which outline other objects of the same class" in fault.message
    (tmp_path / "old.json").unlink()
    assert read_dataset(tmp_path).faults == ()


def test_an_image_in_two_splits_is_told(tmp_path):
    photo(tmp_path / "a.jpg", size=SIZE)
    for split in ("train", "val"):
        photo(tmp_path / f"{split}.jpg", size=SIZE)
        images = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": f"{split}.jpg"}]
        write_json(tmp_path / f"{split}.json", [annotation(1, 3, [BIG])], images=images)
    dataset = read_dataset(tmp_path)
    assert [record.split for record in dataset.records] == ["train", "train", "val"]
    assert "split-overlap" in {fault.kind for fault in dataset.faults}


def test_a_name_in_two_folders(tmp_path):
    """A name without its folder fits both files; with it, with a fitting size, or with a nearer JSON, it fits one."""
    for folder, size in (("cam1", SIZE), ("cam2", (SIZE[0], SIZE[1] + 2))):
        photo(tmp_path / folder / "a.jpg", size=size)
    photo(tmp_path / "b.jpg", size=SIZE)
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "a.jpg"}, {"id": 3, "file_name": "b.jpg"}]
    boxes = [annotation(number, 3, [BIG], image_id=number) for number in (1, 2)]
    write_json(tmp_path / "all.json", boxes, images=images)
    dataset = read_dataset(tmp_path)
    assert [record.id for record in dataset.records] == ["b.jpg"]
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity) == ("ambiguous-name", "error")
    assert "all.json annotates a.jpg, which fits cam1/a.jpg and cam2/a.jpg equally" in fault.message
    assert "such as cam1/a.jpg" in fault.cure
    named = [{"id": 1, "file_name": "cam1/a.jpg"}, {"id": 2, "file_name": "D:\\set\\CAM2\\A.jpg"}]
    sized = [{"id": 1, "file_name": "a.jpg", "height": SIZE[0], "width": SIZE[1]}]
    sized += [{"id": 2, "file_name": "a.jpg", "height": SIZE[0], "width": SIZE[1] + 2}]
    for images in (named, sized):
        write_json(tmp_path / "all.json", boxes, images=images)
        assert [record.id for record in read_dataset(tmp_path).records] == ["cam1/a.jpg", "cam2/a.jpg"]


def test_two_names_that_only_one_file_fits(tmp_path):
    photo(tmp_path / "a.jpg", size=SIZE)
    images = [{"id": number, "file_name": f"cam{number}/a.jpg"} for number in (1, 2)]
    write_json(tmp_path / "all.json", [annotation(1, 3, [BIG])], images=images)
    with pytest.raises(MaskwrightError, match=r"a\.jpg, fits names in several folders and is not used"):
        read_dataset(tmp_path)


def test_one_id_for_two_images(tmp_path):
    for name in "abc":
        photo(tmp_path / f"{name}.jpg", size=SIZE)
    images = [{"id": number, "file_name": f"{name}.jpg"} for number, name in ((1, "a"), (1, "b"), (2, "c"))]
    write_json(tmp_path / "all.json", [annotation(1, 3, [BIG])], images=images)
    dataset = read_dataset(tmp_path)
    assert [record.id for record in dataset.records] == ["c.jpg"]
    assert "1 image id, 1 of a.jpg and b.jpg, stands for several images" in dataset.faults[0].message


@pytest.mark.parametrize(
    "segmentation", [BIG, [BIG], [[[2, 2], [20, 2], [20, 16], [2, 16]]], [{"size": [20, 30], "counts": None}]]
)
@pytest.mark.parametrize("number", [1, "1", 1.0])
def test_loose_spellings(tmp_path, segmentation, number):
    if isinstance(segmentation[0], dict):
        code = coco.encode(np.asfortranarray(judged([BIG]).astype(np.uint8)))
        segmentation = [{"size": list(SIZE), "counts": code["counts"].decode()}]
    own = annotation(1, 3, segmentation, image_id=number, category_id=str(3))
    dataset = read_dataset(make(tmp_path, [own]))
    np.testing.assert_array_equal(read_pair(dataset, dataset.records[0])[1], judged([BIG]))
    assert dataset.faults == ()


@pytest.mark.parametrize(
    "segmentation", [[], [[4, 4, 8, 4, 4, 4]], [[4, 4, 8, 8]], {"size": [20, 30], "counts": [600]}]
)
def test_what_cannot_be_drawn_is_ignored_in_its_box(tmp_path, segmentation):
    flat = annotation(2, 7, segmentation, bbox=[4, 3, 5, 2])
    dataset = read_dataset(make(tmp_path, [annotation(1, 3, [ELSEWHERE]), flat]))
    label = read_pair(dataset, dataset.records[0])[1]
    expected = judged([ELSEWHERE]).astype(np.uint8)
    expected[3:5, 4:9] = IGNORE
    np.testing.assert_array_equal(label, expected)
    (fault,) = dataset.faults
    assert (fault.kind, fault.path.name) == ("bad-outline", "instances.json")
    assert fault.message.endswith("ignored in the box, id 2 in instances.json")


def test_parts_that_enclose_nothing_are_told(tmp_path):
    dataset = read_dataset(make(tmp_path, [annotation(6, 3, [BIG, [24, 2, 28, 2]])]))
    np.testing.assert_array_equal(read_pair(dataset, dataset.records[0])[1], judged([BIG]))
    (fault,) = dataset.faults
    assert fault.message == "1 object with a part that encloses no area and is not painted, id 6 in instances.json"


def test_outlines_that_miss_their_image_are_told(tmp_path):
    beyond = [40.0, 2.0, 50.0, 2.0, 50.0, 9.0]
    dataset = read_dataset(make(tmp_path, [annotation(1, 3, [BIG]), annotation(2, 7, [beyond])]))
    (fault,) = dataset.faults
    assert "1 object outside the image, not painted, id 2 in instances.json" in fault.message


def test_outlines_in_fractions_are_told(tmp_path):
    dataset = read_dataset(make(tmp_path, [annotation(1, 3, [[0.1, 0.1, 0.9, 0.1, 0.9, 0.9]])]))
    assert dataset.records == ()
    assert "with numbers from 0 to 1, so all lie within one pixel" in dataset.faults[0].message


def test_an_image_whose_objects_are_ignored_is_no_negative_example(tmp_path):
    make(tmp_path, [annotation(1, 3, [BIG], iscrowd=1)])
    found = {fault.kind: fault for fault in inspect(tmp_path).faults}
    assert "empty-mask" not in found
    assert "if the crowds are single objects, read them with `read.crowd=keep`; if not," in found["one-class"].cure
    kept = inspect(tmp_path, ReadOptions(crowd="keep"))
    assert not {"one-class", "crowd", "empty-mask"} & {fault.kind for fault in kept.faults}
    listed = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}]
    make(tmp_path / "bare", [annotation(1, 3, [BIG])], images=listed)
    photo(tmp_path / "bare" / "images" / "b.jpg", 1, SIZE)
    (empty,) = (fault for fault in inspect(tmp_path / "bare").faults if fault.kind == "empty-mask")
    assert empty.message == "the mask of b.jpg shows only background"


def test_crowds_everywhere(tmp_path):
    make(tmp_path, [annotation(1, 3, [BIG], iscrowd=1), annotation(2, 7, [ELSEWHERE])])
    dataset = read_dataset(tmp_path)
    (fault,) = dataset.faults
    assert (fault.kind, fault.path.name) == ("crowd", "instances.json")
    assert fault.message == "1 of 2 objects is a crowd (iscrowd) and ignored, among them most of cat"
    assert "`read.crowd=keep`" in fault.cure
    kept = read_dataset(tmp_path, ReadOptions(crowd="keep"))
    assert kept.faults == ()
    np.testing.assert_array_equal(read_pair(kept, kept.records[0])[1] == 1, judged([BIG]))
    write(tmp_path / "b" / "images" / "a.png", labels([0]))
    write(tmp_path / "b" / "masks" / "a.png", labels([0, 1]))
    with pytest.raises(MaskwrightError, match=r"`read\.crowd` is for COCO"):
        read_dataset(tmp_path / "b", ReadOptions(crowd="keep"))


def test_files_beside_instances_are_told(tmp_path):
    make(tmp_path, [annotation(1, 3, [BIG])])
    write_json(tmp_path / "annotations" / "stuff.json", [annotation(1, 3, [SMALL])])
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.path.name) == ("unused", "stuff.json")


def test_json_in_another_encoding(tmp_path):
    path = make(tmp_path, [annotation(1, 3, [BIG])]) / "annotations" / "instances.json"
    text = path.read_text()
    for encoding in ("utf-16", "utf-8-sig"):
        path.write_bytes(text.encode(encoding))
        assert read_dataset(tmp_path).classes.names == ("background", "cat", "dog")
    path.write_bytes(text.replace('"cat"', '"K\xe4fer"').encode("cp1252"))
    with pytest.raises(MaskwrightError, match=r"instances\.json is not UTF-8 text .*: save it as UTF-8"):
        read_dataset(tmp_path)


def test_other_json_beside_masks_does_not_matter(tmp_path):
    photo(tmp_path / "images" / "a.jpg")
    write(tmp_path / "masks" / "a.png", labels([0, 1]))
    (tmp_path / "settings.json").write_text('{"images": 1, "annotations": 2}')
    (tmp_path / "empty.json").write_text("")
    assert read_dataset(tmp_path).format == "folder"
    with pytest.raises(MaskwrightError, match="no COCO JSON"):
        read_dataset(tmp_path, ReadOptions(format="coco"))


@pytest.mark.parametrize(("by", "beyond", "bare", "change"), [(1, 4, 1, "subtract 1 from"), (-1, 0, 3, "add 1 to")])
def test_image_ids_that_are_shifted_by_one_are_refused_and_both_cures_work(tmp_path, by, beyond, bare, change):
    images = [{"id": number, "file_name": f"{number}.jpg"} for number in (1, 2, 3)]
    for number in (1, 2, 3):
        photo(tmp_path / f"{number}.jpg", number, SIZE)
    right = [annotation(number, 7, [BIG], image_id=number) for number in (1, 2, 3)]
    shifted = [entry | {"image_id": entry["image_id"] + by} for entry in right]
    write_json(tmp_path / "instances.json", shifted, images=images)
    words = f"annotations belong to an image {beyond}, and none to {bare}, so.*: {change} each image_id; if only the"
    with pytest.raises(MaskwrightError, match=words):
        read_dataset(tmp_path)
    write_json(tmp_path / "instances.json", [entry for entry in shifted if entry["image_id"] != beyond], images=images)
    assert len(read_dataset(tmp_path).records) == 3
    write_json(tmp_path / "instances.json", right, images=images)
    dataset = read_dataset(tmp_path)
    assert dataset.faults == ()
    assert all(((read_label(dataset, record, SIZE) > 0) == judged([BIG])).all() for record in dataset.records)


def as_dictionary(content: dict[str, Any]) -> None:
    content["annotations"] = {str(entry["id"]): entry for entry in content["annotations"]}


def with_address(content: dict[str, Any]) -> None:
    content["images"][0] = {"id": 1, "coco_url": "http://images.example.org/train2017/my%20photo.jpg"}


def encoded(content: dict[str, Any]) -> None:
    content["images"][0]["file_name"] = "images/my%20photo.jpg"


@pytest.mark.parametrize("change", [as_dictionary, with_address, encoded])
def test_images_and_objects_listed_in_other_ways(tmp_path, change):
    path = write_json(tmp_path / "annotations.json", [annotation(1, 3, [BIG]), annotation(2, 7, [SMALL])])
    content = json.loads(path.read_text())
    content["images"][0]["file_name"] = "my photo.jpg"
    change(content)
    path.write_text(json.dumps(content))
    photo(tmp_path / "train2017/my photo.jpg", size=SIZE)
    dataset = read_dataset(tmp_path)
    assert dataset.faults == ()
    found = read_pair(dataset, dataset.records[0])[1]
    np.testing.assert_array_equal(found == 2, judged([SMALL]))
    np.testing.assert_array_equal(found == 1, judged([BIG]) & ~judged([SMALL]))


def test_an_image_that_is_named_as_in_an_address_goes_first(tmp_path):
    path = write_json(tmp_path / "annotations.json", [annotation(1, 3, [BIG])])
    content = json.loads(path.read_text())
    encoded(content)
    path.write_text(json.dumps(content))
    for name in ("my photo.jpg", "my%20photo.jpg"):
        photo(tmp_path / "images" / name, size=SIZE)
    assert [record.image.name for record in read_dataset(tmp_path).records] == ["my%20photo.jpg"]
