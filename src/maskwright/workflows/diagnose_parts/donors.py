"""Images of the training, to swap parts of other images with."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.diagnosis.shortcuts import told
from maskwright.ops.images import to_channels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.core.records import Record
    from maskwright.workflows.diagnose_parts.study import Study

MOST_DONORS = 64
MOST_PIXELS = 40_000_000
"""Of all donors together, which are kept in memory."""


@dataclass(frozen=True, eq=False)
class Sample:
    """An image with the channels of the model, and its classes."""

    record: Record
    image: NDArray[Any]
    truth: NDArray[np.uint8]


class Donors:
    """Images that lend their parts, and what each says of the classes.

    Attributes:
        samples: the images, all of one dtype and number of channels.
        from_training: whether they are of the training, or other held-out images.
        told: int8 (n, K), see `diagnosis.shortcuts.told`; 0 for the background.
    """

    def __init__(self, study: Study, deadline: float) -> None:
        records = study.records("train")
        self.from_training = len(records) >= 2
        self.samples = _read(study, records if self.from_training else study.records(), deadline)
        classes = len(study.classes)
        self.told = np.zeros((len(self.samples), classes), np.int8)
        if self.samples:
            self.told = told(np.stack([_shares(sample.truth, classes) for sample in self.samples]))
        if study.classes.background is not None:
            self.told[:, study.classes.background] = 0

    @property
    def targets(self) -> NDArray[np.intp]:
        """Classes that some of the images show and others do not."""
        return np.flatnonzero((self.told > 0).any(0) & (self.told < 0).any(0))

    def pair(self, place: int, rng: np.random.Generator, besides: str) -> tuple[Sample, Sample, NDArray[np.int8]]:
        """Draw an image that shows a class and one that does not.

        Args:
            place: counts the calls: the classes take turns.
            rng: draws.
            besides: id of an image that shall be neither.

        Returns:
            both, and int8 (K,): 1 for classes that the first one shows and the other does not, -1 the other way round.
        """
        target = self.targets[place % len(self.targets)]
        others = np.array([sample.record.id != besides for sample in self.samples])
        chosen = []
        for sign in (1, -1):
            fit = np.flatnonzero((self.told[:, target] == sign) & others)
            fit = fit if len(fit) else np.flatnonzero(self.told[:, target] == sign)
            chosen.append(int(rng.choice(fit)))
        return self.samples[chosen[0]], self.samples[chosen[1]], _differing(self.told[chosen[0]], self.told[chosen[1]])


def sample_of(study: Study, record: Record) -> Sample | None:
    """Read an image with its truth; None for one that cannot be read, which the study notes."""
    for _, image, target in study.pairs([record]):
        return Sample(record, _of_channels(image, study.predictor.card.data.channels), target.labels)
    return None


def _read(study: Study, records: tuple[Record, ...], deadline: float) -> list[Sample]:
    """Read images drawn at random; later ones of another dtype are left out."""
    ordered = sorted(records, key=lambda record: record.id)
    rng = np.random.default_rng(study.request.seed)
    samples: list[Sample] = []
    pixels = 0
    for place in rng.permutation(len(ordered)):
        sample = sample_of(study, ordered[place])
        if sample is None or (samples and sample.image.dtype != samples[0].image.dtype):
            continue
        samples.append(sample)
        pixels += sample.truth.size
        if len(samples) >= MOST_DONORS or pixels > MOST_PIXELS or time.monotonic() > deadline:
            break
    return samples


def _of_channels(image: NDArray[Any], channels: int) -> NDArray[Any]:
    """Convert to a number of channels; what is missing stays missing."""
    changed = to_channels(np.asarray(image), channels)
    if isinstance(image, np.ma.MaskedArray):
        return np.ma.masked_array(changed, to_channels(np.ma.getmaskarray(image).astype(np.uint8), channels) > 0)
    return changed


def _shares(truth: NDArray[np.uint8], classes: int) -> NDArray[np.float64]:
    return np.bincount(truth[truth != IGNORE], minlength=classes)[:classes] / truth.size


def _differing(one: NDArray[np.int8], other: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return the sign with which two images differ in each class, 0 where they do not, or nothing is told."""
    return np.where(one * other < 0, one, 0).astype(np.int8)
