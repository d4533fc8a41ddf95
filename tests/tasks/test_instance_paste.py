"""Copy-paste of objects: image, labels, ids, depth and borders move together, and as the seed says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from maskwright.core.classes import IGNORE, Classes
from maskwright.core.plan import AugmentPlan, DataPlan, Plan, SamplingPlan
from maskwright.core.records import Dataset, ImageRef, MaskFile, Record
from maskwright.core.targets import Target
from maskwright.data.cache import DecodedCache
from maskwright.data.loader import TrainingCrops
from maskwright.tasks import find_task
from maskwright.tasks.instance_objects import InstanceObjects
from maskwright.tasks.instance_paste import pasted
from maskwright.tasks.instance_target import borders, depths, object_values

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TASK = find_task("instance")
CLASSES = Classes.named(["background", "cell", "rare"])
NEVER = AugmentPlan(
    zoom=(1, 1), stretch=0, rotate=0, flip_horizontal=0, brightness=0, contrast=0, saturation=0, hue=0, gamma=0,
    blur=0, noise=0,
)  # fmt: skip


def lesson(ids: NDArray[np.int32], index: int, unknown: NDArray[np.bool_] | None = None) -> Target:
    unknown = np.zeros(ids.shape, bool) if unknown is None else unknown
    labels = np.where(unknown, IGNORE, np.where(ids > 0, index, 0)).astype(np.uint8)
    numbers = np.where(unknown, np.nan, ids).astype(np.float32)
    return Target(labels, np.concatenate([object_values(ids, unknown), numbers[None]]))


def drawn(*boxes: tuple[int, int, int, int]) -> NDArray[np.int32]:
    ids = np.zeros((20, 30), np.int32)
    for number, (top, bottom, left, right) in enumerate(boxes, start=1):
        ids[top:bottom, left:right] = number
    return ids


def test_the_target_by_hand() -> None:
    """The first object is cut by the pasted one, the second is not; the donor's other class and background stay out."""
    ids, theirs = drawn((2, 12, 2, 12), (2, 12, 20, 28)), drawn((4, 9, 8, 16), (14, 18, 2, 8))
    unknown = np.zeros(ids.shape, bool)
    unknown[:, 15:18] = True
    donor = lesson(theirs, 2)
    donor.labels[theirs == 2] = 1
    found, mask = pasted(lesson(ids, 1, unknown), donor, 2)
    np.testing.assert_array_equal(mask, theirs == 1)
    whole = np.where(mask, 3, ids)
    depth, border, numbers = found.values
    known = ~unknown | mask
    np.testing.assert_array_equal(np.isfinite(numbers), known)
    np.testing.assert_array_equal(numbers[known], whole[known])
    np.testing.assert_array_equal(found.labels, np.where(mask, 2, lesson(ids, 1, unknown).labels))
    np.testing.assert_array_equal(border[known].astype(bool), borders(whole)[known])
    np.testing.assert_array_equal(depth[known], depths(whole)[known])


def test_a_pasted_object_that_its_crop_cuts_keeps_its_true_depth() -> None:
    donor = lesson(drawn((0, 6, 0, 6)), 2)
    donor.values[0][0, 0] = 0.125
    found, _ = pasted(lesson(drawn((10, 14, 10, 14)), 1), donor, 2)
    assert found.values[0][0, 0] == 0.125


@pytest.mark.parametrize("index", [0, 2])
def test_without_an_object_of_the_class_nothing_changes(index: int) -> None:
    target = lesson(drawn((2, 12, 2, 12)), 1)
    found, mask = pasted(target, lesson(drawn((4, 9, 8, 16)), 1), index)
    assert found is target
    assert not mask.any()


