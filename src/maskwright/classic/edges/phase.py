"""Edges where the waves of an image are in phase, whatever their contrast: phase congruency."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy import fft

from maskwright.classic.edges.gradients import Response
from maskwright.classic.planes import BORDER, check_range

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCALES, ORIENTATIONS = 4, 6
RATIO = 2.1
"""Of one wavelength to the next."""
BANDWIDTH = 0.55
"""Sigma of a log-Gabor filter on the logarithmic axis, as exp: 0.55 is about two octaves."""
NOISE = 2.0
"""Standard deviations above the mean of the noise that a response must have."""
SPREAD, SHARPNESS = 0.5, 10.0
"""Share of scales below which a response counts little, and how sharply (a sigmoid)."""
REACH = 6.0
"""Pixels for each of sigma to which a line or a step masks others: twice the shortest wavelength."""
MASKED, STEEPNESS = 0.4, 20.0
"""Share of the greatest response within reach below which a response counts little, and how sharply (a sigmoid)."""
TINY = 1e-4


def phase(planes: NDArray[np.float32], sigma: float = 2.0) -> Response:
    """Phase congruency: 1 where the waves of all scales agree in phase, as at steps and lines of any contrast.

    Kovesi 1999, "Image features from phase congruency", with the measure cos - |sin| of the deviation of phase, noise
    estimated at the finest scale and weights for the spread over scales. Orientations are joined to the root of the
    greatest moment (Kovesi 2003, "Phase congruency detects corners and edges"). Of several bands, the greatest value
    counts.

    Where we differ: beside a corner or the end of a line, its weak tails in all filters are congruent too, and without
    noise nothing hides them. Responses far below the greatest one within `REACH` count little.

    Args:
        planes: float32 (C, H, W).
        sigma: a third of the shortest wavelength, in pixels.

    Raises:
        MaskwrightError: a sigma outside 0.7..100.
    """
    check_range("sigma", sigma, 0.7, 100)
    along = sigma * RATIO ** (SCALES - 1)
    margin = int(np.ceil(1.5 * along))
    shape = [fft.next_fast_len(side + 2 * margin) for side in planes.shape[1:]]
    filters = [_radial(shape, 3 * sigma * RATIO**scale) for scale in range(SCALES)]
    sectors = [_sector(shape, angle) for angle in np.pi * np.arange(ORIENTATIONS) / ORIENTATIONS]
    beyond = [(margin, whole - side - margin) for whole, side in zip(shape, planes.shape[1:], strict=True)]
    inside = slice(margin, margin + planes.shape[1]), slice(margin, margin + planes.shape[2])
    wider = (_continued(plane, beyond, along) for plane in planes)
    moments, sizes = zip(*(_moment(plane, inside, filters, sectors) for plane in wider), strict=True)
    return Response.dense(np.max(moments, axis=0) * _unmasked(np.sum(sizes, axis=0), round(REACH * sigma)))


def _moment(
    plane: NDArray[np.float32],
    inside: tuple[slice, slice],
    filters: list[NDArray[np.float32]],
    sectors: list[NDArray[np.float32]],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the root of the greatest moment of the congruencies of all orientations, and the size of all responses.

    Both are (H, W), `inside` a wider plane.
    """
    spectrum = fft.fft2(plane)
    xx, xy, yy, size = np.zeros((4, *plane[inside].shape), np.float32)
    for number, sector in enumerate(sectors):
        part = spectrum * sector
        responses = [fft.ifft2(part * radial)[inside] for radial in filters]
        for response in responses:
            size += np.abs(response)
        congruency = _congruency(responses)
        x, y = (np.float32(turn(np.pi * number / ORIENTATIONS)) for turn in (np.cos, np.sin))
        square = congruency * congruency
        xx += x * x * square
        xy += x * y * square
        yy += y * y * square
    # A wave along x alone is congruent in all orientations, which makes xx half their number.
    return np.sqrt((xx + yy + np.hypot(xx - yy, 2 * xy)) / ORIENTATIONS), size


def _unmasked(size: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """Return weights (H, W) from 0 to 1: low where responses are small against the greatest within `reach` pixels."""
    greatest = cv2.dilate(size, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    return 1 / (1 + np.exp(STEEPNESS * (MASKED - size / (greatest + TINY))))


def _continued(plane: NDArray[np.float32], margins: list[tuple[int, int]], along: float) -> NDArray[np.float32]:
    """Continue a plane (H, W) by `margins` (before, after) of each axis.

    What changes slowly along a border, over `along` pixels, is repeated beyond it, and the rest mirrored. Mirrored
    alone, a dark border would be one half of a line; repeated alone, noise would be stripes.
    """
    window = 2 * int(np.ceil(3 * along)) + 1
    for axis, margin in enumerate(margins):
        beyond = [margin, (0, 0)] if axis == 0 else [(0, 0), margin]
        slow = cv2.GaussianBlur(plane, (window, 1) if axis == 0 else (1, window), along, borderType=BORDER)
        plane = np.pad(slow, beyond, mode="edge") + np.pad(plane - slow, beyond, mode="symmetric")
    return plane


def _congruency(responses: list[NDArray[np.complex64]]) -> NDArray[np.float32]:
    """Return the phase congruency (H, W) of one orientation, from the responses of its scales, finest first."""
    sizes = [np.abs(response) for response in responses]
    # Not by `np.sum` and `np.max`, which would copy all of them once more.
    total, greatest, mean = reduce(np.add, sizes), reduce(np.maximum, sizes), reduce(np.add, responses)
    mean /= np.abs(mean) + TINY * TINY
    energy = np.zeros(total.shape, np.float32)
    for response in responses:
        turned = response * np.conj(mean)
        energy += turned.real - np.abs(turned.imag)
    width = total / (greatest + TINY) / len(responses)
    weight = 1 / (1 + np.exp(SHARPNESS * (SPREAD - width)))
    return weight * np.maximum(energy - _noise(sizes[0]), 0) / (total + TINY)


def _noise(finest: NDArray[np.float32]) -> float:
    """Return the energy that noise alone seldom exceeds: sizes of responses to it follow Rayleigh's distribution."""
    sigma = np.median(finest) / np.sqrt(2 * np.log(2))
    sigma *= (1 - RATIO**-SCALES) / (1 - 1 / RATIO)  # noise of the coarser filters: as much less as their bandwidth
    return float(sigma * (np.sqrt(np.pi / 2) + NOISE * np.sqrt(2 - np.pi / 2)))


def _radial(shape: list[int], wavelength: float) -> NDArray[np.float32]:
    """Return a log-Gabor filter of all orientations, 0 for the mean and towards the corners of the spectrum."""
    y, x = np.meshgrid(*(fft.fftfreq(side) for side in shape), indexing="ij")
    radius = np.hypot(x, y)
    radius[0, 0] = 1
    gain = np.exp(-(np.log(radius * wavelength) ** 2) / (2 * np.log(BANDWIDTH) ** 2)) / (1 + (radius / 0.45) ** 30)
    gain[0, 0] = 0
    return gain.astype(np.float32)


def _sector(shape: list[int], angle: float) -> NDArray[np.float32]:
    """Return the gain for waves along `angle` and not against it, so that responses have a real and an odd part."""
    y, x = np.meshgrid(*(fft.fftfreq(side) for side in shape), indexing="ij")
    away = np.abs(np.angle(np.exp(1j * (np.arctan2(y, x) - angle))))
    return np.exp(-(away**2) / (2 * (np.pi / ORIENTATIONS / 1.2) ** 2)).astype(np.float32)
