"""Label Studio: shapes in percent, packed brush masks, names of uploads, and masks that name no image."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.layouts import labels, photo, write

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import read_dataset
from maskwright.data.formats.labelstudio import _brush
from maskwright.data.labels import read_pair

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (40, 50)  # a percent is 0.4 pixels down and 0.5 across


def result(kind: str, value: dict[str, Any], label: str | None = "car", number: str | None = None) -> dict[str, Any]:
    named = {} if label is None else {f"{kind}labels": [label]}
    own = {"type": f"{kind}labels", "original_width": SIZE[1], "original_height": SIZE[0], "image_rotation": 0}
    return own | {"id": number or f"{kind}{value}", "value": value | named}


def task(*results: Any, image: str = "/data/upload/1/0a1b2c3d-a.jpg", **more: Any) -> dict[str, Any]:
    return {"id": 7, "data": {"image": image}, "annotations": [{"id": 1, "result": list(results)} | more]}


def make(root: Path, *tasks: dict[str, Any]) -> Path:
    photo(root / "images" / "a.jpg", size=SIZE)
    (root / "project-1.json").write_text(json.dumps(tasks))
    return root


def painted(root: Path) -> np.ndarray:
    dataset = read_dataset(root)
    return read_pair(dataset, dataset.records[0])[1]


def packed(values: list[int], counts: tuple[int, ...] = (3, 4, 8, 16)) -> list[int]:
    """Pack bytes as the brush does: a repeated value as one block, single ones as another."""
    bits = f"{len(values):032b}{7:05b}" + "".join(f"{count - 1:04b}" for count in counts)
    place = 0
    while place < len(values):
        end = place + 1
        while end < len(values) and values[end] == values[place] and end - place < 60000:
            end += 1
        kind = next(k for k, count in enumerate(counts) if end - place <= 2**count)
        bits += f"{int(end - place > 1)}{kind:02b}{end - place - 1:0{counts[kind]}b}{values[place]:08b}"
        place = end
    bits += "0" * (-len(bits) % 8)
    return [int(bits[k : k + 8], 2) for k in range(0, len(bits), 8)]


def test_each_kind_of_shape(tmp_path):
    mask = np.zeros(SIZE, np.uint8)
    mask[30:35, 4:9] = 255
    shapes = [
        result("rectangle", {"x": 20, "y": 10, "width": 20, "height": 50, "rotation": 0}),
        result("polygon", {"points": [[60, 10], [80, 10], [80, 35], [60, 35]], "closed": True}, "tree"),
        result("brush", {"format": "rle", "rle": packed(np.repeat(mask.ravel(), 4).tolist())}, "tree"),
        {"id": "x", "type": "choices", "value": {"choices": ["sunny"]}},
    ]
    dataset = read_dataset(make(tmp_path, task(*shapes)))
    assert (dataset.format, dataset.faults) == ("labelstudio", ())
    assert dataset.classes.names == ("background", "car", "tree")
    expected = np.zeros(SIZE, np.uint8)
    expected[4:24, 10:20] = 1
    expected[4:14, 30:40] = 2
    expected[mask > 0] = 2
    np.testing.assert_array_equal(read_pair(dataset, dataset.records[0])[1], expected)


def test_rectangles_turn_about_their_corner(tmp_path):
    turned = result("rectangle", {"x": 50, "y": 25, "width": 20, "height": 10, "rotation": 90})
    expected = np.zeros(SIZE, np.uint8)
    expected[10:20, 21:25] = 1  # 10 across and 4 down from (25, 10) become 10 down and 4 to the left
    np.testing.assert_array_equal(painted(make(tmp_path, task(turned))), expected)


def test_an_ellipse(tmp_path):
    label = painted(make(tmp_path, task(result("ellipse", {"x": 50, "y": 50, "radiusX": 30, "radiusY": 25}))))
    rows, columns = np.mgrid[:40, :50] + 0.5
    exact = ((columns - 25) / 15) ** 2 + ((rows - 20) / 10) ** 2 < 1
    assert np.count_nonzero(label != exact) <= 8


def test_labels_beside_their_outlines(tmp_path):
    outline = result("polygon", {"points": [[20, 10], [40, 10], [40, 60], [20, 60]]}, None, "one")
    named = result("", {"labels": ["car"]}, None, "one")
    assert painted(make(tmp_path, task(outline, named))).sum() == 200


def test_what_has_no_class_or_no_area(tmp_path):
    outline = result("polygon", {"points": [[20, 10], [40, 10], [40, 60], [20, 60]]}, None)
    flat = result("polygon", {"points": [[60, 10], [80, 10]]})
    dataset = read_dataset(make(tmp_path, task(outline, flat)))
    expected = np.zeros(SIZE, np.uint8)
    expected[4:24, 10:20] = expected[4, 30:40] = IGNORE
    np.testing.assert_array_equal(read_pair(dataset, dataset.records[0])[1], expected)
    assert [fault.kind for fault in dataset.faults] == ["bad-outline", "bad-outline"]


@given(st.lists(st.sampled_from([0, 0, 0, 255, 7]), min_size=6, max_size=6), st.integers(1, 40))
def test_brush_masks_round_trip(pattern, times):
    alpha = np.repeat(pattern, times)
    picture = np.dstack([np.full_like(alpha, 9), alpha * 0, alpha * 0 + 1, alpha]).ravel()
    np.testing.assert_array_equal(_brush(packed(picture.tolist()), (2, 3 * times)).ravel(), alpha > 0)


@pytest.mark.parametrize(
    "image",
    [
        *("/data/upload/1/a.jpg", "/data/upload/1/ab-a.jpg", "/data/upload/0a1b2c-a.jpg"),
        *("/data/local-files/?d=set/images/a.jpg", "s3://bucket/set/a.jpg", "C:\\set\\a.jpg"),
    ],
)
def test_names_of_images(tmp_path, image):
    assert [record.id for record in read_dataset(make(tmp_path, task(image=image))).records] == ["images/a.jpg"]


@pytest.mark.parametrize(
    ("data", "used"),
    [
        ({"title": "b.jpg", "image": "/data/upload/1/a.jpg"}, ["images/a.jpg"]),
        ({"title": "of a street", "photo": "/data/upload/1/a.jpg"}, ["images/a.jpg"]),
        ({"title": "b.jpg", "photo": "/data/upload/1/a.jpg"}, []),
    ],
)
def test_texts_beside_the_image(tmp_path, data, used):
    for name in "bc":
        photo(tmp_path / "images" / f"{name}.jpg", size=SIZE)
    dataset = read_dataset(make(tmp_path, task() | {"data": data}, task(image="c.jpg")))
    assert [record.id for record in dataset.records] == [*used, "images/c.jpg"]
    assert ("ambiguous-name" in {fault.kind for fault in dataset.faults}) == (not used)


def test_several_annotations_and_none(tmp_path):
    photo(tmp_path / "images" / "b.jpg", size=SIZE)
    own = task(result("rectangle", {"x": 20, "y": 10, "width": 20, "height": 50}), updated_at="2026-01-01")
    box = result("rectangle", {"x": 20, "y": 10, "width": 20, "height": 25})
    own["annotations"].append({"id": 2, "result": [box], "updated_at": "2026-02-01"})
    own["annotations"].append({"id": 3, "result": [], "updated_at": "2026-03-01", "was_cancelled": True})
    skipped = task(image="/data/upload/1/b.jpg", was_cancelled=True)
    dataset = read_dataset(make(tmp_path, own, skipped))
    assert [record.id for record in dataset.records] == ["images/a.jpg"]
    assert read_pair(dataset, dataset.records[0])[1].sum() == 100
    assert {fault.kind for fault in dataset.faults} == {"annotated-twice", "unpaired"}
    own["annotations"][0]["ground_truth"] = True
    assert painted(make(tmp_path, own)).sum() == 200


def test_skipped_tasks_and_predictions(tmp_path):
    for name in "bcd":
        photo(tmp_path / "images" / f"{name}.jpg", size=SIZE)
    box = result("rectangle", {"x": 20, "y": 10, "width": 20, "height": 50})
    skipped = task(image="b.jpg", was_cancelled=True)
    guessed = task(image="c.jpg") | {"annotations": [], "predictions": [{"result": [box]}]}
    untouched = task(image="d.jpg") | {"annotations": []}
    dataset = read_dataset(make(tmp_path, task(box), skipped, guessed, untouched))
    assert [record.id for record in dataset.records] == ["images/a.jpg"]
    assert [(fault.kind, fault.message) for fault in dataset.faults] == [
        ("unpaired", "1 task, 7, has no annotation and is not used"),
        ("unpaired", "1 task, 7, was skipped and is not used"),
        ("unpaired", "1 task, 7, has only predictions and is not used"),
    ]


def test_sizes_that_differ_by_rounding(tmp_path):
    """Percent count of the image's own width, 50; a width of 57 is another image."""
    box = result("rectangle", {"x": 20, "y": 10, "width": 20, "height": 50}, number="one")
    off = result("rectangle", {"x": 60, "y": 10, "width": 20, "height": 25}, number="two") | {"original_width": 51}
    expected = np.zeros(SIZE, np.uint8)
    expected[4:24, 10:20] = expected[4:14, 30:40] = 1
    for order in ((box, off), (off, box)):
        np.testing.assert_array_equal(painted(make(tmp_path, task(*order))), expected)
    with pytest.raises(MaskwrightError, match=r"task 7 was annotated on images of several sizes \(50x40 and 57x40\)"):
        read_dataset(make(tmp_path, task(box, off | {"original_width": 57})))


