"""A postprocessor behind the network: whole images, and the pieces of larger ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from maskwright.core.plan import CrfPlan, RegionsPlan, SuperpixelsPlan
from maskwright.inference import Predictor, postprocess_tiles
from maskwright.ops.images import resize_image
from maskwright.postprocess import Postprocessor, dense_crf, region_filter, superpixel_filter
from maskwright.postprocess.crf import refine
from maskwright.postprocess.dense_crf import DenseCrf
from maskwright.postprocess.region_filter import RegionFilter
from maskwright.postprocess.superpixel_filter import SuperpixelFilter

if TYPE_CHECKING:
    from tests.inference.conftest import Make

SETTINGS = CrfPlan(w1=4, theta_alpha=3, theta_beta=30, w2=1, theta_gamma=1, iterations=2)


def pixels(height: int, width: int) -> np.ndarray:
    """Return an image that changes slowly, but for a little noise."""
    rng = np.random.default_rng(0)
    slow = resize_image(rng.integers(0, 240, (-(-height // 8), -(-width // 8), 3), dtype=np.uint8), (height, width))
    return slow + rng.integers(0, 16, slow.shape, dtype=np.uint8)


def with_crf(predictor: Predictor) -> Predictor:
    return predictor.with_postprocessor(DenseCrf(SETTINGS))


def test_it_refines_what_the_network_says(make: Make, small_net: nn.Module) -> None:
    plain = make(small_net, decoding={"temperature": 1.7})
    image = pixels(33, 45)
    wanted = refine(plain.maps(image), image, SETTINGS)
    refined_by_it = with_crf(plain)
    np.testing.assert_allclose(refined_by_it.maps(image), wanted, atol=1e-6)
    np.testing.assert_array_equal(refined_by_it.result(image).labels, wanted.argmax(0))
    assert (wanted.argmax(0) != plain.result(image).labels).any()


def test_grey_images_and_other_scales(make: Make, small_net: nn.Module) -> None:
    found = with_crf(make(small_net, scale=0.5)).maps(pixels(40, 52)[:, :, 0])
    assert found.shape == (3, 40, 52)
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)


def test_one_class(make: Make) -> None:
    net = nn.Conv2d(3, 1, 1)
    assert with_crf(make(net, classes=1)).result(pixels(20, 24)).labels.shape == (20, 24)


@pytest.mark.parametrize("method", [DenseCrf(SETTINGS), SuperpixelFilter(SuperpixelsPlan(side=5))])
@pytest.mark.parametrize("size", [(64, 150), (110, 110), (300, 20)])
def test_large_images_go_through_in_pieces(
    make: Make, small_net: nn.Module, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], method: Postprocessor
) -> None:
    predictor, image = make(small_net).with_postprocessor(method), pixels(*size)
    whole = predictor.result(image).labels
    for module in (dense_crf, superpixel_filter):
        monkeypatch.setattr(module, "WHOLE", 64 * 64)
    monkeypatch.setattr(postprocess_tiles, "PIECE", 64)
    covered = torch.zeros(size, dtype=torch.int)
    for block in predictor.blocks(image):
        covered[block.rows, block.columns] += 1
        assert block.maps.shape[1] <= 64 * 1.25
    assert (covered == 1).all()
    assert (predictor.result(image).labels == whole).mean() > 0.97, "pieces see nearly what the whole sees"


def painted(labels: np.ndarray) -> np.ndarray:
    """Return an image whose brightest channel is the class."""
    return np.eye(3, dtype=np.uint8)[labels] * 255


def colour_net() -> nn.Module:
    """Return a network that says of each pixel which channel is the brightest."""
    net = nn.Conv2d(3, 3, 1)
    with torch.no_grad():
        net.weight.copy_(4 * torch.eye(3)[:, :, None, None])
        net.bias.zero_()  # type: ignore[union-attr]
    return net


def filtered(predictor: Predictor, image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Return the labels of the whole image and of the same in pieces."""
    whole = predictor.result(image).labels
    monkeypatch.setattr(region_filter, "WHOLE", 48 * 48)
    monkeypatch.setattr(postprocess_tiles, "PIECE", 48)
    return [whole, predictor.result(image).labels]


def test_pieces_keep_long_objects_and_remove_specks_at_the_cuts(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.zeros((160, 200), np.uint8)
    labels[70:73] = labels[:, 100:102] = 1  # no piece sees more than 144 pixels of the first, or 96 of the other
    labels[20:24, 30:96:7] = 2  # specks of 4 pixels, at cuts too
    predictor = make(colour_net()).with_postprocessor(RegionFilter(RegionsPlan(least=(0, 300, 64))))
    whole, pieces = filtered(predictor, painted(labels), monkeypatch)
    np.testing.assert_array_equal(whole, np.where(labels == 2, 0, labels))
    np.testing.assert_array_equal(pieces, whole)


@pytest.mark.parametrize("seed", range(4))
def test_pieces_change_no_pixel_that_the_whole_image_keeps(
    make: Make, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    noise = np.random.default_rng(seed).normal(size=(3, 150, 170)).astype(np.float32)
    labels = np.stack([cv2.GaussianBlur(plane, None, 2.5) for plane in noise]).argmax(0).astype(np.uint8)
    predictor = make(colour_net()).with_postprocessor(RegionFilter(RegionsPlan(least=(40, 80, 160))))
    whole, pieces = filtered(predictor, painted(labels), monkeypatch)
    changed, wanted = pieces != labels, whole != labels
    np.testing.assert_array_equal(pieces[changed], whole[changed])
    assert 0.8 * wanted.sum() < changed.sum() <= wanted.sum(), "only long regions at a cut stay"


@pytest.mark.parametrize(
    ("classes", "channels", "share"),
    [(2, 1, 1), (21, 3, 1), (42, 3, 1 / 2), (21, 5, 3 / 4), (84, 5, 3 / 16), (21, 9, 1)],
)
def test_pieces_shrink_with_classes_and_channels_as_the_memory_grows(classes: int, channels: int, share: float) -> None:
    assert DenseCrf().most_pixels(classes, channels) == dense_crf.WHOLE * share
