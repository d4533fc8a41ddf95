"""Predict held-out records: samples to fit on, scores, examples. Knows no training and writes nothing.

Each part takes a `deadline`, in seconds of `time.monotonic()`, and does less work rather than exceed it. A file that
cannot be read, or does not fit the model, is passed to `on_fault` and left out.
"""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError
from maskwright.core.seeds import generator
from maskwright.core.text import plural
from maskwright.data.readers import DecodeError, image_size
from maskwright.data.sequences import scope
from maskwright.data.targets import read_sample
from maskwright.ops.draw import to_rgb8
from maskwright.ops.images import working_size_of
from maskwright.ops.tiles import cover
from maskwright.report.content import Example
from maskwright.report.pictures import reduced
from maskwright.tasks.base import Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from maskwright.core.events import OnProgress
    from maskwright.core.records import Dataset, Record
    from maskwright.core.targets import Target
    from maskwright.inference.predictor import Predictor
    from maskwright.metrics.scores import ImageScore, Scores
    from maskwright.tasks.base import Adjustments

    OnFault = Callable[[Record, MaskwrightError], None]

FIT_IMAGES = 48
LEAST_IMAGES = 4
EXAMPLES = 4
# Without a margin, two images of an untrained network foretold too little: of images of one size, 13 of 18 (cracks) and
# 79 of 101 (CamVid) were scored in time.
_MARGIN = 1.3
_SIZES = 100


def ignore_fault(_record: Record, _error: MaskwrightError) -> None:
    """Do nothing, as the fault is reported elsewhere."""


def left_out(error: MaskwrightError) -> str:
    """Say that an image was left out, and why."""
    return f"an image was left out: {error}"


def fit(
    predictor: Predictor,
    dataset: Dataset,
    records: Sequence[Record],
    *,
    deadline: float | None = None,
    fit_deadline: float | None = None,
) -> Adjustments:
    """Let the task fit its decoding on validation records.

    Args:
        predictor: without any decoding yet.
        dataset: how annotations are read.
        records: not those that the model is scored on.
        deadline: an image is started only if it will probably be finished by then, except for the first; None for no
            limit.
        fit_deadline: of the fit itself.
    """
    assert not predictor.card.decoding
    images = min(len(records), FIT_IMAGES)
    seen = islice(_seen(predictor, dataset, records, deadline), FIT_IMAGES)
    return predictor.task.fit(seen, images, dataset.classes, fit_deadline)


