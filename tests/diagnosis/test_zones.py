"""Errors by place, counted by hand on small label maps and by brute force on random ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.core.classes import IGNORE
from maskwright.diagnosis.zones import (
    BORDER_ENDS,
    FRAME_ENDS,
    border_distance,
    frame_distance,
    place_counts,
    region_counts,
)


def test_the_two_columns_at_a_border_have_distance_0() -> None:
    labels = np.zeros((4, 6), np.uint8)
    labels[:, 3:] = 1
    assert border_distance(labels)[0].tolist() == [2, 1, 0, 0, 1, 2]
    assert np.isinf(border_distance(np.zeros((3, 3), np.uint8))).all()


def test_distance_to_the_frame() -> None:
    assert frame_distance(3, 5).tolist() == [[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]]


def test_counts_by_place_of_one_wrong_pixel() -> None:
    truth = np.zeros((100, 100), np.uint8)
    truth[:, 50:] = 1
    truth[0, 0] = IGNORE
    labels = truth.copy()
    labels[50, 49] = 1  # at the border, in the middle
    labels[99, 99] = 0  # at the frame, inside
    counts = place_counts(labels, truth, 2)
    assert counts.shape == (len(FRAME_ENDS) + 1, len(BORDER_ENDS) + 1, 2, 2)
    assert counts.sum() == 9999
    assert counts[..., 1].sum() == 2
    assert counts[3, 0, 0, 1] == 1
    assert counts[0, 4, 1, 1] == 1


@given(st.integers(0, 2**32 - 1))
def test_every_labelled_pixel_counts_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.choice(np.array([0, 1, 2, IGNORE], np.uint8), (17, 23))
    labels = rng.integers(0, 3, truth.shape).astype(np.uint8)
    counts = place_counts(labels, truth, 3)
    known = truth != IGNORE
    assert counts.sum() == known.sum()
    assert counts[..., 1].sum() == (known & (labels != truth)).sum()
    assert counts.sum((0, 1, 3)).tolist() == np.bincount(truth[known], minlength=3).tolist()


def test_a_region_is_found_by_more_than_half_of_its_pixels() -> None:
    truth = np.zeros((40, 60), np.uint8)
    truth[2:6, 2:6] = 1  # 16 pixels: diameter 4.5
    truth[10:20, 10:20] = 1  # 100 pixels: 11.3
    truth[2:6, 30:34] = 2
    labels = np.zeros_like(truth)
    labels[2:4, 2:6] = 1  # half of the first: not found
    labels[10:16, 10:20] = 1  # 60 of 100
    labels[2:6, 30:34] = 1  # another class
    assert region_counts(labels, truth, 3, background=0)[:2].tolist() == [[2, 0], [1, 1]]


@pytest.mark.parametrize("background", [None, 0])
def test_the_background_has_no_regions(background: int | None) -> None:
    truth = np.zeros((8, 8), np.uint8)
    assert region_counts(truth, truth, 2, background).sum() == (0 if background == 0 else 2)
