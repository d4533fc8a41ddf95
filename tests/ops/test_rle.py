"""Run-length codes: pycocotools is the judge, and damaged codes are refused before they do harm."""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

from maskwright.core.errors import MaskwrightError
from maskwright.ops import rle

masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=20))


def judge(mask: np.ndarray) -> str:
    return coco.encode(np.asfortranarray(mask, np.uint8))["counts"].decode()


@given(masks)
def test_encoding_is_that_of_pycocotools(mask: np.ndarray) -> None:
    code = rle.encode(mask)
    assert code == {"size": list(mask.shape), "counts": judge(mask)}
    assert rle.area(code) == mask.sum()


@given(masks)
def test_decoding_undoes_encoding(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(rle.decode(rle.encode(mask)), mask)


@given(masks)
def test_pycocotools_reads_what_we_write(mask: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools under NumPy 2
        decoded = coco.decode(rle.encode(mask))
    np.testing.assert_array_equal(decoded, mask)


@given(masks, st.integers(0, 5), st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))
def test_a_cut_out_stands_where_it_was_taken(mask: np.ndarray, top: int, left: int, below: int, right: int) -> None:
    whole = np.pad(mask, ((top, below), (left, right)))
    assert rle.encode(mask, whole.shape, (top, left)) == rle.encode(whole)


def test_counts_by_hand() -> None:
    # Column by column: one 0, two 1, three 0.
    mask = np.array([[0, 1], [1, 0]])
    assert rle.decode({"size": [2, 2], "counts": [1, 2, 1]}).tolist() == mask.astype(bool).tolist()
    assert rle.area({"size": [2, 2], "counts": [1, 2, 1]}) == 2


def test_long_runs_and_differences() -> None:
    mask = np.zeros((1000, 3), bool)
    mask[10:990] = True
    code = rle.encode(mask)
    assert code["counts"] == judge(mask)
    np.testing.assert_array_equal(rle.decode({**code, "counts": code["counts"].encode()}), mask)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ({"size": [2, 3], "counts": [1, 2, 1]}, "does not fill 3x2"),
        ({"size": [2, 2], "counts": [5, -1]}, "a run of -1 pixels"),
        ({"size": [2, 2], "counts": "1\u00ff"}, "byte 195"),
        ({"size": [2, 2], "counts": "\x7f"}, "byte 127"),
        ({"size": [2, 2], "counts": "o"}, "is truncated"),
        ({"size": [2, 2], "counts": 1.5}, "float"),
        ({"size": [2, 2], "counts": [1.0, 3.0]}, "a list of integers"),
        ({"size": [0, 2], "counts": []}, "at least 1"),
        ({"size": [2], "counts": []}, "is not a run-length code"),
        ({"counts": []}, "is not a run-length code"),
        ({"size": [2, 2]}, "is not a run-length code"),
    ],
)
def test_damage_is_named(code: dict[str, Any], words: str) -> None:
    with pytest.raises(MaskwrightError, match=words):
        rle.decode(code)


@given(st.text(max_size=12), st.integers(1, 9), st.integers(1, 9))
def test_rubbish_never_crashes(text: str, height: int, width: int) -> None:
    with contextlib.suppress(MaskwrightError):
        assert rle.decode({"size": [height, width], "counts": text}).shape == (height, width)


@given(masks)
def test_a_code_whose_runs_follow_rows_is_that_of_the_transposed_mask(mask: Any) -> None:
    along_rows = rle.encode(mask.T) | {"size": list(mask.shape)}
    np.testing.assert_array_equal(rle.decode(rle.transposed(along_rows)).T, mask)


def tears_down_columns(mask: np.ndarray) -> int:
    """Count torn runs pixel by pixel."""
    height = mask.shape[0]
    flat = [0, *mask.ravel("F").astype(int).tolist(), 0]
    starts = [place for place in range(mask.size) if flat[place + 1] and not flat[place]]
    stops = [place for place in range(1, mask.size + 1) if flat[place] and not flat[place + 1]]
    inside = set(np.flatnonzero(mask.ravel("F")).tolist())
    torn = 0
    for start, stop in zip(starts, stops, strict=True):
        around = {place + step + by for place in range(start, stop) for step in (-height, height) for by in (-1, 0, 1)}
        crosses = start // height != (stop - 1) // height
        torn += stop - start < min(mask.shape) and (crosses or not around & inside)
    return torn


@given(masks)
def test_torn_runs(mask: np.ndarray) -> None:
    turned = rle.encode(mask.T) | {"size": list(mask.shape)}
    assert rle.tears(rle.encode(mask))[0] == tears_down_columns(mask)
    assert rle.tears(turned)[1] == tears_down_columns(mask.T)


def test_a_square_is_torn_in_the_wrong_direction_alone() -> None:
    mask = np.zeros((20, 30), bool)
    mask[4:10, 4:10] = True
    assert rle.tears(rle.encode(mask)) == (0, 6)
    assert rle.tears(rle.encode(mask.T) | {"size": [20, 30]}) == (6, 0)


def test_a_mask_beyond_32_bits_has_no_code():
    """65,535 x 65,537 pixels are 2^32 - 1, the longest run that pycocotools can hold."""
    dot = np.ones((1, 1), bool)
    largest = rle.encode(dot, (65_535, 65_537), (65_534, 65_536))
    assert (rle.area(largest), rle.box(largest)) == (1, (65_536, 65_534, 65_537, 65_535))
    with pytest.raises(MaskwrightError, match=r"65536x65536 = 4,294,967,296 pixels has no .* as geojson or gpkg"):
        rle.encode(dot, (65_536, 65_536), (65_535, 65_535))
