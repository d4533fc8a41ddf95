"""Compares an exported network with the trained one on real images. Knows no file format.

An export is handed over only if it passes: an export that differs from the model is what users complain about most.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.channels import emits_objects
from maskwright.exporting.object_parity import shared_objects
from maskwright.inference.predictor import Predictor
from maskwright.ops.images import resize_image
from maskwright.tasks.by_objects import least_score

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from maskwright.core.channels import Channels
    from maskwright.core.instances import Instances

MOST_SIDE = 1024
"""Of the upper left part of an image whose maps are compared: both are held at once, with all classes."""
LEAST_SIDE = 331
"""Images are compared in the tiles of the card, and stretched to one tile half as large again, whose sides are at least
this long: a graph may be right at one size only."""
SAME_LABELS = 0.98
"""Share of the pixels that must keep their label in floating point, or of the objects that both networks must find,
whatever the score says: a score may hide two errors that cancel. In int8, pixels between two classes change theirs
without loss, so the score alone decides."""
SAME_MAPS = 0.01
"""Largest difference of activated maps in float32, where nothing is rounded: faithful exports differ by 1e-6, and a
resize by another rule by 0.3 and more, which may change few labels and no score."""


@dataclass(frozen=True)
class Agreement:
    """How far the maps, or the objects, of two networks agree.

    Attributes:
        images: that were compared, each with tiles of two sizes.
        labels: share of pixels with the same label; of objects, share of those that both networks find.
        largest: largest difference between activated maps, or between the scores of an object.
        objects: whether the networks emit objects.
    """

    images: int
    labels: float
    largest: float
    objects: bool = False

    def fault(self, *, exact: bool) -> str | None:
        """Say why these cannot be two copies of one network; None if they can.

        Args:
            exact: both are in float32.
        """
        if self.labels < SAME_LABELS:
            what = "objects are found by both" if self.objects else "pixels keep their label"
            return f"only {100 * self.labels:.1f} % of the {what}, and {100 * SAME_LABELS:g} % must"
        if exact and not self.objects and self.largest > SAME_MAPS:
            return f"the maps differ by up to {self.largest:.2g}, and {SAME_MAPS:g} is the limit in float32"
        return None


@dataclass(frozen=True)
class Side:
    """Figures of one of the two networks: its score, milliseconds for a tile, and bytes of its files."""

    score: float
    milliseconds: float
    bytes: int


@dataclass(frozen=True)
class Parity:
    """The comparison of an export with the trained network.

    Attributes:
        metric: what `score` is, for people.
        higher_is_better: whether a higher score is the better one.
        tile: (height, width) that the times are for.
        agreement: of the maps.
        trained: figures of the trained network, run by PyTorch in float32.
        exported: figures of the export.
        interval: 95 % interval of the loss over images, in points; None where the images give none.
    """

    metric: str
    higher_is_better: bool
    tile: tuple[int, int]
    agreement: Agreement
    trained: Side
    exported: Side
    interval: tuple[float, float] | None = None

    @property
    def loss(self) -> float:
        """What the score lost, in points of 0.01; negative for a gain."""
        loss = 100 * (self.trained.score - self.exported.score)
        return loss if self.higher_is_better else -loss

    @property
    def speedup(self) -> float:
        """How many times as fast the export is."""
        return self.trained.milliseconds / self.exported.milliseconds

    def fault(self, allowed: float, *, rounded: bool = False, exact: bool = False) -> str | None:
        """Say why the export must not be handed over; None if it may.

        Args:
            allowed: largest loss, in points.
            rounded: the export is int8, so labels may change.
            exact: the export is in float32, weights too.
        """
        if self.loss > allowed:
            return f"the export loses {self.loss:.2f} points of {self.metric}, and {allowed:g} are allowed"
        return None if rounded else self.agreement.fault(exact=exact)

    def to_json(self) -> dict[str, Any]:
        """Return all figures as plain JSON."""
        return {**asdict(self), "loss": self.loss, "speedup": self.speedup}


def agreement(trained: Predictor, exported: Predictor, images: Iterable[NDArray[Any]]) -> Agreement:
    """Compare the maps, or the objects, of two networks on images, each with tiles of two sizes."""
    parts = [image[:MOST_SIDE, :MOST_SIDE] for image in images]
    seen = _seen(trained, exported, parts)
    if emits_objects(trained.card.channels):
        pairs = (pair for ours, theirs, image in seen for pair in _objects(ours, theirs, image))
        same, largest = shared_objects(pairs, least_score(trained.card.decoding))
        return Agreement(len(parts), same, largest, objects=True)
    return Agreement(len(parts), *_same_labels(seen, trained.card.channels))


def _seen(
    trained: Predictor, exported: Predictor, images: Iterable[NDArray[Any]]
) -> Iterator[tuple[Predictor, Predictor, NDArray[Any]]]:
    """Yield both networks with each image: in the tiles of the card, and stretched to one larger tile."""
    tile = trained.card.predict.tile_size
    size = (max(LEAST_SIDE, 3 * tile[0] // 2), max(LEAST_SIDE, 3 * tile[1] // 2))
    larger = _with_tile(trained, size), _with_tile(exported, size)
    for image in images:
        yield trained, exported, image
        yield *larger, resize_image(image, size)


def _same_labels(
    seen: Iterable[tuple[Predictor, Predictor, NDArray[Any]]], groups: Sequence[Channels]
) -> tuple[float, float]:
    """Return the share of pixels with the same label, and the largest difference between activated maps."""
    same = pixels = 0
    largest = 0.0
    for first, second, image in seen:
        ours, theirs = first.maps(image), second.maps(image)
        known = np.isfinite(ours).all(axis=0)
        sound = known & np.isfinite(theirs).all(axis=0)
        difference = np.abs(ours - theirs)[:, sound].max(initial=0.0) if sound.sum() == known.sum() else np.inf
        largest = max(largest, float(difference))
        same += int(np.count_nonzero((labels(ours, groups) == labels(theirs, groups)) & sound))
        pixels += int(known.sum())
    return same / max(pixels, 1), largest


def _objects(trained: Predictor, exported: Predictor, image: NDArray[Any]) -> Iterator[tuple[Instances, Instances]]:
    """Yield what both networks emit in each tile of an image."""
    for ours, theirs in zip(trained.blocks(image), exported.blocks(image), strict=True):
        assert ours.objects is not None
        assert theirs.objects is not None
        yield ours.objects, theirs.objects


def labels(maps: NDArray[np.float32], groups: Iterable[Channels]) -> NDArray[np.int64]:
    """Return one label (H, W) for each pixel of activated maps (C, H, W): the first group's class, or what it marks."""
    group = next(iter(groups))
    part = maps[: group.count]
    if group.activation == "softmax":
        return part.argmax(axis=0)
    return (part > 0.5).astype(np.int64).argmax(axis=0) if group.count > 1 else (part[0] > 0.5).astype(np.int64)


def _with_tile(predictor: Predictor, size: tuple[int, int]) -> Predictor:
    plan = predictor.card.predict.model_copy(update={"tile": size})
    data = predictor.card.data.model_copy(update={"scale": 1.0, "sides": None})
    return Predictor(predictor.engine, predictor.card.model_copy(update={"predict": plan, "data": data}))
