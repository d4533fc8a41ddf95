"""Scribbles to regions: a few pixels are labelled by hand, and a classic method labels the others. Knows no file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from skimage.segmentation import random_walker
from skimage.segmentation import watershed as flood

from maskwright.classic.planes import check_array, colours, slope
from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.ops.draw import to_rgb8

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

MOST = np.iinfo(np.int32).max
"""Largest label."""
GRABCUT_ROUNDS = 5
STIFFNESS = 100.0
"""Beta of the random walker, for colours of variance 1: the larger, the less a walker crosses an edge."""


def spread(image: NDArray[Any], scribble: NDArray[Any], method: str = "watershed") -> NDArray[np.int32]:
    """Label all pixels of an image from a scribble.

    Args:
        image: (H, W) or (H, W, C), any real dtype. Three channels are RGB.
        scribble: integers (H, W): 0 where nothing is drawn, and at least two labels from 1 on.
        method: name in `SCRIBBLE_METHODS`. `grabcut` separates two labels, the others any number.

    Returns:
        int32 (H, W), the labels of the scribble; its own pixels keep theirs.

    Raises:
        MaskwrightError: an unknown method, or a scribble that breaks its rule.
    """
    if method not in SCRIBBLE_METHODS:
        raise unknown_name("method", method, SCRIBBLE_METHODS, "method")
    colour = colours(image)
    names = _labels_of(scribble, colour.shape[:2])
    if method == "grabcut" and len(names) > 2:
        raise MaskwrightError(
            f"the scribble has {len(names)} labels, but grabcut separates two: choose watershed or "
            "random-walker, or draw two labels",
            "method",
        )
    drawn = np.where(scribble > 0, np.searchsorted(names, scribble) + 1, 0).astype(np.int32)
    found = drawn if drawn.all() else SCRIBBLE_METHODS[method](image, colour, drawn)
    return np.asarray(np.concatenate(([0], names))[np.where(drawn, drawn, found)], np.int32)


def _labels_of(scribble: NDArray[Any], size: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the labels of a scribble, ascending."""
    check_array(scribble, "a scribble")
    if scribble.shape != size:
        raise MaskwrightError(
            f"the scribble has shape {scribble.shape}, but the image has {size[1]}x{size[0]} pixels: draw it at the "
            "height and width of the image"
        )
    if scribble.dtype.kind not in "iu":
        raise MaskwrightError(
            f"the scribble is an array of {scribble.dtype}, but labels are whole numbers: convert it to integers, 0 "
            "where nothing is drawn and 1, 2, ... for labels"
        )
    if scribble.min() < 0:
        raise MaskwrightError(
            f"the scribble holds the value {scribble.min()}, but no label is negative: use 0 where nothing is drawn, "
            "and 1, 2, ... for labels"
        )
    if scribble.max() > MOST:
        raise MaskwrightError(
            f"the scribble holds the label {scribble.max()}, but labels end at {MOST}: number them anew, from 1 on"
        )
    names = np.unique(scribble[scribble > 0]).astype(np.int64)
    if len(names) < 2:
        found = f"only label {names[0]}" if len(names) else "nothing"
        raise MaskwrightError(f"the scribble holds {found}: draw at least two labels, such as 1 and 2")
    return names


def _watershed(_image: NDArray[Any], colour: NDArray[np.float32], drawn: NDArray[np.int32]) -> NDArray[np.int32]:
    """Meyer 1991: flood the slopes of the image from the scribble."""
    return np.asarray(flood(slope(colour), drawn), np.int32)


def _grabcut(image: NDArray[Any], colour: NDArray[np.float32], drawn: NDArray[np.int32]) -> NDArray[np.int32]:
    """Rother, Kolmogorov and Blake 2004, "GrabCut", from the watershed as the first guess."""
    guess = _watershed(image, colour, drawn)
    mask = np.where(guess == 2, cv2.GC_PR_FGD, cv2.GC_PR_BGD)
    mask = np.where(drawn == 2, cv2.GC_FGD, np.where(drawn == 1, cv2.GC_BGD, mask)).astype(np.uint8)
    cv2.setRNGSeed(0)  # its clusters start from drawn colours
    cv2.grabCut(to_rgb8(image), mask, None, np.zeros((1, 65)), np.zeros((1, 65)), GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK)
    return np.where((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD), 2, 1).astype(np.int32)


def _random_walker(_image: NDArray[Any], colour: NDArray[np.float32], drawn: NDArray[np.int32]) -> NDArray[np.int32]:
    """Grady 2006, "Random Walks for Image Segmentation"; solved directly, as conjugate gradients fail in noise.

    The paper normalises the squared differences of neighbours; we divide them by the variance of the colours.
    scikit-image divides by 10 standard deviations, so that edges of a dim image count less: its factor is undone here.
    """
    data = colour.astype(np.float64)
    variance = data.var((0, 1)).sum()
    if variance:
        stiffness = STIFFNESS / variance * 10 * data.std() * np.sqrt(data.shape[2])
    else:  # A constant image: scikit-image would divide by its deviation; without stiffness the data do not count.
        data[0, 0], stiffness = data[0, 0] + 1, 0.0
    return np.asarray(random_walker(data, drawn, stiffness, mode="bf", channel_axis=-1), np.int32)


SCRIBBLE_METHODS: dict[str, Callable[[NDArray[Any], NDArray[np.float32], NDArray[np.int32]], NDArray[np.int32]]] = {
    "watershed": _watershed,
    "grabcut": _grabcut,
    "random-walker": _random_walker,
}
"""Name -> function of image, its colours and the scribble (0, 1..n) that returns labels 1..n (H, W)."""
