"""Images that are read by rows: an array is one, and bands of a resized image are those of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.ops.images import resize_image
from maskwright.ops.resize_rows import ResizedRows
from maskwright.ops.rows import ArrayRows, SlicedRows, as_rows, thinned

sides = st.integers(1, 40)


@given(height=sides, width=sides, down=sides, across=sides, how=st.sampled_from(["area", "bilinear"]), data=st.data())
def test_a_band_of_the_resized_image(height: int, width: int, down: int, across: int, how: str, data) -> None:  # type: ignore[no-untyped-def]
    image = np.random.default_rng(height * width).integers(0, 256, (height, width, 2), dtype=np.uint8)
    both = (down - height) * (across - width) >= 0  # OpenCV shrinks by areas only where both sides shrink
    if how == "area" and not both:
        return
    start = data.draw(st.integers(0, down - 1))
    stop = data.draw(st.integers(start + 1, down))
    whole = resize_image(image, (down, across), how)  # type: ignore[arg-type]
    band = ResizedRows(ArrayRows(image).rows, (height, width), (down, across), how)  # type: ignore[arg-type]
    found = band.rows(start, stop)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - whole[start:stop]).max() <= 1


def test_only_the_rows_that_are_needed_are_read() -> None:
    image, asked = np.zeros((100, 10, 3), np.uint8), []

    def rows(start: int, stop: int) -> np.ndarray:
        asked.append((start, stop))
        return image[start:stop]

    ResizedRows(rows, (100, 10), (25, 3), "area").rows(5, 7)
    assert asked[0][0] == 20
    assert 28 <= asked[0][1] <= 29


def test_the_mean_of_an_area_by_hand() -> None:
    image = np.array([[0], [30], [90]], np.uint8)[..., None]
    found = ResizedRows(ArrayRows(image).rows, (3, 1), (2, 1), "area").rows(0, 2)
    assert found[:, 0, 0].tolist() == [10, 70]  # (0 + 30 / 2) / 1.5 and (30 / 2 + 90) / 1.5


def test_an_array_gives_views() -> None:
    grey = np.zeros((6, 5), np.uint8)
    source = as_rows(grey)
    assert (source.size, source.channels, source.dtype) == ((6, 5), 1, np.uint8)
    assert source.rows(2, 4).shape == (2, 5, 1)
    assert np.shares_memory(source.rows(2, 4), grey)
    assert as_rows(source) is source


@pytest.mark.parametrize("step", [1, 2, 3, 7])
@pytest.mark.parametrize("masked", [False, True])
def test_every_few_rows(step: int, masked: bool) -> None:
    image = np.random.default_rng(0).integers(0, 9, (23, 17, 2), dtype=np.uint8)
    whole = np.ma.masked_array(image, image == 3) if masked else image
    found = thinned(ArrayRows(whole), step, band=5)
    np.testing.assert_array_equal(np.ma.getmaskarray(found), np.ma.getmaskarray(whole[::step, ::step]))
    np.testing.assert_array_equal(found, whole[::step, ::step])


def test_slices_are_those_of_an_array() -> None:
    image = np.arange(23 * 17).reshape(23, 17, 1)
    sliced = SlicedRows(ArrayRows(image))
    assert (sliced.shape, sliced.ndim, sliced.dtype) == (image.shape, 3, image.dtype)
    np.testing.assert_array_equal(sliced[3:7, 2:9], image[3:7, 2:9])
    np.testing.assert_array_equal(sliced[::4, ::4], image[::4, ::4])