def test_networks_that_emit_objects_get_ids_and_classes() -> None:
    """The donor's objects are numbered behind those that are there; its other class stays out."""
    task = InstanceObjects()
    ids, theirs = drawn((2, 12, 2, 12), (2, 12, 20, 28)), drawn((4, 9, 8, 16), (14, 18, 2, 8))
    labels = np.where(ids > 0, 1, 0).astype(np.uint8)
    labels[:, 15:18] = IGNORE
    donor = np.array([0, 2, 1], np.uint8)[theirs]
    found, mask = task.pasted(task.lesson_of(ids, labels), task.lesson_of(theirs, donor), 2)
    np.testing.assert_array_equal(mask, theirs == 1)
    np.testing.assert_array_equal(found.labels, np.where(mask, 2, labels))
    assert found.values is not None
    known = (labels != IGNORE) | mask
    np.testing.assert_array_equal(np.isfinite(found.values), np.stack([known, known]))
    np.testing.assert_array_equal(found.values[0][known], np.where(mask, 3, ids)[known])
    np.testing.assert_array_equal(found.values[1][known], np.where(mask, 2, labels)[known])


@pytest.fixture
def crops(tmp_path: Path):
    """Three images; each pixel holds 50 x image + 10 x class, and only the last image has the class `rare`."""
    records = []
    for number in range(3):
        ids = drawn((2, 12, 2, 12), (2 + number, 10, 14, 26))
        index = 2 if number == 2 else 1
        image, mask = tmp_path / f"{number}.png", tmp_path / f"{number}_ids.png"
        pixels = np.uint8(50 * number) + np.where(ids == 2, np.uint8(10 * index), np.uint8(10) * (ids == 1))
        cv2.imwrite(str(image), np.repeat(pixels[:, :, None], 3, 2).astype(np.uint8))
        cv2.imwrite(str(mask), ids.astype(np.uint16))
        mask_file = MaskFile(ImageRef(mask), "instance", values=((1, 1), (2, index)))
        records.append(Record(image.name, ImageRef(image), mask_file, "train"))
    dataset = Dataset(tmp_path, "folder", "", CLASSES, tuple(records))
    presence = [frozenset({0, 1}), frozenset({0, 1}), frozenset({0, 1, 2})]

    def made(paste: float) -> TrainingCrops:
        sampling = SamplingPlan(crop=(20, 30), batch=2, rare_share=0.0, class_odds=[0.0, 0.0, 1.0])
        augment = NEVER.model_copy(update={"paste": paste})
        plan = Plan(seed=2, sampling=sampling, augment=augment)
        cache = DecodedCache(dataset, dataset.records, DataPlan(), 10**9, TASK.lesson)
        return TrainingCrops(cache, presence, plan, lambda target: TASK.encode(target, CLASSES), TASK.pasted)

    return made


def test_pixels_and_targets_move_together(crops) -> None:
    source, plain = crops(1.0), crops(0.0)
    for step in range(6):
        for slot in range(2):
            image, target = source.crop(step, slot)
            before, bare = plain.crop(step, slot)
            rare = target["classes"] == 2
            assert rare.any()
            assert (image[rare] == 120).all()
            np.testing.assert_array_equal(image[~rare], before[~rare])
            np.testing.assert_array_equal(target["classes"][~rare], bare["classes"][~rare])
            assert target["depth"][0][rare].max() == 1
            assert (target["depth"][0][rare] > 0).all()


def test_a_pasted_crop_depends_on_step_and_slot_alone(crops) -> None:
    places = [(step, slot) for step in range(8) for slot in range(2)]
    first, second = crops(0.5), crops(0.5)
    forward = {place: first.crop(*place) for place in places}
    for place in reversed(places):
        image, target = second.crop(*place)
        np.testing.assert_array_equal(image, forward[place][0])
        for name, values in target.items():
            np.testing.assert_array_equal(values, forward[place][1][name])
    shown = [bool((forward[place][1]["classes"] == 2).any()) for place in places]
    bare = [bool((crops(0.0).crop(*place)[1]["classes"] == 2).any()) for place in places]
    assert sum(bare) < sum(shown) < len(places)
