from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskwright.training.label_stride import strided


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 2, 4, 8]))
def test_a_label_for_each_logit_is_the_middle_of_its_block(height: int, width: int, stride: int) -> None:
    labels = torch.arange(height * width).reshape(1, height, width)
    rows, columns = -(-height // stride), -(-width // stride)
    kept = strided(labels, torch.zeros(1, 3, rows, columns))
    assert kept.shape == (1, rows, columns)
    places = [(int(value) // width, int(value) % width) for value in kept.flatten()]
    assert len(set(places)) == rows * columns
    for first, second in pairwise(sorted({row for row, _ in places})):
        assert 0 < second - first <= stride


def test_middles_by_hand() -> None:
    labels = torch.arange(100).reshape(1, 10, 10)
    assert strided(labels, torch.zeros(1, 1, 10, 10)) is labels
    assert strided(labels, torch.zeros(1, 1, 5, 5))[0, 0].tolist() == [11, 13, 15, 17, 19]
    assert strided(labels, torch.zeros(1, 1, 3, 3))[0].tolist() == [[22, 26, 29], [62, 66, 69], [92, 96, 99]]


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 2, 4, 8]))
def test_a_target_with_channels_is_taken_at_the_places_of_one_without(height: int, width: int, stride: int) -> None:
    channels = torch.arange(2 * 3 * height * width, dtype=torch.float32).reshape(2, 3, height, width)
    maps = torch.zeros(2, 5, -(-height // stride), -(-width // stride))
    kept = strided(channels, maps)
    assert kept.shape == (2, 3, *maps.shape[2:])
    assert kept.dtype == torch.float32
    for channel in range(3):
        assert torch.equal(kept[:, channel], strided(channels[:, channel], maps))


def test_a_channel_axis_as_long_as_the_image_is_left_alone() -> None:
    """The axes are counted from the end: three channels of 3x3 pixels must not be taken for rows."""
    target = torch.arange(27).reshape(1, 3, 3, 3)
    assert strided(target, torch.zeros(1, 3, 3, 3)) is target
    assert strided(target, torch.zeros(1, 1, 2, 2)).tolist() == [
        [[[4, 5], [7, 8]], [[13, 14], [16, 17]], [[22, 23], [25, 26]]]
    ]


@pytest.mark.parametrize(("count", "places"), [(3, [2, 6, 9]), (1, [8]), (6, [1, 3, 5, 7, 9, 9])])
def test_the_last_value_stands_for_a_block_without_a_middle(count: int, places: list[int]) -> None:
    labels = torch.arange(10).reshape(1, 1, 10)
    assert strided(labels, torch.zeros(1, 1, 1, count))[0, 0].tolist() == places
