"""The fingerprint: golden numbers on tiny made data, every fault planted and found, memory that stays flat."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy import ndimage
from tests.data.survey_data import measure, picture, write_dataset

from maskwright.core.classes import Classes
from maskwright.core.fingerprint import Fingerprint, Spread
from maskwright.core.instances import Instance
from maskwright.core.plan import SplitPlan
from maskwright.core.records import Fault, ImageRef, MaskFile, Shape, Shapes
from maskwright.core.text import such_as
from maskwright.data import faults
from maskwright.data import objects as objects_module
from maskwright.data import survey as survey_module
from maskwright.data.fingerprint import fingerprint
from maskwright.data.flip_symmetry import FlipMeter, flip_difference, occupancy, symmetry
from maskwright.data.objects import annotated, regions
from maskwright.data.split import with_splits
from maskwright.data.statistics import IntensityMeter, ValueSample, intensities, spread
from maskwright.data.survey import survey


def mask_with(*boxes, height=64, width=80):
    """Return a mask of 0 with boxes (top, left, height, width, class)."""
    mask = np.zeros((height, width), np.uint8)
    for top, left, tall, wide, index in boxes:
        mask[top : top + tall, left : left + wide] = index
    return mask


def kinds(found):
    return Counter(fault.kind for fault in found)


def disc(radius):
    rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return rows**2 + columns**2 <= radius**2


class TestStatistics:
    def test_spread_by_hand(self):
        assert spread([10, 0, 5]) == Spread(0, 1, 5, 9, 10)
        assert spread([]) == Spread(0, 0, 0, 0, 0)

    def test_sample_keeps_everything_until_it_is_full(self):
        sample = ValueSample(most=100)
        sample.add(np.arange(40))
        sample.add(np.arange(40, 101 - 1))
        assert sample.count == 100
        assert np.percentile(sample.kept, [0, 50, 100]).tolist() == [0, 49.5, 99]

    def test_a_full_sample_is_even_bounded_and_independent_of_the_pieces(self):
        values = np.random.default_rng(0).permutation(10_000)
        whole, pieces = ValueSample(most=1000), ValueSample(most=1000)
        whole.add(values)
        for piece in np.array_split(values, 77):
            pieces.add(piece)
        assert len(whole._kept) == len(pieces._kept) == 625  # every 16th
        assert whole._kept.tolist() == pieces._kept.tolist() == values[::16].tolist()
        assert whole.spread().low == 0
        assert whole.spread().high == 9999
        assert whole.spread().median == pytest.approx(5000, abs=400)

    def test_nothing_has_no_spread(self):
        assert ValueSample().spread() is None

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
    def test_intensities_against_numpy(self, dtype):
        images = [np.random.default_rng(n).integers(0, 200, (30 + n, 40, 2)).astype(dtype) for n in range(5)]
        meter = IntensityMeter()
        for image in images:
            meter.add(intensities(image))
        for channel, stats in enumerate(meter.stats()):
            values = np.concatenate([image[:, :, channel].ravel() for image in images]).astype(np.float64)
            assert (stats.minimum, stats.maximum) == (values.min(), values.max())
            assert stats.mean == pytest.approx(values.mean())
            assert stats.std == pytest.approx(values.std())
            assert stats.p_low == pytest.approx(np.percentile(values, 0.5), abs=1)
            assert stats.p_high == pytest.approx(np.percentile(values, 99.5), abs=1)
            clipped = np.clip(values, stats.p_low, stats.p_high)
            assert stats.clipped_mean == pytest.approx(clipped.mean(), rel=1e-3)
            assert stats.clipped_std == pytest.approx(clipped.std(), rel=1e-3)

    @pytest.mark.parametrize("dtype", [np.uint16, np.float32])
    def test_hot_pixels_do_not_move_what_the_network_is_normalised_by(self, dtype):
        image = np.tile(np.array([100, 200], dtype), (64, 32))[:, :, None]
        image[0, :8] = 60000
        meter = IntensityMeter()
        meter.add(intensities(image))
        (stats,) = meter.stats()
        assert stats.mean > 250
        assert (stats.p_low, stats.p_high) == (100, 200)
        assert stats.clipped_mean == pytest.approx(150, abs=0.2)
        assert stats.clipped_std == pytest.approx(50, abs=0.1)

    def test_not_a_number_is_left_out(self):
        image = np.array([[[1.0], [np.nan]], [[3.0], [np.inf]]], np.float32)
        meter = IntensityMeter()
        meter.add(intensities(image))
        (stats,) = meter.stats()
        assert (stats.minimum, stats.maximum, stats.mean, stats.std) == (1, 3, 2, 1)

    def test_a_channel_of_nothing_is_zero(self):
        meter = IntensityMeter()
        meter.add(intensities(np.full((2, 2, 1), np.nan, np.float32)))
        assert meter.stats()[0].mean == 0

    def test_large_images_are_looked_at_on_a_grid(self):
        part = intensities(np.zeros((2048, 2048, 1), np.uint8))
        assert part.count.tolist() == [1024 * 1024]


class TestObjects:
    def test_a_strip_has_its_width(self):
        for width in (2, 4, 10):
            found = regions(mask_with((10, 0, width, 80, 1)))
            assert found[1].thickness.tolist() == [width]
            assert found[1].sizes.tolist() == [pytest.approx((80 * width) ** 0.5)]

    def test_diagonal_neighbours_are_one_object(self):
        assert len(regions(np.eye(8, dtype=np.uint8))[1].sizes) == 1

    def test_a_class_that_fills_the_image_has_a_thickness(self):
        assert 0 < regions(np.zeros((40, 40), np.uint8))[0].thickness[0] < 40

    def test_against_scipy(self):
        mask = (ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(90, 120)), 4) > 0.02).astype(np.uint8)
        found = regions(mask)[1]
        labels, count = ndimage.label(mask, np.ones((3, 3)))
        areas = np.sort(ndimage.sum(mask, labels, range(1, count + 1)))
        kept = areas[np.cumsum(areas) >= 0.01 * areas.sum()]
        assert np.sort(found.sizes) == pytest.approx(np.sqrt(kept))
        largest = np.argmax(ndimage.sum(mask, labels, range(1, count + 1))) + 1
        distance = ndimage.distance_transform_edt(mask)
        expected = 4 * (distance[labels == largest] - 0.5).mean()
        assert found.thickness[np.argmax(found.sizes)] == pytest.approx(expected, rel=0.03)

    def test_specks_are_no_objects_but_equally_small_dots_are(self):
        assert len(regions(mask_with((5, 5, 20, 20, 1), (40, 40, 1, 2, 1)))[1].sizes) == 1
        dots = mask_with(*[(top, left, 1, 1, 1) for top in range(0, 60, 6) for left in range(0, 80, 8)])
        assert len(regions(dots)[1].sizes) == 100

    def test_ignored_pixels_are_no_object(self):
        assert sorted(regions(mask_with((0, 0, 9, 9, 255)))) == [0]

    def test_annotated_objects_may_touch(self):
        square, bar = np.ones((10, 10), bool), np.ones((4, 30), bool)
        found = annotated(Instance(index, 0, 0, mask) for index, mask in ((1, square), (1, square), (2, bar)))
        assert found[1].sizes.tolist() == [10, 10]
        assert found[2].thickness[0] == pytest.approx(4, rel=0.1)


def alike(grids, axis):
    meter = FlipMeter()
    for grid in grids:
        meter.add(flip_difference(grid[None]))
    return symmetry([meter], axis)


class TestMirror:
    def test_occupancy_by_hand(self):
        grid = occupancy(mask_with((0, 0, 32, 80, 1)), 2)
        assert grid[1, :4].min() == 1
        assert grid[1, 4:].max() == 0
        assert (grid[0] == 1 - grid[1]).all()

    def test_sky_above_road(self):
        rng = np.random.default_rng(0)
        grids = [occupancy(mask_with((0, 0, 28 + int(rng.integers(8)), 80, 1)), 2) for _ in range(20)]
        assert alike(grids, "vertical") < 0.05
        assert alike(grids, "horizontal") == 1

    @pytest.mark.parametrize("count", [5, 10, 60])
    def test_things_anywhere_are_alike_however_few_the_images(self, count):
        scores = []
        for seed in range(20):
            rng = np.random.default_rng(seed)
            boxes = [[(*rng.integers(0, 56, 2), 12, 16, 1) for _ in range(6)] for _ in range(count)]
            grids = [occupancy(mask_with(*some), 2) for some in boxes]
            scores += [alike(grids, "vertical"), alike(grids, "horizontal")]
        assert np.mean(scores) > 0.93
        assert min(scores) > 0.7

    def test_a_hair_off_the_middle_does_not_matter(self):
        grids = [occupancy(mask_with((0, 20, 64, 41, 1)), 2)] * 9
        assert alike(grids, "horizontal") > 0.8

    def test_without_evidence_it_is_one(self):
        assert symmetry([], "vertical") == 1
        assert alike([np.ones((2, 8, 8), np.float32)] * 3, "vertical") == 1


def test_golden_numbers(tmp_path):
    image = np.full((64, 80, 3), 100, np.uint8)
    image[:, :40] = (50, 100, 200)
    masks = [
        mask_with((10, 10, 10, 10, 1), (30, 30, 10, 10, 1)),
        mask_with((10, 10, 10, 10, 1), (60, 0, 4, 80, 255)),
        mask_with(),
    ]
    dataset = write_dataset(tmp_path, [(image + n, mask) for n, mask in enumerate(masks)], table={0: 0, 1: 1, 255: 255})
    print_ = measure(dataset)
    assert (print_.images, print_.splits, print_.channels, print_.dtypes) == (3, {}, {3: 3}, {"uint8": 3})
    assert print_.sizes == {"80x64": 3}
    assert print_.heights == Spread(64, 64, 64, 64, 64)
    assert print_.ignore_share == pytest.approx(320 / (3 * 5120))
    background, thing = print_.class_stats
    assert (thing.name, thing.pixels, thing.images, thing.objects) == ("thing", 300, {"all": 2}, 3)
    assert thing.size == Spread(10, 10, 10, 10, 10)
    assert thing.share == pytest.approx(300 / (3 * 5120 - 320))
    assert thing.thickness.median == pytest.approx(
        4 * np.mean(np.minimum.outer([*range(5), *range(4, -1, -1)], [*range(5), *range(4, -1, -1)]) + 0.5)
    )
    assert background.images == {"all": 3}
    red, green, blue = print_.intensity
    assert (red.minimum, red.maximum, red.mean) == (50, 102, 76)
    assert (green.minimum, green.maximum, green.mean) == (100, 102, 101)
    assert (blue.minimum, blue.maximum) == (100, 202)
    assert kinds(print_.faults) == {"empty-mask": 1}
    assert print_.decode_seconds > 0
    assert print_.trainable
    json.dumps(print_.to_json())


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside pycocotools
def test_annotated_shapes_are_the_objects(tmp_path):
    dataset = write_dataset(tmp_path, [(picture(n), mask_with()) for n in range(3)])
    square = Shape(1, polygons=((10, 10, 30, 10, 30, 30, 10, 30),))
    over = Shape(1, polygons=((20, 10, 40, 10, 40, 30, 20, 30),))
    shapes = Shapes(tmp_path / "boxes.json", (square, over))
    dataset = replace(dataset, records=tuple(replace(record, annotation=shapes) for record in dataset.records))
    thing = measure(dataset).class_stats[1]
    assert thing.objects == 6
    assert thing.size.median == pytest.approx(20, abs=1.1)


def test_images_by_class_follow_the_split(tmp_path):
    masks = [mask_with((5, 5, 9, 9, 1)), mask_with(), mask_with((5, 5, 9, 9, 1)), mask_with()]
    pairs = [(picture(n), mask) for n, mask in enumerate(masks)]
    print_ = measure(write_dataset(tmp_path, pairs, splits=["train", "train", "val", "val"]))
    assert print_.splits == {"train": 2, "val": 2}
    assert print_.class_stats[0].images == {"train": 2, "val": 2}
    assert print_.class_stats[1].images == {"train": 1, "val": 1}


def test_sixteen_bits_and_the_commonest_kind(tmp_path):
    wide = [((picture(n)[:, :, :1].astype(np.uint16) * 100), mask_with((5, 5, 9, 9, 1))) for n in range(3)]
    print_ = measure(write_dataset(tmp_path, [*wide, (picture(9), mask_with((5, 5, 9, 9, 1)))]))
    assert print_.dtypes == {"uint16": 3, "uint8": 1}
    assert print_.channels == {1: 3, 3: 1}
    assert len(print_.intensity) == 1
    assert print_.intensity[0].maximum > 10_000


def test_record_order_changes_nothing(tmp_path):
    pairs = [(picture(n), mask_with((n, n, 9 + n, 9, 1))) for n in range(8)]
    dataset = write_dataset(tmp_path, pairs)
    turned = replace(dataset, records=dataset.records[::-1])
    assert replace(measure(dataset), decode_seconds=0) == replace(measure(turned), decode_seconds=0)


def good(tmp_path, count=6, thing=1):
    """Return a data set without a fault, whose masks show a thing by its value."""
    pairs = [(picture(n), mask_with((n % 40, n, 20, 20, thing))) for n in range(count)]
    return write_dataset(tmp_path / "good", pairs, table={0: 0, thing: 1})


def test_no_fault_where_there_is_none(tmp_path):
    assert measure(good(tmp_path)).faults == ()


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def repaint(value):
    return lambda path: cv2.imwrite(str(path), mask_with((0, 0, 9, 9, value)))


@pytest.mark.parametrize(
    ("folder", "harm", "kind"),
    [
        ("images", cut, "truncated"),
        ("masks", cut, "truncated"),
        ("images", lambda path: path.write_bytes(b""), "unreadable"),
        ("images", lambda path: path.write_bytes(b"rubbish" * 9), "unreadable"),
        ("masks", lambda path: path.unlink(), "unreadable"),
        ("masks", lambda path: cv2.imwrite(str(path), mask_with(width=79)), "size-mismatch"),
        ("masks", repaint(37), "unknown-label"),
    ],
)
def test_a_planted_error_is_found_and_the_record_dropped(tmp_path, folder, harm, kind):
    dataset = good(tmp_path)
    victim = dataset.records[2]
    path = victim.image.path if folder == "images" else victim.annotation.path
    harm(path)
    seen = survey(dataset)
    assert victim.id not in {record.id for record in seen.dataset.records}
    (fault,) = fingerprint(seen).faults
    assert (fault.kind, fault.severity, fault.path) == (kind, "error", path)
    assert path.name in fault.message
    assert fault.cure
    assert fingerprint(seen).images == 5


def test_unknown_colours_are_found(tmp_path):
    masks = [np.zeros((64, 80, 3), np.uint8) for _ in range(4)]
    for mask in masks:
        mask[:20] = (255, 0, 0)
    masks[1][30, 30] = (1, 2, 3)
    dataset = write_dataset(tmp_path, [(picture(n), mask) for n, mask in enumerate(masks)], kind="color")
    found = measure(replace(dataset, color_to_index={(0, 0, 0): 0, (255, 0, 0): 1})).faults
    assert kinds(found) == {"unknown-color": 1}


def test_a_value_that_is_not_a_number_is_no_fault(tmp_path):
    dataset = good(tmp_path)
    values = np.random.default_rng(0).normal(size=(64, 80)).astype(np.float32)
    values[3, 3] = np.nan
    path = tmp_path / "holed.npy"
    np.save(path, values)
    records = (replace(dataset.records[0], image=ImageRef(path)), *dataset.records[1:])
    found = measure(replace(dataset, records=records))
    assert kinds(found.faults) == {"mixed-types": 1}
    assert found.no_data_share == 1 / (64 * 80 * len(records))


def test_all_ignored_is_a_warning_and_nothing_found_a_note(tmp_path):
    dataset = good(tmp_path)
    repaint(0)(dataset.records[1].annotation.path)
    cv2.imwrite(str(dataset.records[3].annotation.path), np.full((64, 80), 255, np.uint8))
    found = measure(replace(dataset, value_to_index={0: 0, 1: 1, 255: 255})).faults
    assert [(fault.kind, fault.severity) for fault in found] == [("all-ignore", "warning"), ("empty-mask", "note")]


def test_an_empty_mask_needs_a_background(tmp_path):
    pairs = [(picture(n), mask_with((30, 0, 20, 80, 1), (50, 0, 14, 80, 2))) for n in range(4)]
    pairs[0] = (picture(0), mask_with())
    named = write_dataset(tmp_path / "a", pairs, names=("background", "b", "c"))
    other = write_dataset(tmp_path / "b", pairs, names=("sky", "b", "c"))
    assert kinds(measure(named).faults) == {"empty-mask": 1}
    assert measure(other).faults == ()


def test_mixed_pixel_types_are_a_warning(tmp_path):
    dataset = good(tmp_path)
    path = dataset.records[4].image.path
    cv2.imwrite(str(path), picture(4).astype(np.uint16) * 200)
    (fault,) = measure(dataset).faults
    assert (fault.kind, fault.severity) == ("mixed-types", "warning")
    assert f"5 uint8 and 1 uint16; {path.name} is uint16" in fault.message


def as_jpeg(record):
    path = record.annotation.path.with_suffix(".jpg")
    cv2.imwrite(str(path), cv2.imread(str(record.annotation.path), cv2.IMREAD_UNCHANGED))
    return replace(record, annotation=MaskFile(ImageRef(path), "index"))


def test_jpeg_masks_are_one_warning_for_all(tmp_path):
    dataset = good(tmp_path, thing=100)
    masks = dataset.records[0].annotation.path.parent
    for count, words in ((1, "1 of 6 masks is"), (3, "3 of 6 masks are")):
        records = (*map(as_jpeg, dataset.records[:count]), *dataset.records[count:])
        (fault,) = measure(replace(dataset, records=records)).faults
        assert (fault.kind, fault.severity, fault.path) == ("jpeg-mask", "warning", masks)
        first = records[0].annotation.path.name
        assert fault.message.startswith(
            f"{words} lossily compressed (JPEG or WebP), {such_as(count, first)}: this changes ids"
        )
        assert fault.message.endswith("such masks are wrong")
        assert fault.cure.startswith("export the masks again as PNG")


def test_black_and_white_in_jpeg_loses_edges(tmp_path):
    dataset = good(tmp_path)
    dataset = replace(dataset, value_to_index={0: 0, 255: 1})
    for record in dataset.records:
        cv2.imwrite(str(record.annotation.path), mask_with((9, 9, 30, 30, 255)))
    records = (as_jpeg(dataset.records[0]), *dataset.records[1:])
    (fault,) = measure(replace(dataset, records=records)).faults
    assert fault.message.startswith("1 of 6 masks is lossily compressed")
    assert "each pixel there becomes the nearest class" in fault.message


def test_a_class_of_one_split_only(tmp_path):
    masks = [mask_with((5, 5, 9, 9, 1)), mask_with((5, 5, 9, 9, 1)), mask_with((5, 5, 9, 9, 2))]
    pairs = [(picture(n), mask) for n, mask in enumerate(masks)]
    dataset = write_dataset(tmp_path, pairs, names=("background", "a", "b", "c"), splits=["train", "val", "val"])
    found = measure(dataset).faults
    assert kinds(found) == {"class-in-one-split": 1, "absent-class": 1}
    assert "class b occurs in val only (1 image): it cannot be learnt" in found[0].message
    assert found[1].message == "1 of 4 classes occurs in no mask: c"


def test_a_class_that_validation_does_not_see(tmp_path):
    masks = [mask_with((5, 5, 9, 9, 1), (20, 20, 9, 9, 2)) for _ in range(3)]
    masks[1] = mask_with((5, 5, 9, 9, 1))
    pairs = [(picture(n), mask) for n, mask in enumerate(masks)]
    dataset = write_dataset(tmp_path, pairs, names=("background", "a", "b"), splits=["train", "val", "test"])
    (fault,) = measure(dataset).faults
    assert (fault.kind, fault.severity) == ("class-not-in-split", "warning")
    assert fault.message == "class b occurs in no val image: model selection does not see it"


def test_many_classes_that_a_part_lacks_are_one_fault(tmp_path):
    everywhere = (1, 1, 4, 4, 1)
    rest = [(6 * k, 10, 5, 5, k) for k in range(2, 6)]
    masks = [mask_with(everywhere, *rest, (0, 40, 5, 5, 6), (10, 40, 5, 5, 7)), mask_with(everywhere)]
    masks.append(mask_with(everywhere, *rest))
    pairs = [(picture(n), mask) for n, mask in enumerate(masks)]
    names = ("background", *"abcdefg")
    found = measure(write_dataset(tmp_path, pairs, names=names, splits=["train", "val", "test"])).faults
    assert [(fault.kind, fault.message) for fault in found] == [
        ("class-in-one-split", "2 classes occur in train only (f, g): their scores cannot be measured"),
        (
            "class-not-in-split",
            "4 classes occur in no val image (b, c, d, e): model selection does not see them",
        ),
    ]
    assert found[0].cure == "label more images of them, or move some to the other splits"


def test_near_duplicates_across_the_layouts_splits(tmp_path):
    pairs = [(picture(n), mask_with((n, n, 20, 20, 1))) for n in range(12)]
    pairs.append((cv2.resize(picture(4), (160, 128)), mask_with((8, 8, 40, 40, 1), height=128, width=160)))
    print_ = measure(write_dataset(tmp_path, pairs, splits=["train"] * 10 + ["val"] * 3))
    assert print_.near_duplicates == 2
    (fault,) = print_.faults
    assert (fault.kind, fault.severity) == ("near-duplicate", "warning")
    assert "images/e0x.png (train)" in fault.message
    assert "images/m0x.png (val)" in fault.message


def test_near_duplicates_within_one_split_are_no_fault(tmp_path):
    pairs = [(picture(n), mask_with((n, n, 20, 20, 1))) for n in (*range(12), 4)]
    print_ = measure(write_dataset(tmp_path, pairs))
    assert print_.near_duplicates == 2
    assert print_.faults == ()


def test_the_same_image_with_two_masks_is_reported_and_the_cure_works(tmp_path):
    pairs = [(picture(n), mask_with((n, n, 20, 20, 1))) for n in (*range(6), 2, 3)]
    pairs[6] = (pairs[6][0], mask_with((9, 9, 20, 20, 1)))
    dataset = write_dataset(tmp_path, pairs)
    print_ = measure(dataset)
    (fault,) = print_.faults
    assert (fault.kind, fault.severity, fault.path) == ("two-masks", "warning", dataset.records[2].image.path)
    assert fault.message == "images/c0x.png and images/g0x.png are the same image, but their masks differ"
    assert print_.near_duplicates == 4
    assert measure(replace(dataset, records=(*dataset.records[:6], dataset.records[7]))).faults == ()


def test_a_group_on_two_sides(tmp_path):
    dataset = write_dataset(
        tmp_path, [(picture(n), mask_with((n, n, 9, 9, 1))) for n in range(4)], splits=["train", "train", "val", "test"]
    )
    made = with_splits(dataset, SplitPlan(group_by="(?:b|c)0"), 0)
    print_ = measure(made)
    assert print_.groups == 2
    assert print_.faults == ()
    made = replace(dataset, records=tuple(replace(record, group="p") for record in dataset.records))
    (fault,) = measure(made).faults
    assert fault.kind == "group-leak"
    assert "train, val and test share group p" in fault.message


def test_one_class_only(tmp_path):
    dataset = write_dataset(tmp_path, [(picture(n), mask_with((0, 0, 64, 80, 1))) for n in range(4)])
    print_ = measure(dataset)
    assert kinds(print_.faults) == {"one-class": 1, "absent-class": 1, "full-mask": 4}
    assert not print_.trainable
    assert "every labelled pixel is thing: there is no second class to learn. Label the other pixels" in print_.obstacle


def test_one_class_in_a_sample_is_a_warning_unless_it_is_the_only_name(tmp_path):
    count = survey_module._FEWEST_SEEN + 40
    dataset = write_dataset(tmp_path, [(picture(n), mask_with((0, 0, 64, 80, 1))) for n in range(count)])
    print_ = measure(dataset, seconds=0)
    assert "sampled" in kinds(print_.faults)
    assert print_.trainable
    alone = replace(dataset, classes=Classes.named(["class-7"]), value_to_index={1: 0})
    assert not measure(alone, seconds=0).trainable


def test_masks_without_a_label_cannot_train(tmp_path):
    dataset = write_dataset(tmp_path, [(picture(n), mask_with((0, 0, 64, 80, 9))) for n in range(4)], table={9: 255})
    print_ = measure(dataset)
    assert kinds(print_.faults) == {"no-labels": 1, "all-ignore": 4}
    assert print_.obstacle.startswith("no mask labels a single pixel")


def test_an_empty_train_part_cannot_train(tmp_path):
    pairs = [(picture(n), mask_with((0, 0, 9, 9, 1))) for n in range(4)]
    print_ = measure(write_dataset(tmp_path, pairs, splits=["val", "val", "test", "test"]))
    assert not print_.trainable
    assert "none of the 4 usable images is in the train split" in print_.obstacle


@pytest.mark.parametrize(("count", "kind"), [(1, "one-image"), (2, "two-images")])
def test_too_few_images(tmp_path, count, kind):
    print_ = measure(good(tmp_path, count))
    assert kinds(print_.faults) == {kind: 1}
    assert print_.trainable


def test_nothing_left_is_an_error_and_no_crash(tmp_path):
    dataset = good(tmp_path)
    shutil.rmtree(tmp_path / "good" / "masks")
    print_ = measure(dataset)
    assert kinds(print_.faults) == {"no-images": 1, "unreadable": 6}
    assert print_.obstacle.startswith("no image with a usable annotation is left. Correct the files")
    assert Fingerprint.from_json(json.loads(json.dumps(print_.to_json()))) == print_
    json.dumps(print_.to_json())


def test_repeated_faults_stay_bounded_and_are_counted(tmp_path):
    log = faults.FaultLog()
    for n in range(5000):
        for name in (f"{n:05d}.png", "00000.png"):
            log.add(Fault("all-ignore", "warning", tmp_path / name, "labels no pixel", "label it"))
    found = log.sorted()
    assert len(found) == faults.MOST_OF_A_KIND
    assert found[-1].message.endswith(f"(and {5000 - faults.MOST_OF_A_KIND} more of this kind)")


def test_worst_comes_first(tmp_path):
    dataset = good(tmp_path)
    repaint(0)(dataset.records[0].annotation.path)
    cv2.imwrite(str(dataset.records[1].annotation.path), np.full((64, 80), 255, np.uint8))
    cut(dataset.records[5].image.path)
    found = measure(replace(dataset, value_to_index={0: 0, 1: 1, 255: 255})).faults
    assert [fault.severity for fault in found] == ["error", "warning", "note"]


def test_a_time_limit_leaves_the_rest_unread_and_says_so(tmp_path):
    dataset = good(tmp_path, 60)
    calls = []
    seen = survey(dataset, seconds=0, on_progress=lambda done, total: calls.append((done, total)))
    assert len(seen.summaries) == survey_module._FEWEST_SEEN == len(calls)
    assert calls[-1] == (8, 60)
    assert {record.id for record in seen.dataset.records} == {record.id for record in dataset.records}
    made = with_splits(seen.dataset, SplitPlan(), 0, seen)
    print_ = fingerprint(seen, made)
    assert print_.images == 60
    assert sum(print_.splits.values()) == 60
    assert print_.class_stats[1].pixels == 60 * 400
    assert print_.class_stats[1].objects == 60
    (fault,) = [fault for fault in print_.faults if fault.kind == "sampled"]
    assert fault.severity == "note"
    assert "8 of 60 images" in fault.message


def test_objects_of_a_part_are_scaled_up(tmp_path, monkeypatch):
    monkeypatch.setattr(survey_module, "OBJECT_IMAGES", 5)
    print_ = measure(good(tmp_path, 20))
    assert print_.class_stats[1].objects == 20
    assert "5 of 20 images" in print_.faults[0].message


def test_of_a_very_large_image_a_piece_is_looked_at_for_objects(tmp_path, monkeypatch):
    boxes = [(top, left, 4, 4, 1) for top in range(4, 300, 16) for left in range(4, 400, 16)]
    dataset = write_dataset(tmp_path, [(picture(0, 300, 400), mask_with(*boxes, height=300, width=400))] * 9)
    whole = measure(dataset).class_stats[1]
    monkeypatch.setattr(objects_module, "LARGE_PIXELS", 100 * 100)
    part = measure(dataset).class_stats[1]
    assert whole.objects == 9 * (len(boxes) - 4)  # under a hundredth counts as slips of the brush
    assert part.objects == pytest.approx(whole.objects, rel=0.15)
    assert part.size.median == whole.size.median == 4


def test_large_images_are_fewer_for_objects(monkeypatch, tmp_path):
    dataset = good(tmp_path, 20)
    monkeypatch.setattr(survey_module, "_OBJECT_WORK", 12 * 64 * 80 * 2)
    assert survey_module._object_images(dataset.records, 2) == 12
    monkeypatch.setattr(survey_module, "_OBJECT_WORK", 0)
    assert survey_module._object_images(dataset.records, 2) == 8


def test_memory_does_not_grow_with_the_images(tmp_path):
    image, mask = picture(0, 300, 400), mask_with((9, 9, 90, 90, 1), height=300, width=400)
    dataset = write_dataset(tmp_path, [(image, mask)] * 3)
    first = dataset.records[0]

    def peak(count):
        records = tuple(replace(first, id=f"{n:04d}") for n in range(count))
        tracemalloc.start()
        survey(replace(dataset, records=records))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(4)
    # Which threads meet at their largest is chance, a few pictures' worth; 80 pictures kept would be 29 MB.
    assert peak(100) < peak(20) + 80 * image.nbytes / 4
