"""Edge methods: values found by hand, scikit-image as judge, and what must hold for every image."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage import feature, filters

from maskwright.classic.edges import EDGES, find_edges
from maskwright.classic.edges.gradients import SOBEL, step, structure
from maskwright.classic.edges.limits import thresholds
from maskwright.classic.edges.phase import _congruency, _unmasked
from maskwright.core.errors import MaskwrightError
from maskwright.ops.edges import polylines, traced

METHODS = sorted(EDGES)
DENSE = [name for name in METHODS if not EDGES[name].lines and name != "phase"]
SMALL = settings(max_examples=30)


def strength(name: str, image: np.ndarray, **options: float) -> np.ndarray:
    return EDGES[name].strength(image, **options)


def gradient(image: np.ndarray) -> np.ndarray:
    return find_edges(image, "canny").profile


def stepped(low: float = 0, high: float = 255, size: int = 41) -> np.ndarray:
    """A step between the columns size // 2 - 1 and size // 2."""
    image = np.full((size, size), low, np.uint8)
    image[:, size // 2 :] = high
    return image


def smooth_noise(seed: int, size: tuple[int, int] = (60, 80)) -> np.ndarray:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).random(size), (0, 0), 2.5)
    return (noise - noise.min()) / (noise.max() - noise.min())


@pytest.mark.parametrize("name", ["sobel", "scharr"])
def test_a_step_over_the_whole_range_is_1_on_both_sides(name: str) -> None:
    found = strength(name, stepped())
    assert (found[:, 19:21] == 1).all()
    found[:, 19:21] = 0
    assert not found.any()


@pytest.mark.parametrize("name", ["sobel", "scharr"])
def test_a_ramp_is_as_strong_as_its_rise_over_two_pixels(name: str) -> None:
    ramp = np.tile(np.arange(0, 250, 10, dtype=np.uint8), (5, 1))
    assert strength(name, ramp)[:, 1:-1] == pytest.approx(20 / 255)


def test_a_line_has_an_edge_on_either_side() -> None:
    image = np.zeros((9, 9), np.uint8)
    image[:, 4] = 255
    assert strength("sobel", image)[4].tolist() == [0, 0, 0, 1, 0, 1, 0, 0, 0]


@pytest.mark.parametrize("name", ["canny", "multiscale", "laplacian", "color"])
def test_a_sharp_step_is_1_at_any_scale_of_the_filter(name: str) -> None:
    for sigma in (1.0, 3.0):
        found = strength(name, stepped(), sigma=sigma)
        assert found.max() == pytest.approx(1, abs=1e-5)
        assert set(np.nonzero(found > 0.999)[1]) <= {19, 20}


def test_half_the_contrast_is_half_the_strength() -> None:
    for name in ("sobel", "color", "canny", "laplacian"):
        half = strength(name, stepped(0, 51)) / 0.2
        assert half.max() == pytest.approx(1, abs=1e-4), name


def test_lines_are_one_pixel_wide_and_at_the_step() -> None:
    for name in METHODS:
        lines = find_edges(stepped(), name).lines
        assert lines[5:-5].sum(axis=1).tolist() == [1] * 31, name
        assert set(np.nonzero(lines[5:-5])[1]) <= {19, 20}, name


def test_the_scale_is_that_of_the_blur() -> None:
    blurred = cv2.GaussianBlur(stepped(size=121).astype(np.float32), (0, 0), 4.0)
    blurred = np.round(blurred).astype(np.uint8)
    # sqrt(2 sigma) / sqrt(sigma^2 + 4^2) over the scales 2, 2.8, 4, 5.7 is greatest at 4: 0.5, and 0.505 with
    # differences over two pixels instead of derivatives.
    assert strength("multiscale", blurred, sigma=2.0).max() == pytest.approx(0.505, abs=0.005)
    # The scale 2 alone sees (F(1.5 / s) - F(-0.5 / s)) with s^2 = 2^2 + 4^2, by that with s = 2; F is the normal one.
    assert strength("canny", blurred, sigma=2.0).max() == pytest.approx(0.1758 / 0.3720, abs=0.005)


def test_phase_congruency_does_not_depend_on_contrast() -> None:
    weak, strong = (strength("phase", stepped(100, 100 + rise, 81))[40, 39:41].max() for rise in (12, 120))
    assert weak == pytest.approx(strong, abs=0.03)
    assert strong > 0.75
    line = np.zeros((81, 81), np.uint8)
    line[:, 40] = 30
    assert strength("phase", line)[40].argmax() == 40