def test_json_min(tmp_path):
    """An entry an annotation: two of task 1, of which the later counts; b has none, and nothing is to be seen in c."""
    for name in "bc":
        photo(tmp_path / "images" / f"{name}.jpg", size=SIZE)
    mask = np.zeros(SIZE, np.uint8)
    mask[30:35, 4:9] = 255
    own = {"original_width": SIZE[1], "original_height": SIZE[0]}
    box = {"x": 20, "y": 10, "width": 20, "height": 50, "rotation": 0, "rectanglelabels": ["car"]} | own
    brush = {"format": "rle", "rle": packed(np.repeat(mask.ravel(), 4).tolist()), "brushlabels": ["tree"]} | own
    entries = [
        {"id": 1, "image": "/data/upload/1/0a1b2c3d-a.jpg", "label": [box], "brush": [brush], "updated_at": "2026-02"},
        {"id": 1, "image": "/data/upload/1/0a1b2c3d-a.jpg", "label": [box], "updated_at": "2026-01"},
        {"id": 2, "image": "b.jpg"},
        {"id": 3, "image": "c.jpg", "annotation_id": 9, "created_at": "2026-01"},
    ]
    dataset = read_dataset(make(tmp_path, *entries))
    assert [record.id for record in dataset.records] == ["images/a.jpg", "images/c.jpg"]
    expected = np.zeros(SIZE, np.uint8)
    expected[4:24, 10:20] = 1
    expected[mask > 0] = 2
    np.testing.assert_array_equal(read_pair(dataset, dataset.records[0])[1], expected)
    assert [fault.kind for fault in dataset.faults] == ["unpaired", "annotated-twice"]


