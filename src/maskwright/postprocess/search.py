"""Searches the dense CRF's parameters on validation images. Knows probabilities and truth, and no model.

Chen et al. 2015, section 5: w1, theta_alpha and theta_beta are searched on validation images, coarse to fine, by IoU;
the smoothness kernel stays at w2 = 3, theta_gamma = 3.

Where we differ: w2 is searched too, and only theta_gamma stays fixed; a coordinate search doubles or halves one
parameter at a time, then multiplies or divides by the square root of two; it maximises the mean of IoU and boundary
IoU.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.text import percent, plural
from maskwright.metrics.boundary import boundary_counts
from maskwright.metrics.confusion import confusion_matrix, iou, mean_defined, per_class
from maskwright.metrics.judge import most_likely
from maskwright.postprocess.crf import refine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maskwright.core.plan import CrfPlan
    from maskwright.postprocess.base import Sample

START_SHARE = 0.25  # of the time, at most, for the starting point: on fewer samples if all would take longer
AXES = ("w1", "theta_beta", "w2", "theta_alpha")
FACTORS = (2.0, 2**0.5)
LEAST = {"theta_alpha": 1.0, "theta_beta": 1.0, "w1": 0.01, "w2": 0.01}
MOST = {"theta_alpha": 1000.0, "theta_beta": 255.0, "w1": 100.0, "w2": 100.0}


@dataclass(frozen=True)
class Quality:
    """Means over classes of IoU and boundary IoU, each 0..1, from the pixels of all samples together."""

    iou: float
    boundary_iou: float

    @property
    def value(self) -> float:
        """The quantity that the search maximises."""
        return (self.iou + self.boundary_iou) / 2


@dataclass(frozen=True)
class CrfFit:
    """What the search found.

    Attributes:
        settings: the best that were tried.
        without: quality of the network's own labels.
        quality: with `settings`.
        images: number of samples searched on.
        tried: number of settings tried.
    """

    settings: CrfPlan
    without: Quality
    quality: Quality
    images: int
    tried: int

    @property
    def helps(self) -> bool:
        """Whether the best settings beat no CRF at all."""
        return self.quality.value > self.without.value

    @property
    def at_limit(self) -> tuple[str, ...]:
        """Parameters that ended at the smallest or largest value tried: better ones may lie beyond."""
        ended = self.settings.model_dump()
        return tuple(axis for axis in AXES if ended[axis] in {LEAST[axis], MOST[axis]})

    def sentence(self) -> str:
        """Say what the search found."""
        tried = "there was time for only one setting" if self.tried == 1 else f"{self.tried} settings tried"
        text = (
            f"dense CRF fitted on {plural(self.images, 'validation image')} ({tried}): {describe(self.settings)}; "
            f"IoU {percent(self.without.iou)} -> {percent(self.quality.iou)}, boundary IoU "
            f"{percent(self.without.boundary_iou)} -> {percent(self.quality.boundary_iou)} on these"
        )
        if self.at_limit:
            text += f"; {' and '.join(self.at_limit)} ended at the limit of the search"
        return text if self.helps else f"{text}: the CRF did not help"

    def to_json(self) -> dict[str, Any]:
        """Return the fit as plain JSON."""
        return {**asdict(self), "settings": self.settings.model_dump(), "helps": self.helps}


def describe(settings: CrfPlan) -> str:
    """Write the parameters in one line."""
    return ", ".join(f"{name} {value:g}" for name, value in settings.model_dump().items())


def search(samples: Sequence[Sample], start: CrfPlan, deadline: float | None = None) -> CrfFit:
    """Search the parameters.

    Args:
        samples: at least one.
        start: where to begin; its `theta_gamma` and `iterations` stay.
        deadline: in seconds of `time.monotonic()`; None for no limit. Nothing starts that would probably end after it,
            except the starting point on the first sample. Samples that the starting point has no time for are left out.
    """
    began = time.monotonic()
    refined = _refined(start, samples, None if deadline is None else began + START_SHARE * (deadline - began))
    samples = samples[: len(refined)]
    without = _quality([most_likely(sample.probabilities) for sample in samples], samples)
    known = {_key(start): _quality(refined, samples)}
    best = start
    for factor in FACTORS:
        for axis in AXES:
            for direction in (factor, 1 / factor):
                best, improved = _along(axis, direction, best, (known, samples, deadline, began))
                if improved:
                    break
    return CrfFit(best, without, known[_key(best)], len(samples), len(known))


_Search = tuple[dict[tuple[float, ...], Quality], "Sequence[Sample]", float | None, float]


def _along(axis: str, factor: float, best: CrfPlan, state: _Search) -> tuple[CrfPlan, bool]:
    """Step along one axis as long as it helps and time allows."""
    known, samples, deadline, began = state
    improved = False
    while True:
        value = float(np.clip(getattr(best, axis) * factor, LEAST[axis], MOST[axis]))
        tried = best.model_copy(update={axis: float(f"{value:.4g}")})
        if _key(tried) not in known:
            now = time.monotonic()
            if deadline is not None and now + (now - began) / len(known) > deadline:
                return best, improved
            quality = _with(tried, samples, deadline)
            if quality is None:
                return best, improved
            known[_key(tried)] = quality
        if known[_key(tried)].value <= known[_key(best)].value:
            return best, improved
        best, improved = tried, True


def _key(settings: CrfPlan) -> tuple[float, ...]:
    return tuple(getattr(settings, axis) for axis in AXES)


def _with(settings: CrfPlan, samples: Sequence[Sample], deadline: float | None) -> Quality | None:
    """Evaluate settings on all samples; None if time does not allow it."""
    refined = _refined(settings, samples, deadline)
    return _quality(refined, samples) if len(refined) == len(samples) else None


def _refined(settings: CrfPlan, samples: Sequence[Sample], deadline: float | None) -> list[NDArray[np.uint8]]:
    """Return the labels (H, W) of the first sample, and of those after it that will probably finish in time."""
    labels: list[NDArray[np.uint8]] = []
    began = time.monotonic()
    for sample in samples:
        now = time.monotonic()
        if labels and deadline is not None and now + (now - began) / len(labels) > deadline:
            break
        labels.append(most_likely(refine(sample.probabilities.astype(np.float32), sample.image, settings)))
    return labels


def _quality(labels: list[NDArray[np.uint8]], samples: Sequence[Sample]) -> Quality:
    """Score label maps (H, W), one per sample."""
    classes = len(samples[0].probabilities)
    regions = np.zeros((classes, classes), np.int64)
    edges = np.zeros((classes, 3), np.int64)
    for found, sample in zip(labels, samples, strict=True):
        regions += confusion_matrix(found, sample.truth, classes)
        seen = np.where(sample.truth == IGNORE, sample.truth, found)
        edges += boundary_counts(seen, sample.truth, classes)
    return Quality(*(float(np.nan_to_num(mean_defined(iou(counts)))) for counts in (per_class(regions), edges)))