def test_opposite_steps_of_two_bands_do_not_cancel() -> None:
    one = stepped()
    one[:, 20] = 200  # not exactly between two pixels
    image = np.stack([one, 255 - one], axis=2)
    for name in ("sobel", "color", "canny", "laplacian", "phase"):
        assert strength(name, image).max() > 0.75, name


def test_colours_of_equal_brightness_have_an_edge_between_them() -> None:
    image = np.full((40, 40, 3), (200, 60, 60), np.uint8)
    image[:, 20:] = (0, 123, 115)
    lightness = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)[..., 0]
    assert np.ptp(lightness) <= 3
    assert strength("color", image).max() > 0.5


@pytest.mark.parametrize(("name", "judge"), [("sobel", filters.sobel), ("scharr", filters.scharr)])
def test_scikit_image_agrees(name: str, judge) -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 40)).astype(np.uint8)
    expected = np.sqrt(2) * judge(image / 255)
    assert strength(name, image) == pytest.approx(np.minimum(expected, 1), abs=1e-5)


def test_canny_of_scikit_image_finds_the_same_lines() -> None:
    image = smooth_noise(3, (120, 160))
    high = float(np.quantile(gradient(image), 0.8))
    lines = find_edges(image, "canny", low=high / 2, high=high).lines
    sobel = np.hypot(filters.sobel_h(blurred := filters.gaussian(image, 2.0)), filters.sobel_v(blurred))
    scale = 4 * float(np.quantile(sobel, 0.8)) / high
    low, span = np.percentile(image, 0.1), np.ptp(np.percentile(image, (0.1, 99.9)))
    judge = feature.canny((image - low) / span, 2.0, scale * high / 2 / span, scale * high / span)
    inner = np.s_[3:-3, 3:-3]  # scikit-image has no edges at the border
    for one, other in ((lines, judge), (judge, lines)):
        near = cv2.dilate(other.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        assert near[inner][one[inner]].mean() > 0.97


def test_the_tensor_of_one_band_is_its_gradient() -> None:
    plane = np.random.default_rng(1).random((1, 9, 9)).astype(np.float32)
    rows, columns = np.gradient(plane[0])
    tensor = structure(plane, 0.0)
    inner = np.s_[1:-1, 1:-1]
    assert tensor.strength[inner] == pytest.approx(2 * np.hypot(rows, columns)[inner], abs=1e-5)
    turned = np.mod(tensor.angle - np.arctan2(rows, columns) + np.pi / 2, np.pi) - np.pi / 2
    assert turned[inner] == pytest.approx(0, abs=1e-3)
    assert structure(step(0)[None], 0.0, SOBEL).strength.max() == 1


images = st.builds(
    lambda seed, height, width, bands, dtype: (
        np.random.default_rng(seed).random((height, width, bands)) * (200 if dtype != "float32" else 3)
    ).astype(dtype),
    st.integers(0, 99),
    st.integers(1, 12),
    st.integers(1, 12),
    st.integers(1, 5),
    st.sampled_from(["uint8", "uint16", "float32", "int32"]),
)


@pytest.mark.parametrize("name", METHODS)
@SMALL
@given(image=images, holes=st.integers(0, 99))
def test_any_image_has_finite_strengths(name: str, image: np.ndarray, holes: int) -> None:
    gone = np.random.default_rng(holes).random(image.shape[:2]) < 0.2
    damaged = np.ma.masked_array(image, np.repeat(gone[..., None], image.shape[2], 2))
    if image.dtype.kind == "f":
        damaged = np.where(gone[..., None], np.float32(np.nan), image)
    found = strength(name, damaged)
    assert (found.dtype, found.shape) == (np.float32, image.shape[:2])
    assert (found >= 0).all()
    assert (found <= 1).all()
    assert not found[gone].any()


@pytest.mark.parametrize("name", DENSE)
@SMALL
@given(image=images)
def test_a_quarter_turn_turns_the_edges(name: str, image: np.ndarray) -> None:
    turned = np.rot90(strength(name, np.ascontiguousarray(np.rot90(image))), -1)
    assert turned == pytest.approx(strength(name, image), abs=2e-4)


@pytest.mark.parametrize("name", sorted(set(METHODS) - set(DENSE)))
def test_a_quarter_turn_turns_lines_and_phases(name: str) -> None:
    image = smooth_noise(5)
    turned = np.rot90(strength(name, np.ascontiguousarray(np.rot90(image))), -1)
    assert (np.abs(turned - strength(name, image)) > 0.02).mean() < 0.01


@pytest.mark.parametrize("name", DENSE)
@SMALL
@given(image=images, more=st.integers(-50, 50))
def test_what_is_added_everywhere_makes_no_difference(name: str, image: np.ndarray, more: int) -> None:
    values = image[..., :2].astype(np.float64)
    assert strength(name, values + more) == pytest.approx(strength(name, values), abs=2e-4)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    "image",
    [
        np.full((20, 30), 7, np.uint8),
        np.full((20, 30, 3), 7, np.uint16),
        np.full((20, 30, 6), 0.1, np.float32),
        np.full((20, 30), 0.1) + np.tile([0, 1e-17, -1e-17], (20, 10)),
        np.full((9, 9), np.nan),
        np.ones((9, 9), bool),
        np.array([[200]], np.uint8),
        np.ma.masked_all((5, 5), np.uint8),
    ],
    ids=["uint8", "uint16", "bands", "rounding", "nan", "bool", "pixel", "masked"],
)
def test_where_nothing_changes_there_is_no_edge(name: str, image: np.ndarray) -> None:
    edges = find_edges(image, name)
    assert edges.strength.max() <= 1e-4
    assert not edges.lines.any()


