"""Does an image look like those of the training? Distance of its features from theirs, with a null from their groups.

What the backbone sees in an image is pooled to a mean and a standard deviation of each channel (the style of Huang and
Belongie 2017, section 3; the mean distance of Lee et al. 2018, "A Simple Unified Framework for Detecting
Out-of-Distribution Samples", has only the former). The distance is the mean one to the nearest training images (Sun et
al. 2022, "Out-of-Distribution Detection with Deep Nearest Neighbors"), on all features: principal axes of the training
miss what is new in other directions. How far honest new images
lie from a training is measured on the training itself: each group (patient, video) is left out in turn, and its images
are compared with the others. So another patient of the same kind is nothing unusual, and a p-value is the rank among
these distances.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import safetensors
import safetensors.numpy

from maskwright.core.errors import MaskwrightError
from maskwright.core.files import write_bytes
from maskwright.inference.prepared_image import PreparedImage
from maskwright.metrics.intervals import row_keys
from maskwright.ops.images import resize_image, working_size

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from maskwright.inference.predictor import Predictor

FILE = "shift.safetensors"
"""Beside the model: what new images are compared with."""
UNLIKE = 0.05
"""p-value up to which an image looks unlike the training images: so do one in twenty of them."""
FEWEST = 20
"""Training images without which nothing is compared."""
SIDE = 256
"""Longest side of what the backbone sees of an image."""
NEAREST = 2
FOLDS = 10
PERMUTATIONS = 1999


def image_features(predictor: Predictor, image: NDArray[Any]) -> NDArray[np.float64]:
    """Return the features (F,) of an image (H, W) or (H, W, C) as the backbone sees it.

    Raises:
        MaskwrightError: channels or values that the model was not trained for, or an engine without a backbone.
    """
    engine = predictor.engine
    features = getattr(engine, "features", None)
    if features is None:
        raise MaskwrightError(
            "an export gives masks only, and images are compared by what the backbone of the trained model sees: give "
            "the run folder, with the engine torch",
            "engine",
        )
    source = PreparedImage(image, predictor.card.data)
    height, width = source.working
    pixels = np.ascontiguousarray(source.rows(0, height))
    small = working_size(height, width, min(1.0, SIDE / max(height, width)))
    return np.asarray(features(resize_image(pixels, small)[None])[0].numpy(), np.float64)


@dataclass(frozen=True, eq=False)
class Reference:
    """What new images are compared with.

    Attributes:
        mean, scale: (F,) of the features of the training images.
        points: (n, F) the training images, less the mean and divided by the scale.
        null: (n,) distance of each training image from those of other groups.
        groups: (n,) number of the group of each.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    points: NDArray[np.float64]
    null: NDArray[np.float64]
    groups: NDArray[np.float64]

    @classmethod
    def of(cls, features: NDArray[np.float64], groups: Sequence[str | None], seed: int = 0) -> Reference:
        """Describe training images by their features (n, F) and groups; one without a group stands by itself."""
        keys = row_keys(groups)
        if len(set(keys)) == 1:
            keys = row_keys([None] * len(groups))  # of one group, nothing tells how far another one would lie
        names = list(dict.fromkeys(keys))
        order = np.random.default_rng(seed).permutation(len(names))
        fold_of = {name: int(place) % FOLDS for name, place in zip(names, order, strict=True)}
        fold = np.array([fold_of[key] for key in keys])
        null = np.zeros(len(features))
        for number in set(fold_of.values()):
            out = fold == number
            null[out] = cls._plain(features[~out]).distances(features[out])
        whole = cls._plain(features)
        place_of = {name: float(place) for place, name in enumerate(names)}
        return replace(whole, null=null, groups=np.array([place_of[key] for key in keys]))

    @classmethod
    def _plain(cls, features: NDArray[np.float64]) -> Reference:
        mean, spread = features.mean(0), features.std(0)
        scale = spread + 1e-3 * max(float(spread.max(initial=0.0)), 1e-12)
        return cls(mean, scale, (features - mean) / scale, np.zeros(0), np.zeros(0))

    def distances(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the distance (m,) of images with features (m, F) from the training images."""
        points = (features - self.mean) / self.scale
        apart = np.stack([np.linalg.norm(self.points - point, axis=1) for point in points])
        return np.asarray(np.sort(apart, axis=1)[:, :NEAREST].mean(1))

    def chances(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the p-value (m,) of each distance: the share of honest new images that lie at least as far."""
        beyond = len(self.null) - np.searchsorted(np.sort(self.null), distances, side="left")
        return np.asarray((1 + beyond) / (1 + len(self.null)))

    def save(self, path: Path, model: str) -> None:
        """Write it, atomically; `model` is the digest of the model that it belongs to.

        Raises:
            MaskwrightError: the file cannot be written.
        """
        arrays = {name: np.ascontiguousarray(value, np.float32) for name, value in vars(self).items()}
        write_bytes(path, safetensors.numpy.save(arrays, {"model": model}))

    @classmethod
    def load(cls, path: Path, model: str) -> Reference | None:
        """Read it; None if there is none, or if it belongs to another model.

        Raises:
            MaskwrightError: the file is damaged.
        """
        if not path.exists():
            return None
        try:
            with safetensors.safe_open(path, "numpy") as file:
                if (file.metadata() or {}).get("model") != model:
                    return None
                arrays = {each.name: file.get_tensor(each.name).astype(np.float64) for each in fields(cls)}
        except (safetensors.SafetensorError, OSError) as error:
            raise MaskwrightError(f"{path} is damaged ({error}): delete it, and diagnose the model again") from None
        return cls(**arrays)


def folder_chance(
    reference: Reference, distances: NDArray[np.float64], groups: Sequence[str | None], seed: int = 0
) -> float:
    """Return how likely images lie on the whole this far from the training images if nothing but chance is at work.

    A permutation test of the mean rank, one-sided; images of one group count as one.

    Args:
        reference: of the training images.
        distances: (m,) of the images.
        groups: (m,) of the images.
        seed: of the permutations.
    """
    own, honest = _means(distances, row_keys(groups)), _means(reference.null, reference.groups.tolist())
    both = np.concatenate([own, honest])
    level = np.sort(both)
    ranks = np.searchsorted(level, both, side="left") + np.searchsorted(level, both, side="right")
    rng = np.random.default_rng(seed)
    draws = np.array([ranks[rng.permutation(len(both))[: len(own)]].mean() for _ in range(PERMUTATIONS)])
    return float((1 + (draws >= ranks[: len(own)].mean() - 1e-9).sum()) / (1 + PERMUTATIONS))


def _means(values: NDArray[np.float64], keys: Sequence[Hashable]) -> NDArray[np.float64]:
    """Return the mean of each group."""
    members: dict[Hashable, list[float]] = {}
    for value, key in zip(values.tolist(), keys, strict=True):
        members.setdefault(key, []).append(value)
    return np.array([np.mean(group) for group in members.values()])
