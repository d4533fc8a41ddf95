"""Outlines that were drawn on images of another size are refused; those that leave their image a little are cut off."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from tests.data.layouts import photo

from maskwright.core.records import ImageRef, Shape, Shapes
from maskwright.data.formats import read_dataset
from maskwright.data.formats.outlines.bitmaps import filled
from maskwright.data.labels import read_pair
from maskwright.data.painting import paint
from maskwright.ops import rle

if TYPE_CHECKING:
    from maskwright.core.records import Dataset

SIZE = (60, 80)
# Two objects an image, (left, top, right, bottom), all inside.
BOXES = [((4 + 3 * k, 4, 24 + 3 * k, 24), (50, 30, 76, 40 + 3 * k)) for k in range(6)]


def scaled(box: tuple[float, ...], by: float) -> tuple[float, ...]:
    return tuple(value * by for value in box)


def ring(box: tuple[float, ...]) -> list[float]:
    left, top, right, bottom = box
    return [left, top, right, top, right, bottom, left, bottom]


def coco(root: Path, boxes: list[Any], size: tuple[int, int] | None = None) -> Dataset:
    """Write an image for each entry, and a COCO file of its boxes that tells `size`, or none."""
    told = {} if size is None else {"height": size[0], "width": size[1]}
    for number in range(len(boxes)):
        photo(root / f"images/{number}.png", number, SIZE)
    images = [{"id": number, "file_name": f"{number}.png", **told} for number in range(len(boxes))]
    objects = [
        {"id": 10 * number + place, "image_id": number, "category_id": 1, "segmentation": [ring(box)], "iscrowd": 0}
        for number, own in enumerate(boxes)
        for place, box in enumerate(own)
    ]
    document = {"images": images, "annotations": objects, "categories": [{"id": 1, "name": "nut"}]}
    (root / "instances.json").write_text(json.dumps(document))
    return read_dataset(root)


def labelme(root: Path, shapes: list[list[dict[str, Any]]]) -> Dataset:
    for number, own in enumerate(shapes):
        photo(root / f"{number}.png", number, SIZE)
        document = {"shapes": own, "imagePath": f"{number}.png", "imageData": None}
        (root / f"{number}.json").write_text(json.dumps(document))
    return read_dataset(root)


def polygon(box: tuple[float, ...]) -> dict[str, Any]:
    points = np.array(ring(box)).reshape(-1, 2).tolist()
    return {"label": "nut", "points": points, "shape_type": "polygon"}


def painted(boxes: Any) -> np.ndarray:
    expected = np.zeros(SIZE, np.uint8)
    for left, top, right, bottom in boxes:
        expected[max(0, top) : bottom, max(0, left) : right] = 1
    return expected


def label_of(dataset: Dataset, place: int) -> np.ndarray:
    return read_pair(dataset, dataset.records[place])[1]


@pytest.mark.parametrize("size", [None, SIZE])
def test_outlines_of_images_twice_the_size(tmp_path, size):
    dataset = coco(tmp_path, [[scaled(box, 2) for box in own] for own in BOXES], size)
    assert dataset.records == ()
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity, fault.path.name) == ("size-mismatch", "error", "instances.json")
    assert "the outlines of 6 of 6 images lie far outside, such as those of" in fault.message
    assert "(80x60; x from " in fault.message


def test_outlines_of_images_a_fifth_larger(tmp_path):
    dataset = labelme(tmp_path, [[polygon(scaled(box, 1.2)) for box in own] for own in BOXES])
    assert dataset.records == ()
    assert [fault.kind for fault in dataset.faults] == ["size-mismatch"]


def test_a_single_image_of_another_size(tmp_path):
    boxes = [*BOXES[:3], [scaled(box, 2) for box in BOXES[3]], *BOXES[4:]]
    dataset = coco(tmp_path, boxes)
    assert [record.id for record in dataset.records] == [f"images/{k}.png" for k in (0, 1, 2, 4, 5)]
    assert "the outlines of 1 of 6 images lie far outside, such as those of 3.png" in dataset.faults[0].message
    np.testing.assert_array_equal(label_of(dataset, 3), painted(BOXES[4]))


@pytest.mark.parametrize("size", [None, SIZE])
def test_a_few_pixels_over_the_edge_are_normal(tmp_path, size):
    boxes = [[(-2, 10, 20, 30), (60, 40, 82, 61)] for _ in range(4)]
    dataset = coco(tmp_path, boxes, size)
    assert dataset.faults == ()
    np.testing.assert_array_equal(label_of(dataset, 0), painted(boxes[0]))


def test_an_object_half_outside_is_cut_off_and_told(tmp_path):
    boxes = [*BOXES[:5], [BOXES[5][0], (70, 40, 90, 50)]]
    dataset = coco(tmp_path, boxes, SIZE)
    np.testing.assert_array_equal(label_of(dataset, 5), painted(boxes[5]))
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity) == ("bad-outline", "warning")
    assert "1 object reaching far beyond the image, cut off at its edge, id 51" in fault.message


def test_circles_may_cross_the_edge(tmp_path):
    circle = {"label": "nut", "points": [[78, 30], [58, 30]], "shape_type": "circle"}
    dataset = labelme(tmp_path, [[circle] for _ in range(4)])
    assert (len(dataset.records), dataset.faults) == (4, ())
    rows, columns = np.mgrid[:60, :80] + 0.5
    agree = (np.hypot(columns - 78, rows - 30) < 20) == (label_of(dataset, 0) == 1)
    assert agree.mean() > 0.99


def test_circles_on_larger_images_are_told_by_their_centres(tmp_path):
    shapes = [[{"label": "nut", "points": [[90 + k, 70], [100, 70]], "shape_type": "circle"}] for k in range(4)]
    assert labelme(tmp_path, shapes).records == ()


def test_outlines_of_smaller_images_are_doubted(tmp_path):
    boxes = [[scaled(box, 0.5) for box in own] for own in BOXES]
    (fault,) = coco(tmp_path, boxes).faults
    assert (fault.kind, fault.severity) == ("size-mismatch", "warning")
    assert "all outlines of 6 images lie within the left 48% and the upper 46%" in fault.message


def test_objects_in_the_middle_are_not_doubted(tmp_path):
    assert coco(tmp_path, [[(30, 20, 50, 40), (32, 22, 40, 30)] for _ in range(6)]).faults == ()


@pytest.mark.parametrize("upright", [True, False])
def test_outlines_tell_whether_a_photograph_was_turned(tmp_path, upright):
    """The photograph is 80x60 as stored and 60x80 upright; only one of the two holds the outline."""
    box = (10, 50, 30, 76) if upright else (50, 10, 76, 30)
    coco(tmp_path, [[box]])
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", SIZE[::-1]).save(tmp_path / "images/0.png", exif=exif)
    dataset = read_dataset(tmp_path)
    assert dataset.reading.upright is upright
    assert [fault.kind for fault in dataset.faults] == ([] if upright else ["read-as-stored"])
    expected = np.zeros(SIZE[::-1] if upright else SIZE, np.uint8)
    expected[box[1] : box[3], box[0] : box[2]] = 1
    np.testing.assert_array_equal(label_of(dataset, 0), expected)


def test_fractions_beyond_one_are_told(tmp_path):
    photo(tmp_path / "images/a.png", size=SIZE)
    lines = ["0 0.1 0.1 0.3 0.1 0.3 0.4 0.1 0.4", "1 0.5 0.5 1.1 0.5 1.1 0.75 0.5 0.75"]
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("\n".join(lines))
    (tmp_path / "data.yaml").write_text("train: images\nval: images\nnames: [nut, bolt]\n")
    (fault,) = read_dataset(tmp_path).faults
    assert "1 object reaching far beyond the image, cut off at its edge, one of class 'bolt'" in fault.message


def test_areas_of_a_map_may_cross_the_edge(tmp_path):
    """The upper left corner of the image lies at 1000, 2000 of the map; a pixel is 10 wide."""
    for number in range(4):
        photo(tmp_path / f"{number}.png", number, SIZE)
        (tmp_path / f"{number}.pgw").write_text("10\n0\n0\n-10\n1005\n1995\n")
        corners = np.array(ring((60, 20, 110, 50))).reshape(-1, 2).tolist()
        place = [[1000 + 10 * x, 2000 - 10 * y] for x, y in [*corners, corners[0]]]
        area = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [place]}, "properties": {}}
        document = {"type": "FeatureCollection", "features": [area]}
        (tmp_path / f"{number}.geojson").write_text(json.dumps(document))
    dataset = read_dataset(tmp_path)
    assert (len(dataset.records), dataset.faults) == (4, ())
    np.testing.assert_array_equal(label_of(dataset, 0), painted([(60, 20, 80, 50)]))


def test_cvat_without_sizes(tmp_path):
    photo(tmp_path / "images/a.png", size=SIZE)
    shape = '<polygon label="nut" points="10,5;20,5;20,15;10,15"/>'
    shape += '<mask label="nut" rle="0,4" left="2" top="3" width="2" height="2"/>'
    (tmp_path / "annotations.xml").write_text(
        f'<annotations><meta/><image id="0" name="a.png">{shape}</image></annotations>'
    )
    dataset = read_dataset(tmp_path)
    assert dataset.faults == ()
    np.testing.assert_array_equal(label_of(dataset, 0), painted([(10, 5, 20, 15), (2, 3, 4, 5)]))


def test_outlines_that_fit_both_ways_of_a_turned_photograph_are_doubted(tmp_path):
    coco(tmp_path, [[(10, 20, 30, 40)]])
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", SIZE[::-1]).save(tmp_path / "images/0.png", exif=exif)
    dataset = read_dataset(tmp_path)
    assert dataset.reading.upright
    assert [(fault.kind, fault.severity) for fault in dataset.faults] == [("unclear-orientation", "warning")]


@pytest.mark.parametrize("size", [None, SIZE])
def test_outlines_of_images_half_the_size_are_doubted(tmp_path, size):
    dataset = coco(tmp_path, [[scaled(box, 0.5) for box in own] for own in BOXES], size)
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity, len(dataset.records)) == ("size-mismatch", "warning", 6)
    assert "all outlines of 6 images lie within the left 48% and the upper 46%" in fault.message
    given = "although the annotations give the sizes of these" if size else "and the annotations do not give sizes"
    assert fault.message.endswith(given)


# Objects that the edge cuts on all four sides, by up to 14 of 80 and 12 of 60 pixels.
CUT = [
    ((-14 + k, 5, 26, 25), (54, 30, 94 - k, 50), (30, -11 + k, 50, 22), (40, 38, 60, 72 - k), *BOXES[k])
    for k in range(6)
]


def test_objects_that_all_edges_cut_are_cut_off_there(tmp_path):
    dataset = labelme(tmp_path, [[polygon(box) for box in own] for own in CUT])
    assert [(fault.kind, fault.severity) for fault in dataset.faults] == [("bad-outline", "warning")]
    assert "24 objects reaching far beyond the image, cut off at its edge" in dataset.faults[0].message
    for place, own in enumerate(CUT):
        np.testing.assert_array_equal(label_of(dataset, place), painted(own))


def test_such_objects_on_larger_images_are_refused(tmp_path):
    dataset = labelme(tmp_path, [[polygon(scaled(box, 1.2)) for box in own] for own in CUT])
    assert dataset.records == ()
    assert [fault.kind for fault in dataset.faults] == ["size-mismatch"]


def test_where_some_outlines_lie_outside_the_others_deserve_a_look(tmp_path):
    dataset = coco(tmp_path, [*BOXES[:4], [scaled(box, 2) for box in BOXES[4]]])
    assert len(dataset.records) == 4
    assert dataset.faults[0].cure.endswith("; also compare the other images with their outlines")


def test_an_image_of_the_wrong_size_is_reported_once(tmp_path):
    dataset = coco(tmp_path, BOXES, (120, 160))
    assert dataset.records == ()
    assert {fault.kind for fault in dataset.faults} == {"size-mismatch"}
    boxes = [[scaled(box, 2) for box in own] for own in BOXES]
    assert {fault.kind for fault in coco(tmp_path, boxes, (120, 160)).faults} == {"size-mismatch"}


@pytest.mark.parametrize(
    ("size", "outside"),
    [((30, 40), False), ((30, 40), True), ((120, 160), False), ((45, 60), False), ((46, 61), False)],
)
@pytest.mark.parametrize("write", [coco, lambda root, boxes: labelme(root, [list(map(polygon, own)) for own in boxes])])
def test_an_image_that_was_resized_is_named_where_no_file_tells_sizes(tmp_path, write, size, outside):
    boxes = [[(4, 4, 20 + number, 24), (60, 40, 76, 58)] for number in range(6)]
    boxes[2] = [(4, 4, 20, 24), (22, 2, 44 if outside else 30, 9)]
    assert write(tmp_path, boxes).faults == ()
    image = next(tmp_path.rglob("2.png"))
    photo(image, 2, size)
    dataset = read_dataset(tmp_path)
    (fault,) = dataset.faults
    assert fault.kind == "size-mismatch"
    assert "2.png" in fault.message
    assert f"{size[1]}x{size[0]}" in fault.message
    assert fault.severity == ("error" if outside else "warning")
    assert len(dataset.records) == 6 - outside
    photo(image, 2, SIZE)  # the cure
    assert read_dataset(tmp_path).faults == ()


def test_images_of_another_shape_were_not_resized(tmp_path):
    coco(tmp_path, [[(4, 4, 50, 56)]] * 6)
    for number, size in ((1, (60, 60)), (2, (80, 60))):
        photo(tmp_path / f"images/{number}.png", number, size)
    assert read_dataset(tmp_path).faults == ()


INSIDE = [(4, 4, 14, 14), (20, 4, 30, 14), (4, 40, 14, 50), (20, 40, 30, 50)]


@pytest.mark.parametrize("far", [1e7, 1e12])
def test_a_corner_far_away_is_cut_off_and_told(tmp_path, far):
    """A wedge from the left edge of the image to a corner far away: it fills rows 20 to 29."""
    wedge = {"label": "nut", "points": [[0, 20], [far, 20], [far, 30], [0, 30]], "shape_type": "polygon"}
    dataset = labelme(tmp_path, [[*map(polygon, INSIDE), wedge]])
    np.testing.assert_array_equal(label_of(dataset, 0), painted([*INSIDE, (0, 20, 80, 30)]))
    (fault,) = dataset.faults
    assert "1 object reaching far beyond the image, cut off at its edge, one of class 'nut' in 0.json" in fault.message


@pytest.mark.parametrize("far", [1e13, 1e300, float("inf"), float("nan")])
def test_a_corner_that_is_no_place_is_refused(tmp_path, far):
    wedge = {"label": "nut", "points": [[far, 3], [4, 5], [6, 30]], "shape_type": "polygon"}
    dataset = labelme(tmp_path, [[*map(polygon, INSIDE), wedge], [*map(polygon, INSIDE)]])
    assert [record.id for record in dataset.records] == ["1.png"]
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity, fault.path.name) == ("bad-outline", "error", "0.json")


def test_a_circle_larger_than_any_picture_is_refused(tmp_path):
    circle = {"label": "nut", "points": [[40, 30], [1e12, 30]], "shape_type": "circle"}
    dataset = labelme(tmp_path, [[*map(polygon, INSIDE), circle], [*map(polygon, INSIDE)]])
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity, fault.path.name) == ("unreadable", "error", "0.json")
    assert "a radius of 1e+12 pixels, but no picture is so large" in fault.message


def test_slopes_are_kept_where_a_corner_is_far_away():
    """The hypotenuse falls by 1 in 2, so each row of the image starts two pixels farther right."""
    shape = Shape(1, ((0, 0, 2e9, 0, 2e9, 1e9),), holes=())
    label = paint(Shapes(Path("a.json"), (shape,)), (8, 20), ImageRef(Path("a.png")))
    assert label.sum(axis=1).tolist() == [19, 17, 15, 13, 11, 9, 7, 5]
    filled_up = filled("nut", [(0, 0, 2e9, 0, 2e9, 1e9)], (8, 20))
    assert rle.decode(filled_up.rle).sum(axis=1).tolist() == [20, 18, 16, 14, 12, 10, 8, 6]  # with the edge itself
