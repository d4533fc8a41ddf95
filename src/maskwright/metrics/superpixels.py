"""Superpixels against annotated segments: boundary recall, undersegmentation error, explained variation. Knows no file.

The measures and their formulas are those of Stutz, Hermans and Leibe 2018, "Superpixels: An Evaluation of the
State-of-the-Art". Where an image has several annotators, the published figures on BSDS500 are those of the worst
one: the least recall and the largest error. `agreement` returns these, and the means.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

REACH = 0.0025
"""How far a boundary may be off, as a share of the diagonal."""


@dataclass(frozen=True)
class Agreement:
    """Superpixels against all annotators of an image.

    Attributes:
        recall: boundary recall, the mean over annotators.
        error: undersegmentation error, the mean over annotators.
        worst_recall: of the annotator with the least.
        worst_error: of the annotator with the largest.
    """

    recall: float
    error: float
    worst_recall: float
    worst_error: float


def agreement(labels: NDArray[Any], truths: Sequence[NDArray[Any]]) -> Agreement:
    """Compare superpixels (H, W) with the segments (H, W) of each annotator.

    Recall is averaged over the annotators who drew a boundary, and is NaN if none did.

    Raises:
        MaskwrightError: there is no annotator, or a size differs.
    """
    if not truths:
        raise MaskwrightError("there is no annotator to compare with: give at least one map of segments")
    recalls = [recall for truth in truths if not math.isnan(recall := boundary_recall(labels, truth))] or [math.nan]
    errors = [undersegmentation_error(labels, truth) for truth in truths]
    return Agreement(float(np.mean(recalls)), float(np.mean(errors)), min(recalls), max(errors))


def boundary_recall(labels: NDArray[Any], truth: NDArray[Any]) -> float:
    """Return the share of boundary pixels of the truth that have one of a superpixel near them.

    A boundary pixel has another label on one of its four sides. Near means within a square that reaches 0.0025 of the
    diagonal, rounded, to each side.

    Args:
        labels: superpixels (H, W).
        truth: segments (H, W).

    Returns:
        From 0 to 1; NaN if the truth has no boundary.

    Raises:
        MaskwrightError: the sizes differ.
    """
    _check(labels, truth)
    reach = math.floor(REACH * math.hypot(*labels.shape) + 0.5)
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    near = cv2.dilate(boundaries(labels).astype(np.uint8), square) > 0
    wanted = boundaries(truth)
    return float(near[wanted].mean()) if wanted.any() else math.nan


def undersegmentation_error(labels: NDArray[Any], truth: NDArray[Any]) -> float:
    """Return the share of pixels that leak: UE = 1/N sum_G sum_S min(|S and G|, |S - G|) over overlapping S and G.

    This is the formula of Neubert and Protzel 2012, the one that Stutz et al. report.

    Args:
        labels: superpixels (H, W).
        truth: segments (H, W).

    Raises:
        MaskwrightError: the sizes differ.
    """
    _check(labels, truth)
    superpixels, segments = (np.unique(map_, return_inverse=True)[1].ravel() for map_ in (labels, truth))
    width = segments.max() + 1
    pairs, shared = np.unique(superpixels * width + segments, return_counts=True)
    sizes = np.bincount(superpixels)[pairs // width]
    return float(np.minimum(shared, sizes - shared).sum() / labels.size)


def explained_variation(labels: NDArray[Any], image: NDArray[Any]) -> float:
    """Return the share of the image's variation that lies between superpixels and not within them.

    EV = sum_S |S| |mean(S) - mean(I)|^2 / sum_x |I(x) - mean(I)|^2 over all channels.

    Args:
        labels: superpixels (H, W).
        image: (H, W) or (H, W, C), without missing values.

    Returns:
        From 0 to 1; 1 for a constant image.

    Raises:
        MaskwrightError: the sizes differ.
    """
    _check(labels, image)
    members = np.unique(labels, return_inverse=True)[1].ravel()
    values = np.asarray(image, np.float64).reshape(members.size, -1)
    values = values - values.mean(axis=0)
    sizes = np.bincount(members)
    between = sum(np.square(np.bincount(members, channel)) @ (1 / sizes) for channel in values.T)
    total = np.square(values).sum()
    return float(between / total) if total > 0 else 1.0


def boundaries(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Mark the pixels (H, W) with another label on one of their four sides; the border of the image does not count."""
    marked = np.zeros(labels.shape, np.bool_)
    down, across = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    marked[1:] |= down
    marked[:-1] |= down
    marked[:, 1:] |= across
    marked[:, :-1] |= across
    return marked


def _check(labels: NDArray[Any], other: NDArray[Any]) -> None:
    if labels.ndim != 2 or not labels.size or other.shape[:2] != labels.shape:
        raise MaskwrightError(
            f"superpixels of shape {labels.shape} cannot be compared with an array of shape {other.shape}: give both "
            "at the same height and width, above 0"
        )
