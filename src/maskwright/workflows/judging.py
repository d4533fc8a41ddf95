"""Judge a model on held-out records: samples to fit on, scores, examples. Knows no training and writes nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.seeds import generator
from maskwright.data.labels import read_pair
from maskwright.inference.predictor import Predictor
from maskwright.metrics.judge import Judge
from maskwright.ops.draw import to_rgb8
from maskwright.report.content import Example

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maskwright.core.events import OnProgress
    from maskwright.core.records import Dataset, Record
    from maskwright.metrics.scores import Scores

SAMPLE_IMAGES = 48
SAMPLE_PIXELS = 8192
LEAST_IMAGES = 8
EXAMPLES = 4


@dataclass(frozen=True)
class Sample:
    """What the model says about some validation pixels.

    Attributes:
        scores: log-probabilities (n, K), at temperature 1.
        truth: class indices (n,).
        images: number of the image of each pixel (n,).
    """

    scores: NDArray[np.float32]
    truth: NDArray[np.uint8]
    images: NDArray[np.int64]


def sample(
    predictor: Predictor, dataset: Dataset, records: Sequence[Record], seconds: float | None = None
) -> Sample | None:
    """Predict validation records and keep some pixels of each, for what is fitted after the training.

    Args:
        predictor: of temperature 1.
        dataset: how annotations are read.
        records: not those that the model is judged on.
        seconds: after these no further image is taken; None for no limit.

    Returns:
        The sample, or None where no pixel is labelled.
    """
    assert predictor.card.temperature == 1.0
    started = time.monotonic()
    scores: list[NDArray[np.float32]] = []
    truths: list[NDArray[np.uint8]] = []
    for record in _shuffled(records)[:SAMPLE_IMAGES]:
        if scores and seconds is not None and time.monotonic() - started > seconds:
            break
        image, truth = read_pair(dataset, record)
        probabilities = predictor.probabilities(image)
        known = np.flatnonzero(truth.ravel() < len(dataset.classes))
        if len(known) > SAMPLE_PIXELS:
            known = generator(0, "sample", record.id).choice(known, SAMPLE_PIXELS, replace=False)
        scores.append(np.log(np.maximum(probabilities.reshape(len(probabilities), -1)[:, known].T, 1e-12)))
        truths.append(truth.ravel()[known])
    if not sum(map(len, truths)):
        return None
    images = np.repeat(np.arange(len(truths)), [len(truth) for truth in truths])
    return Sample(np.concatenate(scores), np.concatenate(truths), images)


def judge(
    predictor: Predictor,
    dataset: Dataset,
    records: Sequence[Record],
    *,
    seconds: float | None = None,
    on_progress: OnProgress | None = None,
) -> Scores:
    """Predict the records at full precision and score them.

    Args:
        predictor: the model, its temperature fitted.
        dataset: how annotations are read.
        records: that neither training nor model selection saw.
        seconds: after these no further image is taken (eight are in any case), in a seeded shuffled order, so that
            what was judged is an even sample; None for all of them.
        on_progress: called with (images done, images in all).
    """
    started = time.monotonic()
    judging = Judge(dataset.classes.names, temperature=predictor.card.temperature)
    # The judge compares the probabilities before and after the temperature, so it is handed those before.
    untempered = predictor.card.model_copy(update={"temperature": 1.0})
    predictor = Predictor(predictor.segmenter, untempered, predictor.device)
    for done, record in enumerate(_shuffled(records), 1):
        image, truth = read_pair(dataset, record)
        judging.update(record.id, predictor.probabilities(image), truth, group=record.group)
        if on_progress is not None:
            on_progress(done, len(records))
        if seconds is not None and done >= LEAST_IMAGES and time.monotonic() - started > seconds:
            break
    return judging.compute()


def examples(predictor: Predictor, dataset: Dataset, records: Sequence[Record], scores: Scores) -> tuple[Example, ...]:
    """Return the images with the lowest scores, worst first, then those with the highest, best first."""
    by_id = {record.id: record for record in records}
    judged = sorted((entry for entry in scores.per_image if entry.iou is not None), key=lambda entry: entry.iou or 0.0)
    few = min(EXAMPLES, len(judged) // 2) or len(judged)
    chosen = judged if len(judged) <= 1 else [*judged[:few], *judged[: -few - 1 : -1]]
    found = []
    for entry in chosen:
        image, truth = read_pair(dataset, by_id[entry.id])
        found.append(Example(entry.id, to_rgb8(image), truth, predictor.labels(image), entry.iou))
    return tuple(found)


def _shuffled(records: Sequence[Record]) -> list[Record]:
    ordered = sorted(records, key=lambda record: record.id)
    return [ordered[place] for place in generator(0, "judge").permutation(len(ordered))]
