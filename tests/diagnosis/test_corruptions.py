"""Corruptions: what they do to pixels, that the truth moves with them, and that they take images of any kind."""

from __future__ import annotations

import numpy as np
import pytest

from maskwright.core.classes import IGNORE
from maskwright.core.instances import Instance, Instances
from maskwright.core.targets import Target
from maskwright.diagnosis.corruptions import CORRUPTIONS, corrupt, uncropped

RNG = np.random.default_rng(1)
IMAGE = RNG.integers(60, 200, (48, 64, 3), dtype=np.uint8)
MOVING = {name for name, entry in CORRUPTIONS.items() if entry.move is not None}


def target(size: tuple[int, int] = (48, 64)) -> Target:
    labels = np.zeros(size, np.uint8)
    labels[10:30, 20:40] = 1
    return Target(labels, instances=Instances(size, (Instance(1, 10, 20, np.ones((20, 20), bool)),)))


def test_there_are_twelve_at_three_severities() -> None:
    assert len(CORRUPTIONS) == 12
    assert {"resize", "rotation", "crop"} == MOVING


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_dtype_and_channels_stay(name: str, dtype: type, channels: int) -> None:
    image = RNG.integers(1, 250, (48, 64, channels)).astype(dtype)
    found, moved = corrupt(image, target(), name, 1, np.random.default_rng(0))
    assert found.dtype == dtype
    assert found.shape == (*moved.labels.shape, channels)
    assert moved.labels.dtype == np.uint8
    same = found.shape == image.shape and np.array_equal(found, image)
    assert same == (name == "saturation" and channels == 1)


@pytest.mark.parametrize("name", sorted(set(CORRUPTIONS) - MOVING))
def test_stronger_is_farther_from_the_image(name: str) -> None:
    smooth = np.clip(np.add.outer(np.arange(300) / 2, np.arange(400) / 3)[..., None] * [1, 0.7, 0.4], 0, 255)
    image = (smooth + RNG.integers(0, 30, smooth.shape)).clip(0, 255).astype(np.uint8)
    far = [
        np.abs(
            corrupt(image, target((300, 400)), name, level, np.random.default_rng(0))[0].astype(float) - image
        ).mean()
        for level in range(3)
    ]
    assert 0 < far[0] < far[1] < far[2]


@pytest.mark.parametrize("name", sorted(MOVING))
def test_objects_move_with_their_pixels(name: str) -> None:
    painted = np.repeat(target().labels[..., None] * 200, 3, 2).astype(np.uint8)
    found, moved = corrupt(painted, target(), name, 0, np.random.default_rng(0))
    known = moved.labels != IGNORE
    assert ((found[..., 0] > 100) == (moved.labels == 1))[known].mean() > 0.97
    assert moved.instances is not None
    entry = moved.instances.objects[0]
    drawn = np.zeros(moved.size, bool)
    drawn[entry.rows, entry.columns] = entry.mask
    assert np.array_equal(drawn, moved.labels == 1)


def test_an_object_outside_a_crop_is_gone() -> None:
    objects = Instances((48, 64), (Instance(1, 0, 0, np.ones((4, 4), bool)),))
    corner = Target(np.zeros((48, 64), np.uint8), instances=objects)
    moved = corrupt(IMAGE, corner, "crop", 1, np.random.default_rng(0))[1]
    assert moved.instances is not None
    assert moved.instances.size == (24, 32)
    assert not moved.instances.objects


def test_a_crop_is_compared_with_the_same_part_of_the_whole() -> None:
    plain = Target(target().labels)
    kept = uncropped(plain, "crop", 1).labels
    cut = corrupt(IMAGE, plain, "crop", 1, np.random.default_rng(0))[1].labels
    assert np.array_equal(kept[12:36, 16:48], cut)
    assert (kept == IGNORE).sum() == kept.size - cut.size
    assert uncropped(plain, "noise", 1) is plain


def test_what_has_no_data_stays_so() -> None:
    holes = IMAGE.astype(np.float32)
    holes[:5] = np.nan
    found, _ = corrupt(holes, target(), "noise", 1, np.random.default_rng(0))
    assert np.isnan(found[:5]).all()
    assert np.isfinite(found[5:]).all()
    masked = np.ma.masked_array(IMAGE, np.zeros(IMAGE.shape, bool))
    masked[:5] = np.ma.masked
    found, _ = corrupt(masked, target(), "contrast", 1, np.random.default_rng(0))
    assert np.ma.getmaskarray(found)[:5].all()
    assert not np.ma.getmaskarray(found)[5:].any()


def test_noise_has_its_strength() -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    found, _ = corrupt(grey, target((200, 200)), "noise", 0, np.random.default_rng(0))
    assert found.astype(float).std() == pytest.approx(0.04 * 255, rel=0.03)
