import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import AugmentPlan
from maskwright.data.geometry import CropView, extent_of, linear_part, placed, warp_image, warp_labels

NEVER = AugmentPlan(zoom=(1, 1), stretch=0, rotate=0, flip_horizontal=0, flip_vertical=0, transpose=0)
MIDDLE = [0.5] * 6

uniform = st.floats(0, 1, exclude_max=True)


def ramp(height, width, bands=3):
    return np.random.default_rng(height * 100 + width).integers(0, 256, (height, width, bands), np.uint8)


def identity_at(row, column, crop):
    return CropView(np.eye(2), np.array([column + crop[1] / 2, row + crop[0] / 2]), crop)


def test_no_change_gives_the_unit_matrix():
    assert linear_part(NEVER, MIDDLE).tolist() == [[1, 0], [0, 1]]


def test_flips_and_transposition_are_exact():
    flipped = NEVER.model_copy(update={"flip_horizontal": 1.0})
    assert linear_part(flipped, MIDDLE).tolist() == [[-1, 0], [0, 1]]
    upside_down = NEVER.model_copy(update={"flip_vertical": 1.0})
    assert linear_part(upside_down, MIDDLE).tolist() == [[1, 0], [0, -1]]
    swapped = NEVER.model_copy(update={"transpose": 1.0})
    assert linear_part(swapped, MIDDLE).tolist() == [[0, 1], [1, 0]]


def test_zoom_is_log_uniform_between_its_limits():
    zoom = NEVER.model_copy(update={"zoom": (0.5, 2.0)})
    for draw, factor in [(0.0, 0.5), (0.5, 1.0), (0.25, 2**-0.5)]:
        assert linear_part(zoom, [draw, *MIDDLE[1:]])[0, 0] == pytest.approx(1 / factor)


def test_stretch_keeps_the_area_and_changes_the_aspect():
    stretched = linear_part(NEVER.model_copy(update={"stretch": 0.21}), [0.5, 0.0, 0.5, 0.5, 0.5, 0.5])
    assert np.linalg.det(stretched) == pytest.approx(1)
    assert stretched[0, 0] / stretched[1, 1] == pytest.approx(1.21)


def test_a_quarter_turn():
    turned = linear_part(NEVER.model_copy(update={"rotate": 90.0}), [0.5, 0.5, 0.0, 0.5, 0.5, 0.5])
    assert np.allclose(turned, [[0, 1], [-1, 0]])


@pytest.mark.parametrize("zoom", [(0.0, 1.0), (1.5, 0.5), (-1.0, 1.0)])
def test_an_impossible_zoom_is_refused(zoom):
    with pytest.raises(MaskwrightError, match=r"augment\.zoom.*0 < low <= high"):
        linear_part(NEVER.model_copy(update={"zoom": zoom}), MIDDLE)


def test_extent_is_the_upright_box_around_the_crop():
    assert extent_of(np.eye(2), (4, 6)).tolist() == [6, 4]
    assert extent_of(np.array([[0.0, 2.0], [1.0, 0.0]]), (4, 6)).tolist() == [8, 6]


def test_placement_reaches_from_edge_to_edge():
    assert placed(np.eye(2), (10, 20), (4, 6), None, [0.0, 0.0]).center.tolist() == [3, 2]
    assert placed(np.eye(2), (10, 20), (4, 6), None, [0.999, 0.999]).center.tolist() == [17, 8]


def test_a_source_smaller_than_the_crop_lies_wholly_inside():
    # A source of 2 in a crop of 6 may start at 0..4 in it: the crop starts at -4..0.
    starts = {placed(np.eye(2), (2, 2), (6, 6), None, [draw, 0.0]).center[0] - 3 for draw in np.linspace(0, 0.99, 50)}
    assert starts == {-4, -3, -2, -1, 0}


@given(st.integers(0, 39), st.integers(0, 59), uniform, uniform, st.sampled_from([(8, 8), (13, 30), (64, 16)]))
def test_the_focus_is_always_in_the_crop(row, column, x, y, crop):
    view = placed(np.eye(2), (40, 60), crop, (row, column), [x, y])
    left, top = view.center - (crop[1] / 2, crop[0] / 2)
    assert left <= column < left + crop[1]
    assert top <= row < top + crop[0]


