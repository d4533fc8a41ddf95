"""Facts of images: what each says of an image that has it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from maskwright.diagnosis.image_facts import FACTS, image_facts

RNG = np.random.default_rng(0)
TEXTURE = RNG.integers(0, 256, (120, 160, 3), dtype=np.uint8)


def test_a_grey_image_by_hand() -> None:
    facts = image_facts(np.full((10, 20, 3), 51, np.uint8))
    assert set(facts) == set(FACTS)
    assert facts["brightness"] == pytest.approx(0.2, abs=1e-3)
    assert facts["contrast"] == pytest.approx(0, abs=1e-6)
    assert facts["colourfulness"] == pytest.approx(0, abs=1e-6)
    assert facts["size"] == pytest.approx(0.0002)


@pytest.mark.parametrize(
    ("fact", "less", "more"),
    [
        ("brightness", TEXTURE // 2, TEXTURE),
        ("contrast", TEXTURE // 2, TEXTURE),
        ("sharpness", cv2.GaussianBlur(TEXTURE, (0, 0), 2), TEXTURE),
        ("colourfulness", np.repeat(TEXTURE[..., :1], 3, 2), TEXTURE),
        ("size", TEXTURE[:60], TEXTURE),
    ],
)
def test_each_fact_orders_images(fact: str, less: np.ndarray, more: np.ndarray) -> None:
    assert image_facts(less)[fact] < image_facts(more)[fact]


def test_sharpness_does_not_depend_on_the_contrast() -> None:
    sharp, pale = image_facts(TEXTURE)["sharpness"], image_facts(TEXTURE // 2)["sharpness"]
    assert pale == pytest.approx(sharp, abs=0.05)


@pytest.mark.parametrize("shape", [(30, 40), (30, 40, 1), (30, 40, 5)])
def test_any_channels_and_dtype(shape: tuple[int, ...]) -> None:
    assert all(np.isfinite(value) for value in image_facts(RNG.random(shape).astype(np.float32)).values())