@pytest.mark.parametrize("name", METHODS)
def test_a_hole_makes_no_edge_and_hides_none(name: str) -> None:
    image = stepped().astype(np.float32)
    image[15:25, 5:10] = np.nan
    found = strength(name, image)
    whole = strength(name, stepped())
    whole[15:25, 5:10] = 0
    assert found == pytest.approx(whole, abs=0.02 if name != "phase" else 0.1)


@pytest.mark.parametrize("name", METHODS)
def test_a_hole_on_an_edge_bends_no_line(name: str) -> None:
    image = stepped(40, 200, 81) + np.random.default_rng(0).normal(0, 3, (81, 81)).astype(np.float32)
    image[30:50, 30:60] = np.nan
    lines = find_edges(image, name).lines
    rows, columns = np.nonzero(lines)
    assert set(columns.tolist()) <= {39, 40}
    assert len(set(rows.tolist())) >= 59  # of 61 outside the hole


@pytest.mark.parametrize("name", [name for name in METHODS if name != "phase"])
@pytest.mark.parametrize("around", [np.nan, 255])
def test_flat_or_missing_surroundings_do_not_make_lines_of_noise(name: str, around: float) -> None:
    noise = np.random.default_rng(0).normal(120, 25, (120, 160)).astype(np.float32)
    image = np.full((360, 480), around, np.float32)
    image[120:240, 160:320] = noise
    alone, within = find_edges(noise, name), find_edges(image, name)
    assert within.lines[130:230, 170:310].sum() <= 1.3 * alone.lines[10:110, 10:150].sum()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", [(120, 160), (90, 110, 3)], ids=["grey", "rgb"])
def test_noise_alone_has_no_congruent_line(shape: tuple[int, ...], seed: int) -> None:
    noise = np.random.default_rng(seed).normal(120, 25, shape).clip(0, 255).astype(np.uint8)
    assert not find_edges(noise, "phase").lines.any()


def test_a_dark_lower_border_has_its_line_where_the_step_is() -> None:
    image = np.full((80, 100), 90, np.uint8)
    image[77:] = [[70], [37], [28]]
    rows, columns = np.nonzero(find_edges(image, "phase").lines)
    assert set(rows.tolist()) <= {77, 78}
    assert len(set(columns.tolist())) == 100
    assert not find_edges(np.tile(np.linspace(200, 30, 80, dtype=np.float32)[:, None], 100), "phase").lines.any()


def disc(inside: tuple[int, ...], outside: tuple[int, ...]) -> np.ndarray:
    """A disc of radius 35.2 around (70.3, 58.7), in pixels from the corner, whose border pixels are mixed."""
    rows, columns = (np.indices((960, 1280)) + 0.5) / 8
    covered = (np.hypot(columns - 70.3, rows - 58.7) < 35.2).reshape(120, 8, 160, 8).mean(axis=(1, 3))[..., None]
    return np.squeeze(np.round(covered * np.array(inside) + (1 - covered) * np.array(outside)).astype(np.uint8))


