"""Colour augmentation of a training crop: one matrix, one look-up table, sometimes blur and noise. Knows no geometry.

Brightness, contrast and gamma are one table of 256 entries for all channels; saturation and the shift between channels
are one 3x4 matrix before it (30 us), because one table a channel takes twice as long as a single one (140 and 67 us).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwright.core.seeds import generator
from maskwright.ops.images import LUMA, channel_groups, joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maskwright.core.plan import AugmentPlan

# Number of uniform random numbers that `recolored` uses.
COLOR_DRAWS = 11

# The table of noise holds 128 + NOISE_UNIT * N(0, 1).
NOISE_UNIT = 32.0
NOISE_TABLE = 1 << 20


def recolored(image: NDArray[np.uint8], augment: AugmentPlan, draws: Sequence[float]) -> NDArray[np.uint8]:
    """Change brightness, contrast, gamma, saturation and the balance of channels; blur and add noise.

    Saturation and balance need three channels and do not change other images.

    Args:
        image: uint8 (H, W, C).
        augment: the limits; if all are zero, the image does not change.
        draws: `COLOR_DRAWS` uniform numbers in [0, 1).

    Returns:
        uint8 (H, W, C).
    """
    if image.shape[2] == 3 and (augment.saturation or augment.hue):
        image = np.asarray(cv2.transform(image, _mix(augment, draws[0:4])), np.uint8)
    if augment.brightness or augment.contrast or augment.gamma:
        # OpenCV drops the channel axis if there is one channel.
        flat = _flat(image)
        image = np.asarray(cv2.LUT(flat, tone_table(augment, flat, draws[4:7])), np.uint8).reshape(image.shape)
    if draws[7] < augment.blur:
        sigma = 0.4 + 0.8 * draws[8]
        image = joined([cv2.GaussianBlur(group, (5, 5), sigma) for group in channel_groups(image)])
    sigma = augment.noise * draws[9]
    # Weaker noise vanishes when values are rounded.
    return _noisy(image, sigma, draws[10]) if sigma > 0.25 else image


def tone_table(augment: AugmentPlan, flat: NDArray[np.uint8], draws: Sequence[float]) -> NDArray[np.uint8]:
    """Compose gamma, contrast and brightness, in this order, into one table (256,).

    Contrast scales around the mean of the crop, and brightness blends with black or with white: scaling around mid
    grey, or adding a constant, would turn a dark image, as from a microscope, completely black.

    Args:
        augment: the limits.
        flat: the crop as uint8 (H, W * C).
        draws: three uniform numbers in [0, 1).
    """
    gamma = (1.0 + augment.gamma) ** (2.0 * draws[0] - 1.0)
    contrast = 1.0 + augment.contrast * (2.0 * draws[1] - 1.0)
    brightness = augment.brightness * (2.0 * draws[2] - 1.0)
    values = np.linspace(0.0, 1.0, 256)
    mean = (cv2.mean(flat)[0] / 255.0) ** gamma
    values = (values**gamma - mean) * contrast + mean
    values = values * (1.0 - abs(brightness)) + max(brightness, 0.0)
    return np.asarray(np.clip(values * 255.0 + 0.5, 0.0, 255.0), np.uint8)


def _mix(augment: AugmentPlan, draws: Sequence[float]) -> NDArray[np.float32]:
    """Return (3, 4): saturation as a blend with luma, and a shift of each channel by at most half of `hue`."""
    saturation = 1.0 + augment.saturation * (2.0 * draws[0] - 1.0)
    shifts = 255.0 * augment.hue * (np.asarray(draws[1:4]) - 0.5)
    blend = saturation * np.eye(3) + (1.0 - saturation) * np.asarray(LUMA)[None, :]
    return np.column_stack([blend, shifts]).astype(np.float32)


def _noisy(image: NDArray[np.uint8], sigma: float, draw: float) -> NDArray[np.uint8]:
    """Add Gaussian noise of standard deviation `sigma`, read from a table at a random offset."""
    flat = _flat(image)
    table = _noise(max(NOISE_TABLE, 1 << (2 * flat.size - 1).bit_length()))
    start = int(draw * (table.size - flat.size))
    noise = table[start : start + flat.size].reshape(flat.shape)
    gain = sigma / NOISE_UNIT
    return np.asarray(cv2.addWeighted(flat, 1.0, noise, gain, -128.0 * gain), np.uint8).reshape(image.shape)


@lru_cache(maxsize=2)
def _noise(size: int) -> NDArray[np.uint8]:
    """Return `size` bytes of 128 + NOISE_UNIT * N(0, 1), always the same."""
    normal = generator(0, "noise").standard_normal(size, np.float32)
    return np.asarray(np.clip(np.rint(128.0 + NOISE_UNIT * normal), 0, 255), np.uint8)


def _flat(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """View (H, W, C) as (H, W * C): functions that treat all channels alike are fastest with one channel."""
    return np.ascontiguousarray(image).reshape(image.shape[0], -1)