def score(
    predictor: Predictor,
    dataset: Dataset,
    records: Sequence[Record],
    *,
    deadline: float | None = None,
    on_progress: OnProgress | None = None,
    on_fault: OnFault = ignore_fault,
    quick: bool = False,
) -> Scores:
    """Predict the records at full precision and score them.

    Args:
        predictor: the model, its decoding fitted.
        dataset: how annotations are read, and which images the training saw.
        records: that neither training nor model selection saw.
        deadline: an image is started only if time will be left for some `examples`, except for the first four. A fixed
            seed shuffles the order, so that the scored images are an even sample. None to score all of them.
        on_progress: called with (images done, images in all).
        on_fault: called with each record that cannot be read.
        quick: let the task's quick judge score them, if its `rough` says what is then left out.

    Raises:
        MaskwrightError: not one record can be read.
    """
    clock = _Clock(deadline)
    decoding = predictor.card.decoding
    if predictor.postprocessor is not None:
        decoding = predictor.task.uncalibrated(decoding)  # what follows the network has no calibration to compare
    judge = predictor.task.judge(dataset.classes, decoding, quick=quick)
    faults: list[MaskwrightError] = []
    scored: list[Record] = []

    def missed(record: Record, error: MaskwrightError) -> None:
        faults.append(error)
        on_fault(record, error)

    predictor = _uncalibrated(predictor)
    for record, image, target in pairs(predictor, dataset, records, missed):
        judge.update(record.id, predictor.blocks(image), target, record.group)
        scored.append(record)
        clock.done += 1
        if on_progress is not None:
            on_progress(clock.done + len(faults), len(records))
        if clock.done >= LEAST_IMAGES and clock.over(1 + min(max(clock.done // 4, 2), 2 * EXAMPLES)):
            break
    if not clock.done and faults:
        raise MaskwrightError(f"none of {plural(len(records), 'image')} can be scored; the first: {faults[0]}")
    return replace(judge.compute(), scope=scope(scored, dataset.part("train")))


def seconds_each(
    predictor: Predictor, dataset: Dataset, records: Sequence[Record], enough: float, *, quick: bool = False
) -> float:
    """Measure the seconds to score an average image, with a margin.

    Of the two images whose work is next to the average the second counts, unless the first took `enough` seconds. The
    work is that of the tiles: an image of four tiles takes more than four images of one, as tiles overlap.

    Returns:
        Seconds, or 0 where no record can be read.
    """
    taken = 0.0
    typical, average = _by_work(predictor, records)
    task, started = predictor.task, time.monotonic()
    for record, image, target in islice(_read(predictor, dataset, typical, ignore_fault), 2):
        blocks = predictor.blocks(image)
        seconds = time.monotonic() - started
        if quick:
            task.judge(dataset.classes, {}, quick=True).update(record.id, blocks, target)
            seconds = time.monotonic() - started
        else:
            seconds += task.judging_seconds(blocks, target, dataset.classes)
        taken = seconds * average / _work(predictor, image.shape[:2])
        if time.monotonic() - started > enough:
            break
        started = time.monotonic()
    return taken * _MARGIN


def _by_work(predictor: Predictor, records: Sequence[Record]) -> tuple[list[Record], float]:
    """Return some of the records, those next to the average work first, and this average."""
    work: list[tuple[Record, int]] = []
    for record in records[:: -(-len(records) // _SIZES)]:
        with contextlib.suppress(DecodeError):  # reported when the pixels are asked for
            work.append((record, _work(predictor, image_size(record.image))))
    average = sum(pixels for _, pixels in work) / max(1, len(work))
    return [record for record, _ in sorted(work, key=lambda entry: abs(entry[1] - average))], average


def _work(predictor: Predictor, size: tuple[int, ...]) -> int:
    """Return the pixels of all tiles of an image (height, width)."""
    plan = predictor.card.predict
    working = working_size_of((size[0], size[1]), predictor.card.data)
    axes = [cover(side, tile, plan.overlap) for side, tile in zip(working, plan.tile_size, strict=True)]
    return math.prod(len(axis) * axis.tile for axis in axes)


def examples(
    predictor: Predictor,
    dataset: Dataset,
    records: Sequence[Record],
    scores: Scores,
    *,
    deadline: float | None = None,
) -> tuple[Example, ...]:
    """Return the images with the worst scores, worst first, then those with the best, best first.

    Args:
        predictor: the model.
        dataset: how annotations are read.
        records: those scored, among others.
        scores: of these records.
        deadline: if it is too close, there are fewer of each, but at least one.
    """
    by_id = {record.id: record for record in records}
    ranked = _ranked(scores)

    def shown(entry: ImageScore) -> Example:
        image, target = read_sample(dataset, by_id[entry.id], predictor.task.target)
        result = predictor.result(image)
        painted = predictor.task.paint(to_rgb8(image), target, result, predictor.classes)
        legend = predictor.task.legend([target], [result], predictor.classes)
        panels = tuple(panel._replace(pixels=reduced(panel.pixels)) for panel in painted.panels)
        return Example(entry.id, entry.values[scores.image_headline.key], panels, painted.note, legend)

    if len(ranked) <= 1:
        return tuple(map(shown, ranked))
    clock = _Clock(deadline)
    worst: list[Example] = []
    best: list[Example] = []
    for low, high in islice(zip(ranked, reversed(ranked), strict=True), min(EXAMPLES, len(ranked) // 2)):
        worst.append(shown(low))
        best.append(shown(high))
        clock.done += 1
        if clock.over(1):
            break
    return (*worst, *best)


def _ranked(scores: Scores) -> list[ImageScore]:
    """Return the images that have a score, the worst first."""
    metric = scores.image_headline
    known = [(value, entry) for entry in scores.per_image if (value := entry.values[metric.key]) is not None]
    sign = 1 if metric.higher_is_better else -1
    return [entry for _, entry in sorted(known, key=lambda pair: sign * pair[0])]


class _Clock:
    """Predicts from the mean time per item whether more items would end after the deadline."""

    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline
        self.started = time.monotonic()
        self.done = 0

    def over(self, more: int) -> bool:
        """Return whether `more` items would end after the deadline."""
        if self.deadline is None:
            return False
        now = time.monotonic()
        return now + more * (now - self.started) / max(self.done, 1) > self.deadline


def _uncalibrated(predictor: Predictor) -> Predictor:
    """Leave out the decoding that the judge compares with; a postprocessor needs all of it."""
    if predictor.postprocessor is not None:
        return predictor
    return predictor.with_decoding(predictor.task.uncalibrated(predictor.card.decoding))


def _seen(predictor: Predictor, dataset: Dataset, records: Sequence[Record], deadline: float | None) -> Iterator[Seen]:
    """Yield predictions with their truth until the time is up."""
    clock = _Clock(deadline)
    for record, image, target in pairs(predictor, dataset, records, ignore_fault):
        yield Seen(record.id, predictor.blocks(image), target)
        clock.done += 1
        if clock.over(1):
            return


def _pair_for(predictor: Predictor, dataset: Dataset, record: Record) -> tuple[NDArray[Any], Target]:
    """Decode a record, and check that it fits the model.

    Raises:
        MaskwrightError: it cannot be read, or its pixel type is not one that the model fits.
    """
    image, target = read_sample(dataset, record, predictor.task.target)
    try:
        predictor.check(image)
    except MaskwrightError as error:
        raise MaskwrightError(f"{record.image}: {error}") from error
    return image, target


def pairs(
    predictor: Predictor, dataset: Dataset, records: Sequence[Record], on_fault: OnFault
) -> Iterator[tuple[Record, NDArray[Any], Target]]:
    """Decode the records, shuffled by a fixed seed; see `_read`."""
    ordered = sorted(records, key=lambda record: record.id)
    shuffled = [ordered[place] for place in generator(0, "judge").permutation(len(ordered))]
    return _read(predictor, dataset, shuffled, on_fault)


def _read(
    predictor: Predictor, dataset: Dataset, records: Sequence[Record], on_fault: OnFault
) -> Iterator[tuple[Record, NDArray[Any], Target]]:
    """Decode the records in the order given, but for those that cannot be read or do not fit the model."""
    for record in records:
        try:
            image, target = _pair_for(predictor, dataset, record)
        except MaskwrightError as error:
            on_fault(record, error)
            continue
        yield record, image, target
