"""Fit a postprocessor on validation images of a trained network, and compare scores with and without it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.channels import positions
from maskwright.core.errors import MaskwrightError
from maskwright.core.seeds import generator
from maskwright.core.time_budget import POSTPROCESS_SECONDS
from maskwright.data.targets import read_sample
from maskwright.ops.images import prepare
from maskwright.ops.tiles import Cuts
from maskwright.postprocess import Sample, find_postprocessor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.core.records import Dataset, Record
    from maskwright.inference.predictor import Predictor
    from maskwright.metrics.scores import Scores
    from maskwright.postprocess import Fitted
    from maskwright.report.content import Gain

IMAGES = 8
WINDOW = 384  # side of the window cut from a larger validation image


def fit(
    name: str,
    predictor: Predictor,
    dataset: Dataset,
    records: Sequence[Record],
    start: Any,
    deadline: float | None = None,
) -> Fitted | None:
    """Search for the settings of a postprocessor on some validation records.

    Args:
        name: in `postprocess.POSTPROCESSORS`.
        predictor: without a postprocessor, its decoding fitted.
        dataset: how annotations are read.
        records: not those that the model is scored on.
        start: initial settings.
        deadline: in seconds of `time.monotonic()`, half of the time for predicting; None for `POSTPROCESS_SECONDS`
            from now.

    Returns:
        The result, or None if no record can be read.
    """
    assert predictor.postprocessor is None
    now = time.monotonic()
    deadline = now + POSTPROCESS_SECONDS if deadline is None else deadline
    predicted = now + (deadline - now) / 2
    random = generator(0, name)
    ordered = sorted(records, key=lambda record: record.id)
    samples: list[Sample] = []
    for place in random.permutation(len(ordered)):
        if len(samples) == IMAGES or (samples and time.monotonic() > predicted):
            break
        sample = _sample(predictor, dataset, ordered[place], random, find_postprocessor(name).reads)
        samples += [] if sample is None else [sample]
    return find_postprocessor(name).fit(samples, start, deadline) if samples else None


def _sample(
    predictor: Predictor, dataset: Dataset, record: Record, random: np.random.Generator, reads: Sequence[str]
) -> Sample | None:
    """Predict a record, or a window of it; None if it cannot be read or does not fit the model."""
    try:
        image, target = read_sample(dataset, record, predictor.task.target)
        predictor.check(image)
        truth = target.labels
        top, left = (int(random.integers(max(side - WINDOW, 0) + 1)) for side in truth.shape)
        window = slice(top, top + WINDOW), slice(left, left + WINDOW)
        cuts = Cuts.of(*window, truth.shape)
        image, truth = image[window], truth[window]
        pixels = image if image.ndim == 3 else image[:, :, None]
        prepared = prepare(pixels, predictor.card.data.unscaled())
        maps = predictor.maps(image)[
            positions(predictor.card.channels, reads)
        ]  # NaN where the image has no data, where nothing is known and nothing is judged
        return Sample(
            np.nan_to_num(maps, nan=1 / len(maps)).astype(np.float16), prepared, truth, len(predictor.classes), cuts
        )
    except MaskwrightError:
        return None  # scoring and training report it


def gain(without: Scores, with_it: Scores, keys: Sequence[str]) -> Gain:
    """Compare the means of those metrics that there are: key -> without the postprocessor, with it, gain."""
    table: Gain = {}
    for key in keys:
        if key not in without.mean:
            continue
        before, after = without.mean[key].value, with_it.mean[key].value
        change = None if before is None or after is None else after - before
        table[key] = {"without": before, "with": after, "gain": change}
    return table
