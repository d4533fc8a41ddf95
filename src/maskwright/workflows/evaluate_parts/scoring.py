"""Judge a model on held-out records: samples to fit on, scores, examples. Knows no training and writes nothing.

Each part takes a `deadline`, in seconds of `time.monotonic()`, and does less rather than pass it. A file that cannot
be read, or does not fit the model, is told to `on_fault` and left out.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.errors import MaskwrightError
from maskwright.core.seeds import generator
from maskwright.data.labels import read_pair
from maskwright.inference.predictor import Predictor, decide
from maskwright.metrics.judge import Judge
from maskwright.ops.draw import to_rgb8
from maskwright.report.content import Example

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from maskwright.core.events import OnProgress
    from maskwright.core.records import Dataset, Record
    from maskwright.metrics.scores import ImageScore, Scores

    OnFault = Callable[[Record, MaskwrightError], None]

SAMPLE_IMAGES = 48
SAMPLE_PIXELS = 100_000
SAMPLE_VALUES = 4_000_000
"""Most pixels, and most pixels times classes, that are sampled: what is fitted is a few numbers a class."""
LEAST_IMAGES = 4
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


def ignore_fault(_record: Record, _error: MaskwrightError) -> None:
    """Say nothing, as somebody else has said it or will."""


def left_out(error: MaskwrightError) -> str:
    """Say that an image was left out, and why."""
    return f"an image was left out: {error}"


def sample(
    predictor: Predictor,
    dataset: Dataset,
    records: Sequence[Record],
    *,
    deadline: float | None = None,
    on_fault: OnFault = ignore_fault,
) -> Sample | None:
    """Predict validation records and keep some pixels of each, for what is fitted after the training.

    Args:
        predictor: of temperature 1.
        dataset: how annotations are read.
        records: not those that the model is judged on.
        deadline: no image is begun that would probably not be done by then, except the first; None for no limit.
        on_fault: told of each record that cannot be read.

    Returns:
        The sample, or None where no pixel is labelled.
    """
    assert predictor.card.temperature == 1.0
    classes = len(dataset.classes)
    clock = _Clock(deadline)
    each = min(SAMPLE_PIXELS, SAMPLE_VALUES // classes) // max(min(len(records), SAMPLE_IMAGES), 1)
    scores: list[NDArray[np.float32]] = []
    truths: list[NDArray[np.uint8]] = []
    for record, image, truth in islice(_pairs(predictor, dataset, records, on_fault), SAMPLE_IMAGES):
        known = np.flatnonzero(truth.ravel() < classes)
        if len(known) > each:
            known = generator(0, "sample", record.id).choice(known, each, replace=False)
        scores.append(np.log(np.maximum(_probabilities_at(predictor, image, known), 1e-12)))
        truths.append(truth.ravel()[known])
        clock.done += 1
        if clock.over(1):
            break
    if not sum(map(len, truths)):
        return None
    images = np.repeat(np.arange(len(truths)), [len(truth) for truth in truths])
    return Sample(np.concatenate(scores), np.concatenate(truths), images)


def judge(
    predictor: Predictor,
    dataset: Dataset,
    records: Sequence[Record],
    *,
    deadline: float | None = None,
    on_progress: OnProgress | None = None,
    on_fault: OnFault = ignore_fault,
) -> Scores:
    """Predict the records at full precision and score them.

    Args:
        predictor: the model, its temperature fitted.
        dataset: how annotations are read.
        records: that neither training nor model selection saw.
        deadline: no image is begun after which there would be no time left for some `examples`, except the first four;
            the order is shuffled by a fixed seed, so that what was judged is an even sample. None for all of them.
        on_progress: called with (images done, images in all).
        on_fault: told of each record that cannot be read.

    Raises:
        MaskwrightError: not one record can be read.
    """
    clock = _Clock(deadline)
    judging = Judge(dataset.classes.names, temperature=1.0 if predictor.crf else predictor.card.temperature)
    faults: list[MaskwrightError] = []

    def missed(record: Record, error: MaskwrightError) -> None:
        faults.append(error)
        on_fault(record, error)

    predictor = _untempered(predictor)
    for record, image, truth in _pairs(predictor, dataset, records, missed):
        _put(judging, predictor, record, (image, truth))
        clock.done += 1
        if on_progress is not None:
            on_progress(clock.done + len(faults), len(records))
        if clock.done >= LEAST_IMAGES and clock.over(1 + min(max(clock.done // 4, 2), 2 * EXAMPLES)):
            break
    if not clock.done and faults:
        raise MaskwrightError(f"none of the {len(records)} images can be judged; the first: {faults[0]}")
    return judging.compute()


def seconds_each(predictor: Predictor, dataset: Dataset, records: Sequence[Record], enough: float) -> float:
    """Measure what it takes to judge one image: the second try counts, unless the first took `enough` seconds.

    Returns:
        Seconds, or 0 where no record can be read.
    """
    taken = 0.0
    predictor = _untempered(predictor)
    started = time.monotonic()
    for record, image, truth in islice(_pairs(predictor, dataset, records, ignore_fault), 2):
        _put(Judge(dataset.classes.names), predictor, record, (image, truth))
        taken = time.monotonic() - started
        if taken > enough:
            break
        started = time.monotonic()
    return taken


def examples(
    predictor: Predictor,
    dataset: Dataset,
    records: Sequence[Record],
    scores: Scores,
    *,
    deadline: float | None = None,
) -> tuple[Example, ...]:
    """Return the images with the lowest scores, worst first, then those with the highest, best first.

    Args:
        predictor: the model.
        dataset: how annotations are read.
        records: those judged, among others.
        scores: that they had.
        deadline: after it there are fewer of each, but at least one.
    """
    by_id = {record.id: record for record in records}
    judged = sorted((entry for entry in scores.per_image if entry.iou is not None), key=lambda entry: entry.iou or 0.0)

    def shown(entry: ImageScore) -> Example:
        image, truth = read_pair(dataset, by_id[entry.id])
        return Example(entry.id, to_rgb8(image), truth, predictor.labels(image), entry.iou)

    if len(judged) <= 1:
        return tuple(map(shown, judged))
    clock = _Clock(deadline)
    worst: list[Example] = []
    best: list[Example] = []
    for low, high in islice(zip(judged, reversed(judged), strict=True), min(EXAMPLES, len(judged) // 2)):
        worst.append(shown(low))
        best.append(shown(high))
        clock.done += 1
        if clock.over(1):
            break
    return (*worst, *best)


class _Clock:
    """Tells from the mean time of what is done whether so much more would end after the deadline."""

    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline
        self.started = time.monotonic()
        self.done = 0

    def over(self, more: int) -> bool:
        """Say whether `more` of the same would take too long."""
        if self.deadline is None:
            return False
        now = time.monotonic()
        return now + more * (now - self.started) / max(self.done, 1) > self.deadline


def _untempered(predictor: Predictor) -> Predictor:
    """Take the temperature off: the judge compares the probabilities before and after it. A CRF cannot do without."""
    if predictor.crf is not None:
        return predictor
    return Predictor(predictor.segmenter, predictor.card.model_copy(update={"temperature": 1.0}), predictor.device)


def _put(judging: Judge, predictor: Predictor, record: Record, pair: tuple[NDArray[Any], NDArray[np.uint8]]) -> None:
    """Predict an image and judge it, without ever holding all of its probabilities."""
    image, truth = pair
    stride = judging.calibration_stride
    labels = np.empty(truth.shape, np.uint8)
    thin = np.empty((len(judging.names), *(-(-side // stride) for side in truth.shape)), np.float32)
    for block in predictor.blocks(image):
        labels[block.rows, block.columns] = decide(block.probabilities)[0]
        top, left = (-(-part.start // stride) for part in (block.rows, block.columns))
        down, across = top * stride - block.rows.start, left * stride - block.columns.start
        part = block.probabilities[:, down::stride, across::stride].cpu().numpy()
        thin[:, top : top + part.shape[1], left : left + part.shape[2]] = part
    judging.update(record.id, labels, truth, group=record.group, thin=thin)


def _probabilities_at(predictor: Predictor, image: NDArray[Any], places: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the probabilities (n, K) float32 at places in the flattened image (n,)."""
    rows, columns = np.divmod(places, image.shape[1])
    found = np.empty((len(places), len(predictor.classes)), np.float32)
    for block in predictor.blocks(image):
        here = np.flatnonzero(
            (rows >= block.rows.start)
            & (rows < block.rows.stop)
            & (columns >= block.columns.start)
            & (columns < block.columns.stop)
        )
        part = block.probabilities.cpu().numpy()
        found[here] = part[:, rows[here] - block.rows.start, columns[here] - block.columns.start].T
    return found


def _pair_for(predictor: Predictor, dataset: Dataset, record: Record) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Decode a record that the model can be asked about.

    Raises:
        MaskwrightError: it cannot be read, or its pixel type is not one that the model fits.
    """
    image, truth = read_pair(dataset, record)
    try:
        predictor.check(image)
    except MaskwrightError as error:
        raise MaskwrightError(f"{record.image}: {error}") from error
    return image, truth


def _pairs(
    predictor: Predictor, dataset: Dataset, records: Sequence[Record], on_fault: OnFault
) -> Iterator[tuple[Record, NDArray[Any], NDArray[np.uint8]]]:
    """Decode the records, shuffled by a fixed seed, but for those that cannot be read or do not fit the model."""
    ordered = sorted(records, key=lambda record: record.id)
    for place in generator(0, "judge").permutation(len(ordered)):
        record = ordered[place]
        try:
            image, truth = _pair_for(predictor, dataset, record)
        except MaskwrightError as error:
            on_fault(record, error)
            continue
        yield record, image, truth
