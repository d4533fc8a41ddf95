"""Annotations of objects that are wrong: each is told with its cure, and what can be read is read right."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pycocotools import mask as coco
from tests.data.layouts import photo, write

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.data.fingerprint import fingerprint
from maskwright.data.formats import ReadOptions, read_dataset
from maskwright.data.formats.outlines.shapes import crosses_itself, encloses
from maskwright.data.labels import read_label, read_objects
from maskwright.data.readers import DecodeError
from maskwright.data.survey import survey
from maskwright.ops import rle

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.records import Dataset

SIZE = (20, 30)
SQUARE = [4, 4, 10, 4, 10, 10, 4, 10]
CATEGORIES = [{"id": 0, "name": "cat"}, {"id": 90, "name": "dog"}]


def make(root: Path, *annotations: dict[str, Any], categories: list[dict[str, Any]] = CATEGORIES) -> Dataset:
    for number, name in enumerate("ab", 1):
        photo(root / f"{name}.jpg", number, SIZE)
    images = [{"id": n, "file_name": f"{name}.jpg", "height": 20, "width": 30} for n, name in enumerate("ab", 1)]
    objects = [{"id": n, "image_id": 1, "category_id": 0} | entry for n, entry in enumerate(annotations, 1)]
    content = {"images": images, "categories": categories, "annotations": objects}
    (root / "instances.json").write_text(json.dumps(content))
    return read_dataset(root)


def areas(dataset: Dataset, place: int = 0) -> list[int]:
    return [entry.area for entry in read_objects(dataset, dataset.records[place], SIZE)]


def label(dataset: Dataset) -> np.ndarray:
    return read_label(dataset, dataset.records[0], SIZE)


def told(dataset: Dataset, *words: str) -> None:
    """Expect one warning with these words."""
    (fault,) = dataset.faults
    assert fault.severity == "warning"
    for word in words:
        assert word in f"{fault.message}: {fault.cure}"


def test_outside_the_image(tmp_path):
    beyond = [40, 4, 50, 4, 50, 10]
    dataset = make(tmp_path, {"segmentation": [beyond]}, {"segmentation": [SQUARE]})
    told(dataset, "1 object outside the image, not painted", "move each into the image")
    assert areas(dataset) == [36]
    across = [-1, 4, 3, 4, 3, 10, -1, 10]
    dataset = make(tmp_path, {"segmentation": [across]})
    assert (dataset.faults, areas(dataset)) == ((), [18])


def test_an_outline_between_the_middles_of_pixels(tmp_path):
    tiny, pixel = [2.1, 2.1, 2.4, 2.1, 2.4, 2.4], [15, 15, 16, 15, 16, 16, 15, 16]
    dataset = make(tmp_path, {"segmentation": [tiny]}, {"segmentation": [SQUARE]}, {"segmentation": [pixel]})
    told(dataset, "1 object without the middle of a pixel inside, not painted, id 1", "enlarge each, or remove it")
    assert sorted(areas(dataset)) == [1, 36]


@pytest.mark.parametrize("last", [math.nan, math.inf, "ten", None, ...], ids=["nan", "inf", "word", "null", "odd"])
def test_an_outline_that_is_no_list_of_pairs_of_numbers(tmp_path, last):
    garbled = SQUARE[:-1] if last is ... else [*SQUARE[:-1], last]
    dataset = make(
        tmp_path, {"segmentation": [garbled], "bbox": [4, 4, 6, 6]}, {"segmentation": [[20, 4, 25, 4, 25, 9]]}
    )
    told(dataset, "1 object with an outline that is no list of pairs of numbers, ignored in the box", "id 1")
    assert label(dataset)[6, 6] == IGNORE


def test_two_points(tmp_path):
    dataset = make(tmp_path, {"segmentation": [[4, 4, 10, 8]]}, {"segmentation": [SQUARE]})
    told(dataset, "without an outline that encloses an area, ignored in the box", "draw each again, or remove it")
    assert areas(dataset) == [36]
    assert (label(dataset) == IGNORE).sum() == 0  # the square covers the box of the line
    with pytest.raises(MaskwrightError, match="none encloses an area"):
        make(tmp_path, {"segmentation": [[4, 4, 10, 8]]})


def test_crossings_by_hand():
    bow = (0, 0, 10, 10, 10, 0, 0, 10)  # its two halves have areas of opposite sign
    assert crosses_itself(bow)
    assert encloses(bow)
    for plain in ((0, 0, 10, 0, 10, 10, 0, 10), (0, 0, 4, 4, 8, 0, 8, 8, 4, 4, 0, 8), (0, 0, 9, 0, 9, 9, 9, 0)):
        assert not crosses_itself(plain)
    bridged = (0, 0, 4, 0, 4, 4, 0, 4, 0, 0, 9, 3, 9, 9, 7, 9, 7, 0, 9, 3)  # enters the other part through its side
    assert not crosses_itself(bridged)
    assert crosses_itself((*bridged[:-2], 9, 2))  # goes back another way
    assert not encloses((0, 0, 5, 5, 10, 10))
    assert not encloses((0, 0, 9, 0, 9, 9, 9, 0))  # there and back


@pytest.mark.parametrize("area", [{}, {"area": 50}])
def test_an_outline_that_crosses_itself(tmp_path, area):
    bow = [4, 4, 14, 14, 14, 4, 4, 14]
    dataset = make(tmp_path, {"segmentation": [bow]} | area, {"segmentation": [[20, 2, 26, 2, 26, 8]]})
    told(dataset, "with an outline that crosses itself", "id 1", "draw each again without crossings")
    judge = rle.decode(coco.merge(coco.frPyObjects([bow], *SIZE)))
    assert sorted(areas(dataset)) == [15, judge.sum()]
    np.testing.assert_array_equal(label(dataset)[:, :16] == 1, judge[:, :16] == 1)


@pytest.mark.parametrize("drawn", [[], None, [[]]])
def test_empty_outlines(tmp_path, drawn):
    dataset = make(tmp_path, {"segmentation": drawn, "bbox": [20, 2, 4, 3]}, {"segmentation": [SQUARE]})
    told(dataset, "1 object", "ignored in the box")
    assert areas(dataset) == [36]
    assert (label(dataset) == IGNORE).sum() == 12
    assert areas(dataset, 1) == []


def test_a_file_without_images_and_categories(tmp_path):
    make(tmp_path, {"segmentation": [SQUARE]})
    file = tmp_path / "instances.json"
    whole = json.loads(file.read_text())
    for kept, missing in (
        (["annotations"], r"images \(id, file_name, height, width\) and categories \(id, name\)"),
        (["annotations", "categories"], r"images \(id, file_name, height, width\)"),
    ):
        file.write_text(json.dumps({key: whole[key] for key in kept}))
        with pytest.raises(
            MaskwrightError, match=rf"instances\.json holds annotations of COCO, but lacks {missing}: add"
        ):
            read_dataset(tmp_path)
    file.write_text(json.dumps(whole))
    assert areas(read_dataset(tmp_path)) == [36]


def test_a_file_without_annotations(tmp_path):
    make(tmp_path, {"segmentation": [SQUARE]})
    photo(tmp_path / "c.jpg", 3, SIZE)
    images = [{"id": 1, "file_name": "c.jpg", "height": 20, "width": 30}]
    empty = {"images": images, "categories": CATEGORIES, "annotations": []}
    (tmp_path / "instances_val.json").write_text(json.dumps(empty))
    dataset = read_dataset(tmp_path)
    assert dataset.faults == ()
    assert [areas(dataset, place) for place in range(3)] == [[36], [], []]
    with pytest.raises(MaskwrightError, match="holds no COCO JSON file with outlines"):
        read_dataset(tmp_path / "instances_val.json", ReadOptions(format="coco"))
    (tmp_path / "instances.json").unlink()
    words = r"1 file of COCO, instances_val\.json, lists images, but no annotations: outline the objects"
    with pytest.raises(MaskwrightError, match=words):
        read_dataset(tmp_path)


def test_an_image_without_an_object_counts(tmp_path):
    found = fingerprint(survey(make(tmp_path, {"segmentation": [SQUARE]})))
    assert (found.objects.images, found.objects.per_image.low, found.objects.per_image.high) == (2, 0, 1)


def test_ids_of_annotations_that_repeat(tmp_path):
    far = [20, 2, 26, 2, 26, 8, 20, 8]
    dataset = make(tmp_path, {"id": 5, "segmentation": [SQUARE]}, {"id": 5, "segmentation": [far]})
    (note,) = dataset.faults
    assert (note.kind, note.severity) == ("repeated-id", "note")
    assert note.message == "1 annotation id, 5, stands for several objects, all read"
    assert areas(dataset) == [36, 36]


def test_a_copy_with_its_id_is_reported_once(tmp_path):
    copy = {"id": 5, "segmentation": [SQUARE]}
    (note,) = make(tmp_path, copy, copy).faults
    assert (note.kind, "drawn twice in exactly the same way" in note.message) == ("bad-outline", True)


def test_an_object_that_is_drawn_twice(tmp_path):
    other = {"segmentation": [[5, 5, 11, 5, 11, 11, 5, 11]], "category_id": 90}
    copies = {"segmentation": [SQUARE]}
    dataset = make(tmp_path, copies, other, copies)
    told(dataset, "1 object drawn twice in exactly the same way, counted once", "keep one of each")
    assert areas(dataset) == [36, 36]
    assert (label(dataset) == 1).sum() == 36  # as before, the last copy covers the other object
    assert len(make(tmp_path, copies, copies | {"category_id": 90}).faults) == 0


def test_an_id_of_two_categories(tmp_path):
    entry = {"segmentation": [SQUARE], "category_id": 3}
    with pytest.raises(MaskwrightError, match="gives the category id 3 to 'cat' and 'dog': give each its own id"):
        make(tmp_path, entry, categories=[{"id": 3, "name": "cat"}, {"id": 3, "name": "dog"}])
    twice = [{"id": 3, "name": "cat"}] * 2
    assert make(tmp_path, entry, categories=twice).classes.names == ("background", "cat")


def test_categories_with_gaps_and_from_zero(tmp_path):
    dataset = make(tmp_path, {"segmentation": [SQUARE]}, {"segmentation": [[20, 2, 26, 2, 26, 8]], "category_id": 90})
    assert dataset.classes.names == ("background", "cat", "dog")
    assert [entry.index for entry in read_objects(dataset, dataset.records[0], SIZE)] == [1, 2]


def test_boxes_of_zero_size(tmp_path):
    dataset = make(tmp_path, {"segmentation": [SQUARE], "bbox": [4, 4, 0, 0]})
    assert (dataset.faults, areas(dataset)) == ((), [36])
    for segmentation, box in (([], [4, 4, 0, 0]), (None, [4, 4, 0, 9]), ({"size": [20, 30], "counts": [600]}, [0] * 4)):
        dataset = make(tmp_path, {"segmentation": [SQUARE]}, {"segmentation": segmentation, "bbox": box})
        told(dataset, "1 object without an outline, whose box has no area, not painted, id 2 in instances.json")
        assert areas(dataset) == [36]
        assert IGNORE not in label(dataset)
    for segmentation, box in (([], [4, 4, -1, 9]), ([["x", 1, 2]], [4, 4, 0, 9])):  # a place that nobody knows
        dataset = make(tmp_path, {"segmentation": segmentation, "bbox": box}, {"segmentation": [SQUARE], "image_id": 2})
        (fault,) = dataset.faults
        assert (fault.kind, fault.severity) == ("bad-outline", "error")
        assert "holds an object on a.jpg (id 1) without outline and box, which may be anywhere" in fault.message
        assert [record.image.name for record in dataset.records] == ["b.jpg"]


def test_a_code_that_is_none_leaves_the_box(tmp_path):
    broken = {"segmentation": {"size": [20, 30], "counts": ["a"]}, "bbox": [20, 2, 6, 6]}
    dataset = make(tmp_path, {"segmentation": [SQUARE]}, broken)
    told(dataset, "1 object without an outline that encloses an area, ignored in the box, id 2 in instances.json")
    assert (label(dataset) == IGNORE).sum() == 36


def code(mask: np.ndarray, *, compressed: bool) -> dict[str, Any]:
    found = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    if compressed:
        return {"size": found["size"], "counts": found["counts"].decode()}
    flat = mask.ravel(order="F").astype(int)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat]))).tolist()
    return {"size": list(mask.shape), "counts": np.diff([0, *edges, flat.size]).tolist()}


@pytest.mark.parametrize("compressed", [True, False])
def test_run_lengths(tmp_path, compressed):
    mask = np.zeros(SIZE, bool)
    mask[3:9, 4:20] = True
    mask[5:7, 8:10] = False
    dataset = make(tmp_path, {"segmentation": code(mask, compressed=compressed)})
    (entry,) = read_objects(dataset, dataset.records[0], SIZE)
    assert (entry.top, entry.left, entry.area) == (3, 4, 6 * 16 - 4)
    np.testing.assert_array_equal(entry.mask, mask[3:9, 4:20])
    for wrong, words in (
        (mask[:15], r"of 30x15 pixels in instances\.json, but is 30x20: export the annotations of this image again"),
        (mask.T, r"of 20x30 pixels in instances\.json, but is 30x20: write the size of codes as \[height, width\]"),
    ):
        dataset = make(tmp_path, {"segmentation": code(wrong, compressed=compressed)})
        with pytest.raises(DecodeError, match=words) as caught:
            list(read_objects(dataset, dataset.records[0], SIZE))
        assert caught.value.kind == "size-mismatch"
        assert "size-mismatch" in {fault.kind for fault in survey(dataset).dataset.faults}


def test_three_thousand_objects(tmp_path):
    size = (220, 240)
    ids = np.zeros(size, np.uint16)
    for number in range(3000):
        top, left = divmod(number, 60)
        ids[4 * top : 4 * top + 3, 4 * left : 4 * left + 3] = number + 1
    for name in "abc":
        photo(tmp_path / "images" / f"{name}.jpg", ord(name), size)
        write(tmp_path / "instances" / f"{name}.png", ids)
    dataset = read_dataset(tmp_path)
    found = list(read_objects(dataset, dataset.records[0], size))
    assert (len(found), {entry.area for entry in found}) == (3000, {9})
    assert fingerprint(survey(dataset)).objects.objects == 9000


def test_one_pixel_and_parts(tmp_path):
    ids = np.zeros(SIZE, np.uint16)
    ids[2, 2] = 1
    ids[4:6, 4:6] = ids[10:12, 10:12] = 2
    for name in "abc":
        photo(tmp_path / "images" / f"{name}.jpg", ord(name), SIZE)
        write(tmp_path / "instances" / f"{name}.png", ids)
    dataset = read_dataset(tmp_path)
    assert areas(dataset) == [1, 8]
    notes = {fault.kind: fault for fault in fingerprint(survey(dataset)).faults if fault.severity == "note"}
    assert notes["one-pixel-object"].message == "3 objects are one pixel large, in 3 files such as b.png"
    assert notes["parted-object"].message == "3 of 6 objects have one id in several parts, in 3 files such as b.png"
