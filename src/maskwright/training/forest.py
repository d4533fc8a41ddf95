"""Grow the trees of a forest from labelled pixels, by scikit-learn. Knows no image and no plan.

scikit-learn finds the splits; what is kept are tensors (`models.pixels.forest`), so using a forest needs neither
scikit-learn nor its pickles.
"""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maskwright.models.pixels.forest import Forest


def check_library() -> None:
    """Refuse to go on without scikit-learn.

    Raises:
        MaskwrightError: it is not installed.
    """
    if find_spec("sklearn") is None:
        raise MaskwrightError(
            'a forest is grown by scikit-learn, which is not installed: pip install "maskwright[forest]"', "model.name"
        )


class Pixels(NamedTuple):
    """Labelled pixels.

    Attributes:
        responses: (n, F).
        classes: (n,), an index each.
        weights: (n,), how many pixels of the data each stands for.
    """

    responses: NDArray[np.float32]
    classes: NDArray[np.int64]
    weights: NDArray[np.float64]


def joined(parts: Sequence[Pixels]) -> Pixels:
    """Join labelled pixels."""
    responses, classes, weights = (np.concatenate(some) for some in zip(*parts, strict=True))
    return Pixels(responses, classes, weights)


def grow(forest: Forest, pixels: Pixels, seed: int, deadline: float | None = None) -> int:
    """Grow the trees of `forest`, in place; where the time ends, the trees that are there stand for the others too.

    Args:
        forest: its number of trees, leaves and depth are kept to.
        pixels: to grow from; the shares of the classes in a leaf are those of their weights.
        seed: the same one grows the same trees, whatever the number of threads.
        deadline: of the clock `time.monotonic`, at which no further tree is begun; None for all trees.

    Returns:
        the number of different trees, at least one.
    """
    growing, planted = grower(forest, seed), 0
    while planted < len(forest.features) and (not planted or deadline is None or time.monotonic() < deadline):
        growing.n_estimators = min(planted + growing.n_jobs, len(forest.features))
        growing.fit(pixels.responses, pixels.classes, pixels.weights)
        with torch.no_grad():
            for number in range(planted, growing.n_estimators):
                _plant(forest, number, growing.estimators_[number].tree_, growing.classes_)
        planted = growing.n_estimators
    again = torch.arange(len(forest.features)) % planted
    with torch.no_grad():
        for tensor in (forest.features, forest.branches, forest.thresholds, forest.shares):
            tensor.copy_(tensor[again.to(tensor.device)])
    return planted


def grower(forest: Forest, seed: int) -> Any:
    """Return scikit-learn's forest, which grows further trees at each call of its `fit`.

    Raises:
        MaskwrightError: scikit-learn is not installed.
    """
    check_library()
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(
        max_depth=forest.depth,
        max_leaf_nodes=forest.leaves,
        random_state=seed,
        n_jobs=torch.get_num_threads(),
        warm_start=True,
    )


def _plant(forest: Forest, number: int, tree: Any, classes: NDArray[np.int64]) -> None:
    """Copy one tree of scikit-learn."""
    inner = tree.children_left >= 0
    own = np.arange(tree.node_count)
    children = np.stack([tree.children_left, tree.children_right], axis=1)
    forest.features[number, own] = torch.from_numpy(np.where(inner, tree.feature, 0)).int()
    forest.branches[number, own] = torch.from_numpy(np.where(inner[:, None], children, own[:, None])).int()
    forest.thresholds[number, own] = torch.from_numpy(below(tree.threshold))
    shares = tree.value[:, 0] / tree.value[:, 0].sum(axis=1, keepdims=True)
    forest.shares[number] = 0
    forest.shares[number, own[:, None], torch.from_numpy(classes)] = torch.from_numpy(shares).float()


def below(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the largest float32 that is not above each threshold: it divides float32 responses alike."""
    rounded = thresholds.astype(np.float32)
    return np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)
