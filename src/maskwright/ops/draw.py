"""Visualisations: label maps in colour, overlays of masks on images, maps of errors. Knows no file.

All of them are uint8 RGB (H, W, 3). A class named "background" (or similar) is not tinted: it shows the image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.ops.no_data import with_nan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.core.classes import Classes

# Okabe and Ito's palette (2008), distinct under every kind of colour blindness; the three differ in lightness too.
FALSE_NEGATIVE = (240, 228, 66)
FALSE_POSITIVE = (86, 180, 233)
WRONG_CLASS = (213, 94, 0)
CORRECT = (150, 160, 156)
LINE = FALSE_NEGATIVE

SAMPLE = 1_000_000  # pixels from which the display range is estimated


def to_rgb8(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Convert any image to RGB for display.

    Args:
        image: (H, W) or (H, W, C), any real dtype. Grey becomes RGB, alpha is dropped, and of more than four channels
            the first three are shown. Other types than uint8 are stretched, each channel from its 0.5th to its 99.5th
            percentile; values that are missing or not finite become black.

    Returns:
        RGB (H, W, 3).
    """
    if image.ndim == 2:
        image = image[:, :, None]
    shown = image[:, :, :3] if image.shape[2] >= 3 else image[:, :, :1]
    if shown.dtype != np.uint8:
        shown = with_nan(shown) if isinstance(shown, np.ma.MaskedArray) else shown
        shown = np.stack([_stretched(shown[:, :, channel]) for channel in range(shown.shape[2])], axis=2)
    return np.array(np.broadcast_to(shown, (*shown.shape[:2], 3)), order="C")


def colorize(labels: NDArray[np.uint8], classes: Classes) -> NDArray[np.uint8]:
    """Paint a label map (H, W) in the colours of the classes; ignored pixels are mid grey."""
    return classes.palette()[labels]


def overlay(image: NDArray[Any], labels: NDArray[np.uint8], classes: Classes, alpha: float = 0.5) -> NDArray[np.uint8]:
    """Tint an image with the colours of its label map and outline every region.

    Args:
        image: (H, W) or (H, W, C), any real dtype; see `to_rgb8`.
        labels: (H, W) class indices; `IGNORE` and the background are not tinted.
        classes: their colours.
        alpha: opacity of the tint, from 0 (image with outlines only) to 1 (colours only).

    Returns:
        RGB (H, W, 3).
    """
    assert image.shape[:2] == labels.shape, (image.shape, labels.shape)
    picture, tint = to_rgb8(image), colorize(labels, classes)
    blended = np.asarray(cv2.addWeighted(picture, 1 - alpha, tint, alpha, 0), np.uint8)
    shown = _shown(classes)[labels]
    np.copyto(picture, blended, where=shown[:, :, None])
    line = shown & outlines(labels)
    picture[line] = _outline_palette(classes)[labels[line]]
    return picture


def errors(
    image: NDArray[Any], truth: NDArray[np.uint8], prediction: NDArray[np.uint8], classes: Classes | None = None
) -> NDArray[np.uint8]:
    """Show where a prediction is wrong, on a dimmed grey image.

    `FALSE_NEGATIVE` (yellow): the truth has a class, the prediction background. `FALSE_POSITIVE` (blue): the
    reverse. `WRONG_CLASS` (vermilion): the prediction has another class. Correct regions are outlined in a pale
    `CORRECT`. Pixels that the truth ignores stay dim.

    Args:
        image: (H, W) or (H, W, C), any real dtype; see `to_rgb8`.
        truth: (H, W) class indices or `IGNORE`.
        prediction: (H, W) class indices.
        classes: their names tell which class is the background, if any; None for class 0.

    Returns:
        RGB (H, W, 3).
    """
    assert image.shape[:2] == truth.shape == prediction.shape, (image.shape, truth.shape, prediction.shape)
    nothing = 0 if classes is None else classes.background
    grey, picture = _grey(image), dimmed(image)
    wrong = (truth != prediction) & (truth != IGNORE)
    empty_truth = truth == nothing if nothing is not None else np.zeros_like(wrong)
    empty_prediction = ((prediction == nothing) if nothing is not None else np.zeros_like(wrong)) | (
        prediction == IGNORE
    )
    found = (truth == prediction) & ~empty_truth & outlines(truth)
    for where, color in (
        (found, CORRECT),
        (wrong & empty_prediction, FALSE_NEGATIVE),
        (wrong & empty_truth, FALSE_POSITIVE),
        (wrong & ~empty_truth & ~empty_prediction, WRONG_CLASS),
    ):
        # Part of the image remains visible, so that one sees what was confused.
        picture[where] = (0.86 * np.array(color) + 0.14 * grey[where][:, None]).astype(np.uint8)
    return picture


def dimmed(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a dark grey copy of an image, RGB (H, W, 3), on which colours stand out; see `to_rgb8`."""
    dim = (_grey(image).astype(np.float32) * 0.45 + 16).astype(np.uint8)
    return np.repeat(dim[:, :, None], 3, axis=2)


def outlines(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Mark the pixels (H, W) along the edge of every region: a line of one pixel, wider on large images."""
    width = max(1, round(min(labels.shape) / 500))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    return np.asarray(cv2.dilate(labels, kernel) != cv2.erode(labels, kernel))


def outlined(image: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.uint8]:
    """Draw lines between the regions of a label map (H, W) on an image: the last pixel of each before the next."""
    drawn = to_rgb8(image)
    last = np.zeros(labels.shape, np.bool_)
    last[:-1] |= labels[1:] != labels[:-1]
    last[:, :-1] |= labels[:, 1:] != labels[:, :-1]
    drawn[last] = LINE
    return drawn


def _grey(image: NDArray[Any]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(to_rgb8(image), cv2.COLOR_RGB2GRAY), np.uint8)


def _shown(classes: Classes) -> NDArray[np.bool_]:
    """Return a table (256,) of the label values that are tinted."""
    shown = np.arange(256) < len(classes)
    nothing = classes.background
    if nothing is not None:
        shown[nothing] = False
    return shown


def _outline_palette(classes: Classes) -> NDArray[np.uint8]:
    """Return the colours (256, 3) of outlines: that of the class, half way to white, to contrast with its tint."""
    return (classes.palette() // 2 + 127).astype(np.uint8)


def _stretched(channel: NDArray[Any]) -> NDArray[np.uint8]:
    """Map one channel (H, W) from its 0.5th..99.5th percentile to 0..255."""
    step = max(1, int(np.sqrt(channel.size / SAMPLE)))
    sample = channel[::step, ::step].astype(np.float64)
    finite = sample[np.isfinite(sample)]
    low, high = np.percentile(finite, (0.5, 99.5)) if finite.size else (0.0, 1.0)
    span = max(high - low, np.finfo(np.float32).tiny)
    values = np.nan_to_num(channel.astype(np.float32), nan=low, posinf=high, neginf=low)
    return np.asarray(np.clip((values - low) / span, 0, 1) * 255 + 0.5, np.uint8)
