"""Statistics of annotated objects: by hand, and against a plain count of all pairs of pixels."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from rich.console import Console
from scipy import ndimage
from tests.data.survey_data import measure, picture, write_dataset

from maskwright.cli.inspect import fingerprint_tables
from maskwright.core.fingerprint import Fingerprint, Spread
from maskwright.core.instances import Instance
from maskwright.core.records import ImageRef, MaskFile, Shape, Shapes
from maskwright.data.instance_statistics import InstanceMeter, measured
from maskwright.ops.instance_maps import cropped

MAP = MaskFile(ImageRef(Path("ids.png")), "instance")
OUTLINES = Shapes(Path("a.json"), ())


def instance(mask, *, crowd=False):
    top, left, pixels = cropped(np.asarray(mask, bool))
    return Instance(1, top, left, pixels, crowd=crowd)


def boxes(*places, size=(20, 30), crowds=()):
    found = []
    for number, (top, left, height, width) in enumerate(places):
        mask = np.zeros(size, bool)
        mask[top : top + height, left : left + width] = True
        found.append(instance(mask, crowd=number in crowds))
    return found


def test_contact_by_hand():
    found = boxes(
        (2, 2, 4, 4),  # alone
        (8, 2, 3, 3),  # touches the next at a corner
        (11, 5, 3, 3),
        (0, 20, 4, 4),  # at the upper border, and two pixels from the next
        (6, 20, 4, 4),  # shares six pixels with the next
        (8, 21, 4, 3),
        (2, 3, 2, 2),  # a crowd, which does not count
        crowds={6},
    )
    part = measured(found, (20, 30), OUTLINES)
    assert part.areas.tolist() == [16, 9, 9, 16, 16, 12]
    assert part.touching.tolist() == [False, True, True, False, True, True]
    assert part.overlapping.tolist() == [False, False, False, False, True, True]
    assert part.cut.tolist() == [False, False, False, True, False, False]
    assert (part.lost, part.crowds, part.parted.any()) == (6, 1, False)


@pytest.mark.parametrize(("top", "left"), [(0, 5), (5, 0), (16, 5), (5, 26)])
def test_each_border_cuts(top, left):
    assert measured(boxes((top, left, 4, 4)), (20, 30), MAP).cut.tolist() == [True]
    assert measured(boxes((1, 1, 18, 28)), (20, 30), MAP).cut.tolist() == [False]


def test_parts_do_not_touch_at_corners():
    mask = np.zeros((6, 6), bool)
    mask[1, 1] = mask[2, 2] = True
    assert not measured([instance(mask)], (6, 6), MAP).parted[0]
    mask[4, 4] = True
    assert measured([instance(mask)], (6, 6), MAP).parted[0]


def test_an_object_that_others_cover_loses_all_its_pixels():
    part = measured(boxes((2, 2, 6, 6), (3, 3, 2, 2), (3, 3, 2, 2)), (20, 30), OUTLINES)
    assert part.lost == 8  # each pixel of the small ones is claimed three times
    assert part.overlapping.all()
    assert part.touching.all()


@settings(deadline=None)
@given(st.lists(arrays.arrays(np.bool_, (5, 6)), max_size=5))
def test_against_all_pairs(masks):
    masks = [mask for mask in masks if mask.any()]
    part = measured([instance(mask) for mask in masks], (5, 6), OUTLINES)
    grown = [ndimage.binary_dilation(mask, np.ones((3, 3))) for mask in masks]
    others = [[other for other in range(len(masks)) if other != own] for own in range(len(masks))]
    assert part.lost == sum(mask.sum() for mask in masks) - (np.any(masks, axis=0).sum() if masks else 0)
    for own, mask in enumerate(masks):
        assert part.overlapping[own] == any((mask & masks[other]).any() for other in others[own])
        assert part.touching[own] == any((grown[own] & masks[other]).any() for other in others[own])
        assert part.parted[own] == (ndimage.label(mask, np.ones((3, 3)))[1] > 1)
        assert part.areas[own] == mask.sum()


def test_sums_over_images():
    meter = InstanceMeter()
    assert meter.stats() is None
    meter.add(measured([], (20, 30), MAP))
    empty = meter.stats()
    assert (empty.objects, empty.diameter, empty.touching, empty.per_image.median) == (0, None, 0, 0)
    meter.add(measured(boxes((2, 2, 4, 4), (2, 6, 4, 4), (0, 20, 1, 1)), (20, 30), MAP))
    stats = meter.stats()
    assert (stats.images, stats.objects, stats.lost, stats.crowds) == (2, 3, 0, 0)
    assert stats.per_image == Spread(0, pytest.approx(0.3), 1.5, pytest.approx(2.7), 3)
    assert (stats.diameter.low, stats.diameter.median) == pytest.approx(
        (2 / math.sqrt(math.pi), 8 / math.sqrt(math.pi))
    )
    assert (stats.touching, stats.overlapping, stats.cut) == pytest.approx((2 / 3, 0, 1 / 3))
    (note,) = meter.faults()
    assert (note.kind, note.severity, note.path.name) == ("one-pixel-object", "note", "ids.png")
    assert note.message == "1 object is one pixel large"


def test_parts_are_noted_of_ids_and_not_of_outlines():
    mask = np.zeros((6, 6), bool)
    mask[1:3, 1:3] = mask[4:6, 4:6] = True
    for annotation, kinds in ((MAP, ["parted-object"]), (OUTLINES, [])):
        meter = InstanceMeter()
        meter.add(measured([instance(mask)], (6, 6), annotation))
        assert meter.stats().parted == 1
        assert [fault.kind for fault in meter.faults()] == kinds


def test_three_thousand_objects():
    places = [(row, column, 3, 3) for row in range(1, 200, 4) for column in range(1, 240, 4)]
    assert len(places) == 3000
    found = [Instance(1, top, left, np.ones((3, 3), bool)) for top, left, _, _ in places]
    part = measured(found, (202, 242), MAP)
    assert (len(part.areas), part.touching.sum(), part.cut.sum(), part.lost) == (3000, 0, 0, 0)


def ids_of(*places, size=(64, 80)):
    ids = np.zeros(size, np.uint16)
    for number, (top, left, height, width) in enumerate(places, 1):
        ids[top : top + height, left : left + width] = number
    return ids


def test_the_fingerprint_tells_objects(tmp_path):
    masks = [ids_of((5, 5, 10, 10), (5, 15, 10, 10)), ids_of(), ids_of((0, 40, 10, 10))]
    pairs = [(picture(seed), mask) for seed, mask in enumerate(masks)]
    found = measure(write_dataset(tmp_path, pairs, kind="instance", table={}))
    stats = found.objects
    assert (stats.images, stats.objects, stats.per_image.median, stats.per_image.high) == (3, 3, 1, 2)
    assert stats.diameter.median == pytest.approx(20 / math.sqrt(math.pi))
    assert (stats.touching, stats.cut) == pytest.approx((2 / 3, 1 / 3))
    assert found.class_stats[1].objects == 3
    plain = json.loads(json.dumps(found.to_json()))
    assert Fingerprint.from_json(plain) == found
    del plain["objects"]  # a fingerprint of an earlier version
    assert Fingerprint.from_json(plain).objects is None


def shown(found):
    console = Console(width=300, file=io.StringIO())
    console.print(*fingerprint_tables(found, 300))
    return " ".join(console.file.getvalue().split())


def test_inspect_prints_objects(tmp_path):
    masks = [ids_of((5, 5, 10, 10), (5, 15, 10, 10)), ids_of((0, 40, 10, 10))]
    pairs = [(picture(seed), mask) for seed, mask in enumerate(masks)]
    text = shown(measure(write_dataset(tmp_path / "ids", pairs, kind="instance", table={})))
    assert "3 objects in 2 images: 1.5 per image (1 to 2)" in text
    assert "66.7 % of the objects touch another, 0 % overlap; the image border cuts 33.3 %" in text
    pairs = [(image, (mask > 0).astype(np.uint8)) for image, mask in pairs]
    found = measure(write_dataset(tmp_path / "classes", pairs))
    assert found.objects is None
    assert "an image (" not in shown(found)


def test_overlaps_and_crowds_of_outlines(tmp_path):
    from dataclasses import replace

    data = write_dataset(tmp_path, [(picture(0), ids_of()), (picture(1), ids_of())])
    square = (10.0, 10.0, 20.0, 10.0, 20.0, 20.0, 10.0, 20.0)
    shifted = tuple(value + 5 for value in square)
    shapes = (Shape(255, (square,), crowd=1), Shape(1, (square,)), Shape(1, (shifted,)))
    records = tuple(replace(record, annotation=Shapes(tmp_path / "a.json", shapes)) for record in data.records)
    found = measure(replace(data, records=records))
    assert (found.objects.objects, found.objects.crowds, found.objects.lost) == (4, 2, 50)
    assert found.class_stats[1].objects == 4
    assert "100 % overlap, so a map of ids loses 50 pixels" in shown(found)
    assert "4 objects in 2 images: 2 per image (2 to 2), 2 crowds" in shown(found)
