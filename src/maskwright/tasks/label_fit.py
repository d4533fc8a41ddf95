"""Fit class offsets and the temperature on pixels sampled from validation images. Knows no network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.seeds import generator
from maskwright.metrics.calibration import fit_temperature
from maskwright.metrics.offsets import fit_offsets
from maskwright.tasks.base import Adjustments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from maskwright.core.classes import Classes
    from maskwright.tasks.base import Decoding, Seen
    from maskwright.tasks.block import Block

SAMPLE_PIXELS = 100_000
SAMPLE_VALUES = 4_000_000
"""Most pixels, and most pixels times classes, that are sampled: what is fitted is a few numbers a class."""
LEAST_PROBABILITY = 1e-12


def fit_labels(seen: Iterator[Seen], images: int, classes: Classes, deadline: float | None) -> Adjustments:
    """Fit offsets, then the temperature; see `tasks.base.Task.fit`. Nothing is fitted for a single class."""
    sampled = sample(seen, images, len(classes)) if len(classes) > 1 else None
    if sampled is None:
        return Adjustments()
    scores, truth, places = sampled
    offsets = fit_offsets(scores, truth, places, deadline)
    decoding: Decoding = {"temperature": fit_temperature(scores + offsets, truth)}
    if not offsets.any():
        return Adjustments(decoding)
    decoding["offsets"] = [float(value) for value in offsets]
    moved = ", ".join(f"{name} {value:+.2f}" for name, value in zip(classes.names, offsets, strict=True))
    return Adjustments(decoding, (f"class offsets fitted on validation images: {moved}",))


def sample(
    seen: Iterator[Seen], images: int, classes: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.int64]] | None:
    """Keep some labelled pixels of each image.

    Args:
        seen: predictions at temperature 1, without offsets.
        images: how many there will be at most.
        classes: K.

    Returns:
        log-probabilities (n, K), class indices (n,) and the number of the image of each pixel (n,); None where no
        pixel is labelled.
    """
    each = min(SAMPLE_PIXELS, SAMPLE_VALUES // classes) // max(images, 1)
    scores: list[NDArray[np.float32]] = []
    truths: list[NDArray[np.uint8]] = []
    for entry in seen:
        truth = entry.target.labels
        known = np.flatnonzero(truth.ravel() < classes)
        if len(known) > each:
            known = generator(0, "sample", entry.id).choice(known, each, replace=False)
        found = probabilities_at(entry.blocks, known, truth.shape[1], classes)
        scores.append(np.log(np.maximum(found, LEAST_PROBABILITY)))
        truths.append(truth.ravel()[known])
    if not sum(map(len, truths)):
        return None
    numbers = np.repeat(np.arange(len(truths)), [len(truth) for truth in truths])
    return np.concatenate(scores), np.concatenate(truths), numbers


def probabilities_at(
    blocks: Iterable[Block], places: NDArray[np.int64], width: int, classes: int
) -> NDArray[np.float32]:
    """Return the probabilities (n, K) at places (n,) of the flattened image, which is `width` pixels wide."""
    rows, columns = np.divmod(places, width)
    found = np.empty((len(places), classes), np.float32)
    for block in blocks:
        here = np.flatnonzero(
            (rows >= block.rows.start)
            & (rows < block.rows.stop)
            & (columns >= block.columns.start)
            & (columns < block.columns.stop)
        )
        part = block.maps[:classes].cpu().numpy()
        found[here] = part[:, rows[here] - block.rows.start, columns[here] - block.columns.start].T
    return found
