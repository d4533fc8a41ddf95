"""From maps to objects: ideal maps give the objects back, in one piece and in bands of any height."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label
from skimage.segmentation import watershed
from tests.tasks.blocks import blocks

from maskwright.ops.instance_maps import to_map
from maskwright.ops.separation import Separation, separated
from maskwright.tasks.instance_decode import decode
from maskwright.tasks.instance_target import object_values


def discs(size: tuple[int, int], centres, radius: float) -> np.ndarray:
    """Ids of discs; a pixel belongs to the nearest centre."""
    rows, columns = np.indices(size)
    distances = np.stack([np.hypot(rows - row, columns - column) for row, column in centres])
    nearest = distances.argmin(0)
    return np.where(distances.min(0) <= radius, nearest + 1, 0).astype(np.int32)


def ideal(ids: np.ndarray, classes: np.ndarray | None = None, count: int = 2) -> torch.Tensor:
    """Maps (count + 2, H, W) of a network that is always right; `classes` gives the class of each id."""
    labels = (ids > 0).astype(int) if classes is None else np.append(0, classes)[ids]
    probabilities = 0.05 + (1 - 0.05 * count) * (np.arange(count)[:, None, None] == labels)
    values = object_values(ids, np.zeros(ids.shape, bool))
    return torch.from_numpy(np.concatenate([probabilities, values]).astype(np.float32))


TOUCHING = discs((40, 60), [(12, 14), (12, 30), (26, 22), (30, 48)], 9.0)


def same(found: np.ndarray, ids: np.ndarray, least: float = 0.9) -> None:
    """Each true object has one found object with an IoU of at least `least`, and there are no others."""
    assert found.max() == ids.max()
    for number in range(1, ids.max() + 1):
        other = np.bincount(found[ids == number]).argmax()
        both, either = (ids == number) & (found == other), (ids == number) | (found == other)
        assert other > 0
        assert both.sum() / either.sum() >= least


def test_touching_objects_are_told_apart():
    found = decode(blocks(ideal(TOUCHING)), (40, 60), (0,), Separation())
    same(to_map(found), TOUCHING)
    assert [entry.index for entry in found.objects] == [1, 1, 1, 1]
    assert all(entry.score == pytest.approx(0.95, abs=1e-4) for entry in found.objects)


def test_the_class_is_the_likeliest_of_the_object():
    maps = ideal(TOUCHING, np.array([1, 2, 2, 1]), 3)
    where = TOUCHING == 4
    maps[:3, where] = torch.tensor([0.1, 0.42, 0.48])[:, None]
    found = decode(blocks(maps), (40, 60), (0,), Separation())
    by_place = {int(TOUCHING[entry.rows, entry.columns][entry.mask][0]): entry for entry in found.objects}
    assert {number: entry.index for number, entry in by_place.items()} == {1: 1, 2: 2, 3: 2, 4: 2}
    assert by_place[4].score == pytest.approx(0.48, abs=1e-4)
    scores = [round(entry.score, 6) for entry in found.objects]
    assert scores == sorted(scores, reverse=True)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 45), st.integers(1, 33), st.sampled_from([0.0, 1.0, 2.0]))
def test_bands_change_nothing(seed, rows, columns, smooth):
    rng = np.random.default_rng(seed)
    ids = discs((45, 33), rng.uniform((0, 0), (45, 33), (rng.integers(1, 14), 2)), 5.0)
    maps = ideal(ids)
    maps += 0.1 * torch.from_numpy(rng.normal(size=maps.shape).astype(np.float32))
    how = Separation(smooth=smooth)
    whole = decode(blocks(maps), (45, 33), (0,), how)
    banded = decode(blocks(maps, rows, columns), (45, 33), (0,), how, band=1)

    def places(objects):
        return sorted((entry.top, entry.left, entry.mask.tobytes(), round(entry.score, 5)) for entry in objects.objects)

    assert places(whole) == places(banded)


def test_where_the_image_has_no_data_there_is_no_object():
    maps = ideal(TOUCHING)
    maps[:, :, :30] = torch.nan
    found = to_map(decode(blocks(maps), (40, 60), (0,), Separation()))
    assert (found[:, :30] == 0).all()
    assert (found[:, 31:] > 0).sum() > 0.9 * (TOUCHING[:, 31:] > 0).sum()


def test_nothing_there_is_nothing_found():
    assert len(decode(blocks(ideal(np.zeros((8, 9), np.int32))), (8, 9), (0,), Separation())) == 0


def test_a_region_without_a_seed_is_one_object_and_a_speck_is_none():
    foreground = np.zeros((9, 9), np.float32)
    foreground[1:4, 1:4], foreground[7, 7] = 1, 1
    depth = np.full((9, 9), 0.1, np.float32)
    ids = separated(foreground, depth, np.zeros_like(depth), Separation(least=2))
    assert (ids[1:4, 1:4] == 1).all()
    assert ids.sum() == 9


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.3, 0.7), st.floats(0.3, 0.7), st.sampled_from([0.0, 1.0]))
def test_objects_are_those_of_one_flood_over_the_whole_foreground(seed, least, start, smooth):
    """Only regions of several seeds are flooded, which changes nothing."""
    rng = np.random.default_rng(seed)
    foreground, depth = (cv2.GaussianBlur(rng.random((40, 50)), (0, 0), 2.5) for _ in range(2))
    foreground, depth = (((one - one.min()) / np.ptp(one)).round(2).astype(np.float32) for one in (foreground, depth))
    border = (0.2 * rng.random((40, 50))).astype(np.float32)
    found = separated(foreground, depth, border, Separation(foreground=least, seed=start, smooth=smooth, least=3))
    peaks = depth * (1 - border)
    peaks = cv2.GaussianBlur(peaks, (0, 0), smooth) if smooth else peaks
    inside = foreground >= np.float32(least)
    seeds = label(inside & (peaks >= start))[0]
    regions, count = label(inside)
    bare = ~np.isin(regions, regions[seeds > 0]) & inside
    ids = watershed(-peaks, np.where(bare, regions + seeds.max(), seeds), mask=inside)
    sizes = np.bincount(ids.ravel(), minlength=count + 1)
    wanted = {(ids == number).tobytes() for number in np.flatnonzero(sizes >= 3) if number}
    assert {(found == number).tobytes() for number in range(1, found.max() + 1)} == wanted
