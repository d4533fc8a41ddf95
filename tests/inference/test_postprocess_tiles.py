"""A postprocessor behind the network: whole images, and the pieces of larger ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from maskwright.core.plan import CrfPlan, SuperpixelsPlan
from maskwright.inference import Predictor, postprocess_tiles
from maskwright.ops.images import resize_image
from maskwright.postprocess import Postprocessor, dense_crf, superpixel_filter
from maskwright.postprocess.crf import refine
from maskwright.postprocess.dense_crf import DenseCrf
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


@pytest.mark.parametrize(
    ("classes", "channels", "share"),
    [(2, 1, 1), (21, 3, 1), (42, 3, 1 / 2), (21, 5, 3 / 4), (84, 5, 3 / 16), (21, 9, 1)],
)
def test_pieces_shrink_with_classes_and_channels_as_the_memory_grows(classes: int, channels: int, share: float) -> None:
    assert DenseCrf().most_pixels(classes, channels) == dense_crf.WHOLE * share
