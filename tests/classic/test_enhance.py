"""Edge enhancement: plain versions and scikit-image as judges, and what must hold for every image."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import filters

from maskwright.classic.edges.gradients import Tensor
from maskwright.classic.enhance import ENHANCEMENTS, bilateral, coherence, guided, unsharp
from maskwright.classic.enhance.diffusion import _diffusion, _divergence
from maskwright.core.errors import MaskwrightError

NAMES = sorted(ENHANCEMENTS)


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def test_unsharp_masking_is_that_of_scikit_image() -> None:
    image = noise(0, 40, 50).astype(np.float32)
    low, high = np.percentile(image, (0.1, 99.9))
    assert high > low
    expected = filters.unsharp_mask(image, radius=2.0, amount=0.5, preserve_range=True)
    assert unsharp(image, sigma=2.0, amount=0.5) == pytest.approx(expected, abs=0.05)


def test_a_step_overshoots_by_half_the_amount() -> None:
    image = np.repeat(np.array([[100, 120]], np.uint8), 30, axis=1)
    sharp = unsharp(image, sigma=5.0, amount=1.0)[0].astype(int)
    assert (sharp.min(), sharp.max()) == (91, 129)  # 100 - 9.2 and 120 + 9.2, of at most 10


def test_the_guided_filter_is_its_definition() -> None:
    image, radius, contrast = noise(1, 9, 11), 2, 0.2
    around = np.pad(image / 255, 2 * radius, mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(around, (5, 5))
    average, variance = windows.mean((2, 3)), windows.var((2, 3))
    kept = variance / (variance + contrast**2)
    rest = (1 - kept) * average
    a, b = (np.lib.stride_tricks.sliding_window_view(plane, (5, 5)).mean((2, 3)) for plane in (kept, rest))
    inner = np.s_[radius:-radius, radius:-radius]  # where the mirrored windows are the same
    expected = np.round(255 * (a * (image / 255) + b))
    assert np.abs(guided(image, radius, contrast)[inner].astype(int) - expected[inner]).max() <= 1


@pytest.mark.parametrize("smooth", [guided, bilateral, coherence])
def test_noise_goes_and_the_step_stays(smooth) -> None:
    clean = np.repeat(np.array([[60, 190]], np.float32), 32, axis=1).repeat(64, axis=0)
    noisy = clean + np.random.default_rng(2).normal(0, 5, clean.shape).astype(np.float32)
    smoothed = smooth(noisy)
    flat = np.s_[:, :24]
    assert smoothed[flat].std() < noisy[flat].std() / 1.5
    assert smoothed[:, 36].mean() - smoothed[:, 27].mean() > 115


def test_a_broken_line_grows_together() -> None:
    image = np.zeros((41, 41), np.uint8)
    image[19:22] = 200
    image[:, 18:22] = 0
    closed = coherence(image, time=20.0)
    assert closed[20, 19:21].min() > 30
    assert closed[10:15].max() <= 1


def test_diffusion_keeps_the_sum_and_lessens_the_variance() -> None:
    image = np.random.default_rng(3).random((20, 30)).astype(np.float32)
    smooth = coherence(image, time=3.0)
    assert smooth.mean() == pytest.approx(image.mean(), abs=1e-6)
    assert smooth.var() < image.var()
    assert coherence(image, time=0.0) == pytest.approx(image, abs=1e-6)


@settings(max_examples=20)
@given(st.integers(0, 999))
def test_the_step_of_diffusion_is_stable(seed: int) -> None:
    random = np.random.default_rng(seed)
    height, width = 4, 5
    angle, along, across = (random.random((height - 1, width - 1)) for _ in range(3))
    x, y = np.cos(3 * angle), np.sin(3 * angle)
    tensor = (along * x * x + across * y * y, (along - across) * x * y, along * y * y + across * x * x)
    units = np.eye(height * width).reshape(-1, height, width)
    matrix = np.array([_divergence(unit, *tensor).ravel() for unit in units])
    assert matrix == pytest.approx(matrix.T, abs=1e-12)
    assert matrix.sum(axis=1) == pytest.approx(0, abs=1e-12)
    eigenvalues = np.linalg.eigvalsh(matrix)
    assert eigenvalues.min() >= -8
    assert eigenvalues.max() <= 1e-9


def test_equal_diffusion_in_all_directions_is_the_laplacian() -> None:
    plane = np.random.default_rng(4).random((7, 8))
    ones, zeros = np.ones((6, 7)), np.zeros((6, 7))
    expected = cv2.Laplacian(plane, cv2.CV_64F, borderType=cv2.BORDER_REFLECT)
    inner = np.s_[1:-1, 1:-1]
    assert _divergence(plane, ones, zeros, ones)[inner] == pytest.approx(expected[inner])


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20)
@given(
    seed=st.integers(0, 99),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5)),
    dtype=st.sampled_from(["uint8", "uint16", "int16", "float32", "float64"]),
)
def test_shape_dtype_and_holes_are_kept(name: str, seed: int, shape: tuple, dtype: str) -> None:
    random = np.random.default_rng(seed)
    image = (random.random(shape) * 250).astype(dtype)
    gone = random.random(shape) < 0.2
    damaged = np.where(gone, np.nan, image).astype(dtype) if image.dtype.kind == "f" else np.ma.array(image, mask=gone)
    result = ENHANCEMENTS[name](damaged)
    assert (result.dtype, result.shape, type(result)) == (image.dtype, image.shape, type(damaged))
    if image.dtype.kind == "f":
        assert (np.isnan(result) == gone).all()
    else:
        assert (np.ma.getmaskarray(result) == gone).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "bool"])
def test_a_constant_image_stays_as_it_is(name: str, dtype: str) -> None:
    image = np.full((12, 9), 1, dtype)
    assert (ENHANCEMENTS[name](image) == image).all()


@pytest.mark.parametrize(
    ("filtered", "options", "words"),
    [
        (unsharp, {"sigma": 0.0}, "`sigma` is 0, and it must be a number from 0.1 to 100"),
        (unsharp, {"sigma": "2"}, "`sigma` is '2', and it must be a number from 0.1 to 100"),
        (unsharp, {"amount": -1.0}, "`amount` is -1"),
        (guided, {"radius": 0}, "`radius` is 0"),
        (guided, {"contrast": 0.0}, "`contrast` is 0"),
        (bilateral, {"sigma": float("inf")}, "`sigma` is inf"),
        (coherence, {"time": -1.0}, "`time` is -1"),
        (coherence, {"reach": 1e9}, "`reach` is 1e+09"),
    ],
)
def test_values_outside_their_range_are_refused(filtered, options: dict, words: str) -> None:
    with pytest.raises(MaskwrightError, match="must be a number from") as caught:
        filtered(noise(5, 4, 4), **options)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_mask_keeps_its_share_of_pixels(name: str) -> None:
    mask = cv2.GaussianBlur(noise(5, 60, 80), (0, 0), 4) > 127
    assert ENHANCEMENTS[name](mask).mean() == pytest.approx(mask.mean(), abs=0.02)


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_the_largest_integers_do_not_wrap(dtype: type) -> None:
    image = np.repeat(np.array([[0, np.iinfo(dtype).max]], dtype), 30, axis=1)
    found = unsharp(image, sigma=3.0)[0]
    assert found[:20].max() < found[40:].min()


def test_grey_as_colour_is_filtered_alike() -> None:
    grey = noise(6, 40, 50)
    colour = bilateral(np.dstack([grey] * 3))
    assert np.abs(colour.astype(int) - bilateral(grey)[..., None]).max() <= 1


def test_the_bilateral_filter_is_its_definition() -> None:
    image, sigma, contrast = noise(7, 11, 12), 1.4, 0.2
    low, high = np.percentile(image, (0.1, 99.9))
    values = (image - low) / (high - low)
    radius = round(1.5 * sigma)
    rows, columns = np.indices((2 * radius + 1,) * 2) - radius
    near = np.hypot(rows, columns) <= radius
    around = np.pad(values, radius, mode="symmetric")
    expected = np.empty(image.shape)
    for row, column in np.ndindex(image.shape):
        window = around[row : row + 2 * radius + 1, column : column + 2 * radius + 1]
        alike = np.exp(-((window - values[row, column]) ** 2) / (2 * contrast**2))
        weights = near * np.exp(-(rows**2 + columns**2) / (2 * sigma**2)) * alike
        expected[row, column] = (weights * window).sum() / weights.sum()
    found = bilateral(image, sigma, contrast)
    assert np.abs(found - (expected * (high - low) + low)).max() <= 1.5


def test_the_diffusion_tensor_by_hand() -> None:
    # A change of exactly the contrast that counts as coherent, along x: diffusion along y is 1/e on the way to 1.
    nothing = np.zeros((2, 2), np.float32)
    (xx,), (xy,), (yy,) = (part.ravel() for part in _diffusion(Tensor(nothing + np.float32(0.01**2), nothing, nothing)))
    assert (xx, xy, yy) == pytest.approx((0.001, 0, 0.001 + 0.999 / np.e), abs=1e-6)
    (xx,), _, (yy,) = (part.ravel() for part in _diffusion(Tensor(nothing + np.float32(0.02**2), nothing, nothing)))
    assert yy == pytest.approx(0.001 + 0.999 * np.exp(-1 / 16), abs=1e-5)
