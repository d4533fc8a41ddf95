"""The dense CRF after a trained network: fit its parameters on validation images, keep them, say what it brings."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.errors import MaskwrightError
from maskwright.core.seeds import generator
from maskwright.data.labels import read_pair
from maskwright.ops.images import prepare
from maskwright.postprocess.search import Found, Sample, search
from maskwright.report.numbers import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.core.plan import CrfPlan
    from maskwright.core.records import Dataset, Record
    from maskwright.inference.predictor import Predictor
    from maskwright.metrics.scores import Scores
    from maskwright.report.content import Gain

IMAGES = 8
WINDOW = 384  # side of what is cut from a larger validation image
SECONDS = 60.0
SHARE = 0.05  # of a budget, at most


def seconds(budget: float | None) -> float:
    """Return what fitting may take in a training of so many seconds, or of any number of them."""
    return SECONDS if budget is None else min(SECONDS, SHARE * budget)


def fit(
    predictor: Predictor, dataset: Dataset, records: Sequence[Record], start: CrfPlan, deadline: float | None = None
) -> Found | None:
    """Search the parameters on some validation records.

    Args:
        predictor: without a CRF, its temperature fitted.
        dataset: how annotations are read.
        records: not those that the model is judged on.
        start: where the search begins.
        deadline: in seconds of `time.monotonic()`, half of the time for predicting; None for `SECONDS` from now.

    Returns:
        What was found, or None where there is no readable record.
    """
    assert predictor.crf is None
    now = time.monotonic()
    deadline = now + SECONDS if deadline is None else deadline
    predicted = now + (deadline - now) / 2
    random = generator(0, "crf")
    ordered = sorted(records, key=lambda record: record.id)
    samples: list[Sample] = []
    for place in random.permutation(len(ordered)):
        if len(samples) == IMAGES or (samples and time.monotonic() > predicted):
            break
        sample = _sample(predictor, dataset, ordered[place], random)
        samples += [] if sample is None else [sample]
    return search(samples, start, deadline) if samples else None


def _sample(predictor: Predictor, dataset: Dataset, record: Record, random: np.random.Generator) -> Sample | None:
    """Predict a record, or a window of it; None where it cannot be read or does not fit the model."""
    try:
        image, truth = read_pair(dataset, record)
        predictor.check(image)
        top, left = (int(random.integers(max(side - WINDOW, 0) + 1)) for side in truth.shape)
        window = slice(top, top + WINDOW), slice(left, left + WINDOW)
        image, truth = image[window], truth[window]
        pixels = image if image.ndim == 3 else image[:, :, None]
        prepared = prepare(pixels, predictor.card.data.model_copy(update={"scale": 1.0}))
        return Sample(predictor.probabilities(image).astype(np.float16), prepared, truth)
    except MaskwrightError:
        return None  # whoever judges or trains on it says so


def describe(settings: CrfPlan) -> str:
    """Write the parameters in one line."""
    return ", ".join(f"{name} {value:g}" for name, value in settings.model_dump().items())


def said(found: Found) -> str:
    """Say what a search found."""
    tried = "the time allowed one setting only" if found.tried == 1 else f"{found.tried} settings tried"
    text = (
        f"dense CRF fitted on {found.images} validation image{'s' * (found.images != 1)} ({tried}): "
        f"{describe(found.settings)}; IoU {percent(found.without.iou)} -> {percent(found.quality.iou)}, "
        f"boundary IoU {percent(found.without.boundary_iou)} -> {percent(found.quality.boundary_iou)} on these"
    )
    if found.at_limit:
        text += f"; {' and '.join(found.at_limit)} ended at the limit of the search"
    return text if found.helps else f"{text}: the CRF did not help"


def to_json(found: Found) -> dict[str, Any]:
    """Return what a search found as plain JSON."""
    return {**asdict(found), "settings": found.settings.model_dump(), "helps": found.helps}


def gain(without: Scores, with_crf: Scores) -> Gain:
    """Compare the means without and with the CRF: measure -> without, with, gain."""
    table: Gain = {}
    for key in ("iou", "boundary_iou"):
        before, after = without.mean[key].value, with_crf.mean[key].value
        change = None if before is None or after is None else after - before
        table[key] = {"without": before, "with": after, "gain": change}
    return table
