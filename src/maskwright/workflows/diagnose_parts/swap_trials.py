"""Swaps parts of held-out images for those of training images, and counts what the model then finds elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.seeds import generator
from maskwright.diagnosis import shortcuts as measures
from maskwright.diagnosis import swaps
from maskwright.diagnosis.pixel_labels import pixel_labels
from maskwright.workflows.diagnose_parts.donors import sample_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.workflows.diagnose_parts.donors import Donors, Sample
    from maskwright.workflows.diagnose_parts.study import Look, Study

    Swapped = tuple[NDArray[Any], NDArray[np.bool_]]

MOST_IMAGES = 60
WORDS = {
    "corners": "the corners",
    "frame": "the strip along the frame",
    "background": "the background away from objects",
    "colour": "the colour cast",
}


@dataclass
class Trials:
    """What came out so far: one entry an image."""

    groups: list[str | None] = field(default_factory=list)
    more: list[NDArray[np.float64]] = field(default_factory=list)
    either: list[NDArray[np.float64]] = field(default_factory=list)
    changed: list[NDArray[np.float64]] = field(default_factory=list)
    grey: list[float] = field(default_factory=list)
    pairs: list[tuple[Look, Sample, Sample, NDArray[np.int8]]] = field(default_factory=list)


def tried(study: Study, donors: Donors, until: float, deadline: float) -> Trials:
    """Swap the parts of held-out images until the time is up; the fewest that tell anything may take longer.

    Args:
        study: of the model.
        donors: whose parts are taken.
        until: when no image is begun any more, once there are enough, in seconds of `time.monotonic()`.
        deadline: when none is begun at all.
    """
    trials, report = Trials(), study.progress("swap parts of images")
    looks = [look for look in study.looks if (look.truth != IGNORE).any()][:MOST_IMAGES]
    for place, look in enumerate(looks):
        if time.monotonic() > (until if place >= measures.FEWEST else deadline):
            break
        sample = sample_of(study, look.record)
        if sample is None or sample.image.dtype != donors.samples[0].image.dtype:
            continue
        rng = generator(study.request.seed, "shortcuts", place)
        _try(study, trials, look, sample, donors.pair(place, rng, look.record.id))
        report(place + 1, len(looks))
    return trials


def _try(
    study: Study, trials: Trials, look: Look, sample: Sample, pair: tuple[Sample, Sample, NDArray[np.int8]]
) -> None:
    """Swap each part of one image for those of two others, and count."""
    one, other, sign = pair
    classes, background = len(study.classes), study.classes.background
    more, either = np.zeros((2, len(WORDS), classes))
    changed = np.full(len(WORDS), np.nan)
    for row, name in enumerate(WORDS):
        swaps_made = [swapped(name, sample, donor, background) for donor in (one, other)]
        if any(mask.all() for _, mask in swaps_made) or (
            name == "background" and not all(m.any() for _, m in swaps_made)
        ):
            continue
        seen = (look.truth != IGNORE) & ~(swaps_made[0][1] | swaps_made[1][1])
        maps = [labels_of(study, image) for image, _ in swaps_made]
        difference, area = measures.areas(maps[0], maps[1], seen, classes)
        more[row], either[row] = difference * sign, area * (sign != 0)
        assert look.labels is not None
        changed[row] = np.mean([(labels != look.labels)[seen].mean() if seen.any() else 0.0 for labels in maps])
    trials.groups.append(look.record.group)
    trials.more.append(more)
    trials.either.append(either)
    trials.changed.append(changed)
    trials.pairs.append((look, one, other, sign))
    colourless = swaps.grey(sample.image)
    if colourless is not None:
        trials.grey.append(float((labels_of(study, colourless) != look.labels).mean()))


def swapped(name: str, sample: Sample, donor: Sample, background: int | None) -> Swapped:
    """Return an image with one part of another, and the pixels (H, W) that were swapped."""
    size = sample.truth.shape[0], sample.truth.shape[1]
    if name == "colour":
        plain = [None if background is None else entry.truth == background for entry in (sample, donor)]
        return swaps.recoloured(sample.image, donor.image, *plain), np.zeros(size, np.bool_)
    if name == "background":
        mask = np.zeros(size, np.bool_)
        if background is not None:
            mask = swaps.background(sample.truth, donor.truth, background)
    else:
        mask = swaps.corners(size) if name == "corners" else swaps.frame(size)
    return swaps.pasted(sample.image, donor.image, mask), mask


def labels_of(study: Study, image: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the predicted class of each pixel of an image."""
    size = image.shape[0], image.shape[1]
    labels, _ = pixel_labels(study.predictor.result(image), size, study.classes)
    assert labels is not None
    return labels
