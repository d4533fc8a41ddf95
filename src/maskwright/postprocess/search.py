"""Searches a postprocessor's settings on validation images. Knows probabilities and truth, and no model.

Chen et al. 2015, section 5: w1, theta_alpha and theta_beta of the dense CRF are searched on validation images, coarse
to fine, by IoU; the smoothness kernel stays at w2 = 3, theta_gamma = 3.

Where we differ: w2 is searched too, and only theta_gamma stays fixed; a coordinate search doubles or halves one
setting at a time, then multiplies or divides by the square root of two; it maximises the mean of IoU and boundary IoU.
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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maskwright.core.plan import Section
    from maskwright.postprocess.base import Postprocessor, Sample

START_SHARE = 0.25  # of the time, at most, for the starting point: on fewer samples if all would take longer
FACTORS = (2.0, 2**0.5)


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
class Fit:
    """What the search found.

    Attributes:
        method: whose settings were searched.
        settings: the best that were tried.
        without: quality of the network's own labels.
        quality: with `settings`.
        images: number of samples searched on.
        tried: number of settings tried.
    """

    method: type[Postprocessor]
    settings: Any
    without: Quality
    quality: Quality
    images: int
    tried: int

    @property
    def helps(self) -> bool:
        """Whether the best settings beat no postprocessor at all."""
        return self.quality.value > self.without.value

    @property
    def at_limit(self) -> tuple[str, ...]:
        """Settings that ended at the smallest or largest value tried: better ones may lie beyond."""
        ended = self.settings.model_dump()
        return tuple(axis for axis, limits in self.method.limits.items() if ended[axis] in limits)

    def sentence(self) -> str:
        """Say what the search found."""
        tried = "there was time for only one setting" if self.tried == 1 else f"{self.tried} settings tried"
        text = (
            f"{self.method.label} fitted on {plural(self.images, 'validation image')} ({tried}): "
            f"{self.method(self.settings).describe()}; IoU {percent(self.without.iou)} -> {percent(self.quality.iou)}, "
            f"boundary IoU {percent(self.without.boundary_iou)} -> {percent(self.quality.boundary_iou)} on these"
        )
        if self.at_limit:
            text += f"; {' and '.join(self.at_limit)} ended at the limit of the search"
        return text if self.helps else f"{text}: the {self.method.label} did not help"

    def to_json(self) -> dict[str, Any]:
        """Return the fit as plain JSON."""
        qualities = {"without": asdict(self.without), "quality": asdict(self.quality)}
        counts = {"images": self.images, "tried": self.tried, "helps": self.helps}
        return {"settings": self.settings.model_dump(), **qualities, **counts}


def describe(settings: Section) -> str:
    """Write the settings in one line."""
    return ", ".join(f"{name} {value:g}" for name, value in settings.model_dump().items())


def search(
    method: type[Postprocessor],
    samples: Sequence[Sample],
    start: Any,
    deadline: float | None = None,
    others: Sequence[Any] = (),
) -> Fit:
    """Search the settings of a postprocessor.

    Args:
        method: whose settings are searched, within its `limits`; the others stay.
        samples: at least one.
        start: where to begin.
        deadline: in seconds of `time.monotonic()`; None for no limit. Nothing starts that would probably end after it,
            except the starting point on the first sample. Samples that the starting point has no time for are left out.
        others: settings to begin with if they are better than `start`.
    """
    began = time.monotonic()
    refined = _refined(method(start), samples, None if deadline is None else began + START_SHARE * (deadline - began))
    samples = samples[: len(refined)]
    without = quality([most_likely(sample.maps[: sample.classes]) for sample in samples], samples)
    known = {_key(method, start): quality(refined, samples)}
    best, state = start, (method, known, samples, deadline, began)
    for other in others:
        best = other if _beats(other, best, state) else best
    for factor in FACTORS:
        for axis in method.limits:
            for direction in (factor, 1 / factor):
                best, improved = _along(axis, direction, best, state)
                if improved:
                    break
    return Fit(method, best, without, known[_key(method, best)], len(samples), len(known))


_Search = tuple["type[Postprocessor]", dict[tuple[float, ...], Quality], "Sequence[Sample]", float | None, float]


def _along(axis: str, factor: float, best: Any, state: _Search) -> tuple[Any, bool]:
    """Step along one axis as long as it helps and time allows."""
    improved = False
    while True:
        value = float(np.clip(getattr(best, axis) * factor, *state[0].limits[axis]))
        tried = best.model_copy(update={axis: float(f"{value:.4g}")})
        if not _beats(tried, best, state):
            return best, improved
        best, improved = tried, True


def _beats(tried: Any, best: Any, state: _Search) -> bool:
    """Whether settings are better than the best so far; not if time does not allow to try them."""
    method, known, samples, deadline, began = state
    key = _key(method, tried)
    if key not in known:
        now = time.monotonic()
        if deadline is not None and now + (now - began) / len(known) > deadline:
            return False
        found = _with(method(tried), samples, deadline)
        if found is None:
            return False
        known[key] = found
    return known[key].value > known[_key(method, best)].value


def _key(method: type[Postprocessor], settings: Any) -> tuple[float, ...]:
    return tuple(getattr(settings, axis) for axis in method.limits)


def _with(tried: Postprocessor, samples: Sequence[Sample], deadline: float | None) -> Quality | None:
    """Evaluate settings on all samples; None if time does not allow it."""
    refined = _refined(tried, samples, deadline)
    return quality(refined, samples) if len(refined) == len(samples) else None


def _refined(tried: Postprocessor, samples: Sequence[Sample], deadline: float | None) -> list[NDArray[np.uint8]]:
    """Return the labels (H, W) of the first sample, and of those after it that will probably finish in time."""
    labels: list[NDArray[np.uint8]] = []
    began = time.monotonic()
    for sample in samples:
        now = time.monotonic()
        if labels and deadline is not None and now + (now - began) / len(labels) > deadline:
            break
        maps = tried.apply(sample.maps.astype(np.float32), sample.image, sample.cuts)
        labels.append(most_likely(maps[: sample.classes]))
    return labels


def quality(labels: list[NDArray[np.uint8]], samples: Sequence[Sample]) -> Quality:
    """Score label maps (H, W), one per sample."""
    classes = samples[0].classes
    regions = np.zeros((classes, classes), np.int64)
    edges = np.zeros((classes, 3), np.int64)
    for found, sample in zip(labels, samples, strict=True):
        regions += confusion_matrix(found, sample.truth, classes)
        seen = np.where(sample.truth == IGNORE, sample.truth, found)
        edges += boundary_counts(seen, sample.truth, classes)
    return Quality(*(float(np.nan_to_num(mean_defined(iou(counts)))) for counts in (per_class(regions), edges)))