COLOURS = {"grey": ((200,), (50,)), "saturated": ((200, 50, 80), (50, 200, 80))}


@pytest.mark.parametrize("colours", COLOURS)
@pytest.mark.parametrize("name", sorted(set(METHODS) - {"phase"}))  # which looks at six orientations
def test_lines_are_between_pixels_where_the_border_of_a_disc_is(name: str, colours: str) -> None:
    edges = find_edges(disc(*COLOURS[colours]), name, low=0.1, high=0.4)
    lines = polylines(edges.lines, edges.profile)
    line = max(lines, key=len)
    assert np.array_equal(line[0], line[-1])
    away = np.hypot(line[:, 0] - 70.3, line[:, 1] - 58.7) - 35.2
    assert np.sqrt(np.mean(away**2)) < 0.15
    assert np.hypot(*np.diff(line, axis=0).T).sum() == pytest.approx(2 * np.pi * 35.2, rel=0.02)
    assert edges.strength.max() <= 1


def test_congruency_by_hand() -> None:
    # Four scales that agree; one alone, a quarter of the spread; two that are a quarter of a turn apart; nothing.
    columns = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1j, 0, 0], *[[0, 0, 0, 0]] * 5], np.complex64)
    found = _congruency(list(columns.T[:, None]))[0]
    alike, alone = 1 / (1 + np.exp(10 * (0.5 - 1))), 1 / (1 + np.exp(10 * (0.5 - 0.25)))
    assert found[:4] == pytest.approx([alike, alone, 0, 0], abs=2e-3)


def test_energy_that_noise_has_is_no_congruency() -> None:
    # The median of the finest scale is 1: with the coarser scales, noise has an energy of 3.943, nearly the 4 here.
    responses = [np.ones((1, 7), np.complex64) for _ in range(4)]
    responses[0][0, 3] = 5
    found = _congruency(responses)[0]
    assert found[0] == pytest.approx(0.9933 * (4 - 3.943) / 4, abs=2e-4)
    assert found[3] > 0.1


def test_color_counts_change_in_one_direction_more_than_texture() -> None:
    image = np.tile(np.random.default_rng(0).integers(0, 256, (1, 80)), (80, 1)).astype(np.uint8)  # stripes
    image[:, 40:] = np.random.default_rng(1).integers(0, 256, (80, 40))
    ratio = strength("color", image) / (gradient(image) + 1e-3)
    assert np.median(ratio[10:70, 10:30]) > 1.3 * np.median(ratio[10:70, 50:70])


def test_lines_in_numbers_are_where_the_step_is() -> None:
    image = stepped().astype(np.float32)
    image[:, 20] = 0.7 * 255  # the step lies at 20.3
    for name in ("color", "canny", "laplacian"):
        edges = find_edges(image.round().astype(np.uint8), name, sigma=1.5)
        (line,) = polylines(edges.lines, edges.profile)
        assert np.median(line[:, 0]) == pytest.approx(20.3, abs=0.1), name


def test_automatic_thresholds() -> None:
    ridges = np.array([[0, 0.2, 0.4, 0]], np.float32)
    assert thresholds(ridges) == pytest.approx((0.2, 0.4))  # mean 0.3, deviation 0.1
    assert thresholds(ridges, low=0.1) == pytest.approx((0.1, 0.4))
    assert thresholds(ridges, low=0.6) == pytest.approx((0.6, 0.6))
    assert thresholds(ridges, high=0.8) == pytest.approx((0.4, 0.8))
    assert thresholds(np.zeros((2, 2), np.float32)) == (0.5, 1)


def test_automatic_thresholds_are_lower_where_surroundings_are_flat() -> None:
    ridges = np.zeros((100, 40), np.float32)
    ridges[25], ridges[70] = 0.2, 0.4
    expected = 0.4 * (1 / 31) / 0.08  # one row of ridges in a square of 31 rows
    assert thresholds(ridges)[1] == pytest.approx(expected)
    assert thresholds(ridges[25:71:45])[1] == pytest.approx(0.4)
    assert thresholds(np.pad(ridges, ((2000, 2000), (0, 0))))[1] == pytest.approx(expected)
    gone = np.zeros((100, 40), bool)
    gone[:, 20:] = True
    assert thresholds(np.where(gone, np.float32(0), ridges), gone=gone)[1] == pytest.approx(expected)