def test_damaged_tasks(tmp_path):
    turned = result("rectangle", {"x": 20, "y": 10, "width": 20, "height": 50}) | {"image_rotation": 90}
    with pytest.raises(MaskwrightError, match="task 7 was turned while it was annotated"):
        read_dataset(make(tmp_path, task(turned)))
    with pytest.raises(MaskwrightError, match="task 7 is damaged"):
        read_dataset(make(tmp_path, task(result("brush", {"rle": [1, 2, 3]}))))
    photo(tmp_path / "images" / "b.jpg", size=SIZE)
    sound = task(result("rectangle", {"x": 0, "y": 0, "width": 9, "height": 9}), image="b.jpg")
    dataset = read_dataset(make(tmp_path, task(turned), sound))
    assert [record.id for record in dataset.records] == ["images/b.jpg"]
    assert [(fault.kind, fault.severity) for fault in dataset.faults] == [("unreadable", "error")]


def test_brush_masks_without_names(tmp_path):
    photo(tmp_path / "a.jpg", size=SIZE)
    write(tmp_path / "masks" / "task-1-annotation-2-by-1-tag-car-0.png", labels([0, 1], SIZE))
    with pytest.raises(
        MaskwrightError, match=r"such as task-1-.*-car-0\.png, whose names do not identify their images"
    ):
        read_dataset(tmp_path)
    (tmp_path / "project.json").write_text(
        json.dumps([task(result("rectangle", {"x": 0, "y": 0, "width": 9, "height": 9}))])
    )
    assert read_dataset(tmp_path).format == "labelstudio"  # the cure in the message


def test_a_damaged_file_does_not_spoil_the_others(tmp_path):
    make(tmp_path, task(result("rectangle", {"x": 20, "y": 10, "width": 20, "height": 50})))
    (tmp_path / "more.json").write_text((tmp_path / "project-1.json").read_text()[:-9])
    assert painted(tmp_path).sum() == 200
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.severity, fault.message) == ("error", "more.json is cut off (its JSON does not end)")


def test_names_that_the_server_changed(tmp_path):
    """It writes a blank as `_`, and drops what is neither a letter, a digit nor one of -._ ."""
    photo(tmp_path / "images/Photo 1 (copy).jpg", 1, SIZE)
    photo(tmp_path / "images/photo_2.jpg", 2, SIZE)
    box = result("rectangle", {"x": 10, "y": 20, "width": 40, "height": 50})
    uploads = ("Photo_1_copy.jpg", "photo_2.jpg")
    tasks = [task(box, image=f"/data/upload/3/0a1b2c3d-{name}") for name in uploads]
    (tmp_path / "project.json").write_text(json.dumps(tasks))
    dataset = read_dataset(tmp_path)
    assert [record.id for record in dataset.records] == ["images/Photo 1 (copy).jpg", "images/photo_2.jpg"]
    assert [int((read_pair(dataset, record)[1] == 1).sum()) for record in dataset.records] == [20 * 20] * 2
    assert dataset.faults == ()

    photo(tmp_path / "images/Photo 1 copy.jpg", 3, SIZE)  # both would be uploaded under one name
    kinds = {fault.kind for fault in read_dataset(tmp_path).faults}
    assert "ambiguous-name" in kinds
