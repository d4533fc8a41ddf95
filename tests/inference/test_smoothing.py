"""Optical flow: where pixels were, how well they agree, and labels and maps moved along."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from maskwright.inference.smoothing import Smoother, moved
from maskwright.ops.flow import agreement, moved_labels, origins
from maskwright.tasks import Block
from maskwright.tasks.label_map import decide

SHIFT = (3.5, -2.25)  # x and y: the scene moves to the left and down


def scene(shift: tuple[float, float] = (0, 0), size: tuple[int, int] = (120, 160)) -> np.ndarray:
    """Return a window on one random texture, moved by `shift`."""
    noise = np.random.default_rng(0).integers(0, 256, (200, 240, 3), np.uint8)
    texture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
    matrix = np.array([[1, 0, -20 - shift[0]], [0, 1, -20 - shift[1]]], np.float32)
    return np.asarray(cv2.warpAffine(texture, matrix, size[::-1]), np.uint8)


def still(size: tuple[int, int]) -> np.ndarray:
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    return np.stack([x, y], axis=2)


@pytest.mark.parametrize("size", [(120, 160), (300, 1300)])
def test_pixels_are_traced_to_where_they_were(size: tuple[int, int]) -> None:
    now, before = (cv2.resize(scene(shift), size[::-1]) for shift in (SHIFT, (0, 0)))
    places = origins(now, before)
    assert places.shape == (*size, 2)
    found = np.median((places - still(size))[20:-20, 20:-20], axis=(0, 1))
    np.testing.assert_allclose(found, np.array(SHIFT) * (size[1] / 160, size[0] / 120), atol=0.4 * size[1] / 160)


def test_pictures_too_small_for_the_search_stand_still() -> None:
    now, before = np.zeros((2, 9, 40, 3), np.uint8)
    np.testing.assert_array_equal(origins(now, before), still((9, 40)))


def test_agreement_is_that_of_the_paper() -> None:
    before = np.full((2, 3, 3), 100, np.uint8)
    now = before.copy()
    now[0, 0] += np.array([51, 0, 0], np.uint8)  # 0.2 of the range: exp(-50 * 0.04)
    now[0, 1] += 51  # in all three: exp(-50 * 0.12)
    places = still((2, 3))
    places[1, 2] += 0.5  # outside
    found = agreement(now, before, places)
    expected = [[np.exp(-2), np.exp(-6), 1], [1, 1, 0]]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_labels_and_maps_are_moved_alike() -> None:
    places = still((6, 8))
    places[..., 0] += 2
    labels = np.arange(48, dtype=np.uint8).reshape(6, 8)
    expected = np.concatenate([labels[:, 2:], labels[:, -1:], labels[:, -1:]], axis=1)
    np.testing.assert_array_equal(moved_labels(labels, places), expected)
    maps = torch.from_numpy(np.stack([labels, 2.0 * labels]).astype(np.float32))
    np.testing.assert_allclose(moved(maps, places).numpy(), np.stack([expected, 2.0 * expected]), atol=1e-4)


def test_maps_are_moved_as_opencv_would() -> None:
    rng = np.random.default_rng(1)
    values = rng.random((20, 30)).astype(np.float32)
    places = (still((20, 30)) + rng.normal(0, 3, (20, 30, 2))).astype(np.float32)
    expected = cv2.remap(values, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    found = moved(torch.from_numpy(values)[None], places)[0].numpy()
    np.testing.assert_allclose(found, expected, atol=0.03)  # OpenCV rounds places to 1/32 of a pixel


def probabilities(labels: np.ndarray, noise: float, seed: int) -> torch.Tensor:
    """Return the softmax (2, H, W) of a network that is unsure by `noise`."""
    logits = np.where(labels == 1, 1.0, -1.0) + np.random.default_rng(seed).normal(0, noise, labels.shape)
    return torch.from_numpy(np.stack([-logits, logits]).astype(np.float32)).softmax(0)


def blocks(maps: torch.Tensor) -> list[Block]:
    """Cut maps into two blocks."""
    width = maps.shape[2]
    return [Block(slice(0, maps.shape[1]), cut, maps[:, :, cut]) for cut in (slice(0, 50), slice(50, width))]


def truth(picture: np.ndarray) -> np.ndarray:
    return (picture[..., 0] > 127).astype(np.uint8)


def test_smoothing_along_the_motion_lowers_flicker_and_errors() -> None:
    smoother, wrong = Smoother(), np.zeros(2)
    for number in range(10):
        picture = scene((SHIFT[0] * number / 2, SHIFT[1] * number / 2))
        maps = probabilities(truth(picture), 1.0, number)
        (block,) = smoother.smoothed(picture, blocks(maps))
        assert (block.rows, block.columns) == (slice(0, 120), slice(0, 160))
        np.testing.assert_allclose(block.maps.sum(0).numpy(), 1, atol=1e-5)
        wrong += [(decide(each)[0] != truth(picture)).mean() for each in (maps, block.maps)]
    assert smoother.flicker is not None
    assert smoother.flicker.before > 0.2
    assert smoother.flicker.after < 0.35 * smoother.flicker.before
    assert wrong[1] < 0.5 * wrong[0]


def test_the_first_frame_and_the_first_after_a_cut_are_as_predicted() -> None:
    smoother = Smoother()
    assert smoother.flicker is None
    for number, picture in enumerate((scene(), 255 - scene()[::-1])):
        maps = probabilities(truth(picture), 1.0, number)
        (block,) = smoother.smoothed(picture, blocks(maps))
        torch.testing.assert_close(block.maps, maps)


def test_a_video_that_changes_its_size_starts_again() -> None:
    smoother = Smoother()
    for size in ((120, 160), (120, 150)):
        picture = scene(size=size)
        maps = probabilities(truth(picture), 1.0, 0)
        (block,) = smoother.smoothed(picture, blocks(maps))
        torch.testing.assert_close(block.maps, maps)
    assert smoother.flicker is None


def test_the_same_frame_again_does_not_flicker() -> None:
    smoother, maps = Smoother(), probabilities(truth(scene()), 1.0, 0)
    for _ in range(3):
        (block,) = smoother.smoothed(scene(), blocks(maps))
        torch.testing.assert_close(block.maps, maps, atol=1e-4, rtol=0)
    assert smoother.flicker == (0, 0)