def test_automatic_thresholds_do_not_exceed_all_ridges() -> None:
    ridges = np.zeros((20, 20), np.float32)
    ridges[::2] = 0.5
    ridges[0, :15] = 0.1  # 7.5 % are weaker: the mean plus the deviation, 0.47 + 0.105, is more than any
    assert thresholds(ridges)[1] == pytest.approx(0.5)
    ridges[0, :20] = 0.5
    ridges[0, :6] = 0.6  # 3 % are stronger
    assert thresholds(ridges)[1] == pytest.approx(0.503 + 0.1 * np.sqrt(0.03 * 0.97))


def drawing(*shapes: tuple[str, int]) -> np.ndarray:
    image = np.full((120, 160), 50, np.uint8)
    for number, (shape, value) in enumerate(shapes):
        left = 20 + 70 * number
        if shape == "disc":
            rows, columns = np.indices(image.shape)
            image[np.hypot(columns - left - 25, rows - 60) < 25] = value
        elif shape == "rectangle":
            image[20:100, left : left + 50] = value
        else:
            cv2.fillPoly(image, [np.array([[left, 100], [left + 50, 90], [left + 10, 15]])], value)
    return image


@pytest.mark.parametrize(
    "shapes",
    [
        [("disc", 200)],
        [("rectangle", 200)],
        [("triangle", 200)],
        [("rectangle", 200), ("rectangle", 120)],
        [("disc", 70)],
    ],
    ids=["disc", "rectangle", "triangle", "two", "faint"],
)
@pytest.mark.parametrize("name", METHODS)
def test_every_shape_of_a_clean_drawing_has_its_outline(name: str, shapes: list[tuple[str, int]]) -> None:
    image = drawing(*shapes)
    parts = image != 50
    outline = parts & ~(cv2.erode(parts.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    lines = find_edges(image, name).lines
    near = cv2.dilate(lines.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert near[outline].mean() > 0.9
    away = cv2.dilate(outline.astype(np.uint8), np.ones((15, 15), np.uint8)) == 0
    assert not lines[away].any()


def strokes(widths: list[int], shade: int = 0, value: int = 255) -> np.ndarray:
    """Horizontal strokes 30 rows apart on paper of 255."""
    image = np.full((30 * len(widths) + 30, 160), 255, np.uint8)
    for number, width in enumerate(widths):
        image[30 * number + 30 : 30 * number + 30 + width, 20:140] = shade if number else 255 - value
    return image


@pytest.mark.parametrize("ink", ["black", "white"])
@pytest.mark.parametrize("widths", [[1, 2, 2, 2], [1, 3, 3, 3], [1]])
@pytest.mark.parametrize("name", METHODS)
def test_a_thin_stroke_beside_thicker_ones_has_its_line(name: str, widths: list[int], ink: str) -> None:
    image = strokes(widths) if ink == "black" else 255 - strokes(widths)
    lines = find_edges(image, name).lines
    for number, width in enumerate(widths):
        rows = slice(30 * number + 26, 30 * number + 34 + width)  # 4 pixels: the smoothed sides of a stroke are apart
        assert lines[rows, 25:135].any(axis=0).mean() > 0.95, (name, width)


@pytest.mark.parametrize("name", METHODS)
def test_a_grey_stroke_beside_black_ones_has_its_line(name: str) -> None:
    lines = find_edges(strokes([2, 2, 2, 2], value=80), name).lines
    assert lines[26:36, 25:135].any(axis=0).mean() > 0.95


def test_phase_has_no_whiskers_at_corners_and_loses_no_side() -> None:
    image = np.full((200, 260), 255, np.uint8)
    cv2.rectangle(image, (30, 30), (229, 169), 0, 1)
    cv2.rectangle(image, (70, 60), (169, 129), 0, 1)
    away = ndimage.distance_transform_edt(image == 255)
    lines = find_edges(image, "phase").lines
    assert (away[lines] <= 2).mean() > 0.95
    assert (ndimage.distance_transform_edt(~lines)[image == 0] <= 1.5).mean() > 0.95


def test_phase_finds_thin_lines_close_to_thicker_ones_as_the_manual_says() -> None:
    image = np.full((80, 160), 255, np.uint8)
    places = range(20, 140, 8)
    for number, place in enumerate(places):
        image[:, place : place + 1 + number % 2] = 0
    lines = find_edges(image, "phase", sigma=1, high=0.15).lines[20:60]
    assert all(lines[:, place - 2 : place + 4].any(axis=1).all() for place in places)
    assert not find_edges(image, "phase").lines.any()


def test_weak_responses_beside_strong_ones_are_masked_by_hand() -> None:
    size = np.zeros((1, 60), np.float32)
    size[0, [10, 20, 40]] = 2, 0.4, 0.4
    weights = _unmasked(size, 12)[0]
    # 10 pixels from one of 2, and 20 pixels from one of 0.4.
    assert weights[20] == pytest.approx(1 / (1 + np.exp(20 * (0.4 - 0.2))), abs=1e-3)
    assert weights[[10, 40]] == pytest.approx(1 / (1 + np.exp(-12)), abs=1e-3)


def test_automatic_thresholds_are_a_tenth_on_clean_ground_only() -> None:
    ridges = np.zeros((100, 40), np.float32)
    ridges[::2] = 0.5
    flat = np.zeros((100, 40), bool)
    assert thresholds(ridges, flat=flat)[1] == pytest.approx(0.5)
    flat[:, 20:] = True  # of the squares around columns 11 and after, a quarter is flat
    drawn = np.mean(
        [min(40, column + 16) - 20 >= 0.25 * (min(40, column + 16) - max(0, column - 15)) for column in range(40)]
    )
    assert 0 < drawn < 1
    assert thresholds(ridges, flat=flat)[1] == pytest.approx(0.5 * (1 - drawn))
    assert thresholds(ridges, flat=~np.zeros_like(flat))[1] == pytest.approx(0.05)
    assert thresholds(ridges, flat=flat, gone=flat)[1] == pytest.approx(0.5), "missing pixels are not flat"


def test_weak_edges_stay_only_where_they_continue_strong_ones() -> None:
    image = np.zeros((60, 60), np.uint8)
    image[:, 20:] = np.linspace(200, 50, 60)[:, None]
    image[:, 45:] += 50
    lines = find_edges(image, "canny", low=0.15, high=0.5).lines
    assert lines[:, 18:22].any(axis=1).all()
    assert not lines[:, 40:].any()


@pytest.mark.parametrize("image", [smooth_noise(7), disc((200,), (50,)), disc((200, 50, 80), (50, 200, 80))])
@pytest.mark.parametrize("name", METHODS)
def test_lines_have_the_strength_that_the_thresholds_say(name: str, image: np.ndarray) -> None:
    noisy = image + np.random.default_rng(0).normal(0, 0.02 * image.max(), image.shape)
    edges = find_edges(noisy, name)
    low, high = edges.thresholds
    assert edges.lines.any()
    assert edges.strength[edges.lines].min() >= low
    parts, count = ndimage.label(edges.lines, np.ones((3, 3)))
    assert ndimage.maximum(edges.strength, parts, range(1, count + 1)).min() >= high
    lines = traced(edges.lines, edges.profile)
    assert {tuple(pixel) for line in lines for pixel in line.pixels} == set(map(tuple, np.argwhere(edges.lines)))
    assert all(line.mean(edges.strength) >= low for line in lines)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "cany"}, "unknown edge method 'cany': did you mean 'canny'"),
        ({"sigma": -1.0}, "`sigma` is -1, and it must be a number from 0 to 100"),
        ({"sigma": float("nan")}, "`sigma` is nan"),
        ({"method": "phase", "sigma": 0.1}, "`sigma` is 0.1, and it must be a number from 0.7 to 100"),
        ({"low": 0.5, "high": 0.2}, "`low` is 0.5 and `high` is 0.2: give a `low` of 0.2 or less"),
        ({"low": 0.0}, "`low` is 0, and it must be above 0"),
        ({"high": 2.0}, "`high` is 2, and it must be above 0, and 1 at most"),
    ],
)
def test_values_outside_their_range_are_refused(options: dict, words: str) -> None:
    with pytest.raises(MaskwrightError, match=r"must|unknown|give") as caught:
        find_edges(stepped(), **options)
    assert words in str(caught.value)


@pytest.mark.parametrize("image", [np.zeros((0, 4)), np.zeros(4), np.zeros((2, 2), complex), np.zeros((2, 2, 2, 2))])
def test_what_is_no_image_is_refused(image: np.ndarray) -> None:
    with pytest.raises(MaskwrightError, match=r"is not an image: give real numbers"):
        find_edges(image)