def test_the_focus_is_not_always_in_the_middle():
    columns = [placed(np.eye(2), (99, 99), (20, 20), (50, 50), [draw, 0.5]).center[0] for draw in (0.0, 0.5, 0.99)]
    # Half the crop's width, 10, is where the focus may lie: the centre moves by 5 to either side of 50.5.
    assert columns == [46, 51, 55]


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 2, 3, 4, 5, 7, 9]), uniform, uniform)
def test_the_identity_copies_pixels_untouched(height, width, bands, x, y):
    image = ramp(height, width, bands)
    labels = image[:, :, 0]
    crop = (max(1, height // 2), max(1, width // 3))
    view = placed(np.eye(2), (height, width), crop, None, [x, y])
    left, top = (view.center - (crop[1] / 2, crop[0] / 2)).astype(int)
    here = slice(top, top + crop[0]), slice(left, left + crop[1])
    assert np.array_equal(warp_image(image, view), image[here])
    assert np.array_equal(warp_labels(labels, view), labels[here])


@pytest.mark.parametrize(
    ("linear", "expected"),
    [
        ([[-1, 0], [0, 1]], lambda a: a[:, ::-1]),
        ([[1, 0], [0, -1]], lambda a: a[::-1]),
        ([[0, 1], [1, 0]], lambda a: np.swapaxes(a, 0, 1)),
        ([[0, -1], [1, 0]], np.rot90),
    ],
)
def test_all_orientations_are_exact(linear, expected):
    image = ramp(9, 9)
    view = CropView(np.array(linear, float), np.array([4.5, 4.5]), (9, 9))
    assert np.array_equal(warp_image(image, view), expected(image))
    assert np.array_equal(warp_labels(image[:, :, 0], view), expected(image[:, :, 0]))


def test_zooming_in_twice_is_what_resizing_does():
    image = ramp(12, 16)
    view = CropView(np.eye(2) / 2, np.array([8.0, 6.0]), (24, 32))
    resized = cv2.resize(image, (32, 24), interpolation=cv2.INTER_LINEAR)
    # The border differs: a resize repeats the last pixel, a warp mirrors it.
    difference = np.abs(warp_image(image, view).astype(int) - resized)[1:-1, 1:-1]
    assert difference.max() <= 1
    assert np.array_equal(warp_labels(image[:, :, 0], view), np.kron(image[:, :, 0], np.ones((2, 2), np.uint8)))


def test_zooming_out_twice_averages_squares():
    image = ramp(12, 16)
    view = CropView(np.eye(2) * 2, np.array([8.0, 6.0]), (6, 8))
    expected = image.reshape(6, 2, 8, 2, 3).mean(axis=(1, 3))
    assert np.abs(warp_image(image, view) - expected).max() <= 1


def test_zooming_out_six_times_leaves_no_stripes():
    # Stripes of one pixel are grey from afar. A look-up without averaging shows black and white.
    image = np.tile(np.array([0, 255], np.uint8), (120, 60))[:, :, None]
    view = CropView(np.eye(2) * 6, np.array([60.0, 60.0]), (20, 20))
    assert np.abs(warp_image(image, view).astype(int) - 127.5).max() < 45


def test_beyond_the_edge_labels_are_ignored_and_pixels_mirrored():
    image = np.arange(1, 7, dtype=np.uint8).reshape(2, 3, 1)
    view = identity_at(0, -2, (2, 7))
    assert warp_labels(image[:, :, 0], view).tolist() == [[255, 255, 1, 2, 3, 255, 255], [255, 255, 4, 5, 6, 255, 255]]
    assert warp_image(image, view)[:, :, 0].tolist() == [[3, 2, 1, 2, 3, 2, 1], [6, 5, 4, 5, 6, 5, 4]]


@given(st.floats(0.2, 3), st.floats(-180, 180), st.integers(0, 1000))
def test_image_and_labels_move_together(zoom, angle, seed):
    rng = np.random.default_rng(seed)
    labels = np.zeros((90, 120), np.uint8)
    center = rng.integers(30, 60, 2)
    cv2.circle(labels, (int(center[1]), int(center[0])), 20, 1, -1)
    turn = cv2.getRotationMatrix2D((0, 0), angle, 1)[:, :2] / zoom
    view = placed(turn, labels.shape, (64, 64), None, rng.random(2).tolist())
    seen = warp_labels(labels, view)
    pixels = warp_image(np.repeat(labels[:, :, None] * 255, 3, axis=2), view)[:, :, 0]
    clear = (seen != IGNORE) & ((pixels < 40) | (pixels > 215))
    # From afar a tip of the circle, one pixel, may be the nearest to a place whose mean is dark.
    assert np.count_nonzero((pixels[clear] > 127) != (seen[clear] == 1)) <= 2


def test_only_the_window_is_read_so_sources_may_be_wider_than_opencv_allows():
    labels = np.zeros((4, 40_000), np.uint8)
    labels[:, 39_990:] = 7
    view = identity_at(0, 39_980, (4, 20))
    assert warp_labels(labels, view).tolist() == [[0] * 10 + [7] * 10] * 4
    assert np.array_equal(warp_image(labels[:, :, None], view)[:, :, 0], warp_labels(labels, view))


@given(st.floats(0.15, 4), st.floats(-180, 180), uniform, uniform, st.integers(1, 60), st.integers(1, 60))
def test_the_window_changes_nothing(zoom, angle, x, y, height, width):
    labels = ramp(height, width, 1)[:, :, 0]
    turn = cv2.getRotationMatrix2D((0, 0), angle, 1)[:, :2] / zoom
    view = placed(turn, (height, width), (16, 24), None, [x, y])
    offset = view.center - 0.5 - turn @ (11.5, 7.5)
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    whole = cv2.warpAffine(labels, np.column_stack([turn, offset]), (24, 16), flags=flags, borderValue=(IGNORE,))
    # A coordinate that falls just between two pixels may round either way.
    grid = np.stack(np.meshgrid(np.arange(24), np.arange(16)))
    places = np.einsum("ij,jyx->iyx", turn, grid) + offset[:, None, None]
    clear = np.all(np.abs(places - np.floor(places) - 0.5) > 1e-2, axis=0)
    assert np.array_equal(warp_labels(labels, view)[clear], whole[clear])
