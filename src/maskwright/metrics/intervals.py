"""Bootstrap intervals of values that are computed from sums over images. Knows sums, and not what they mean.

Images (or groups of images that belong together: a patient, a video) are drawn with replacement, their sums added up
and the value computed anew; the 2.5th and 97.5th percentiles of a thousand such values bound it (Efron 1979).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.seeds import generator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

RESAMPLES = 1000
AT_ONCE = 100
"""Resamples drawn together: bounds the memory."""


def by_group(sums: NDArray[np.float64], groups: Sequence[str | None]) -> NDArray[np.float64]:
    """Add up the rows (n, M) of each group; a row without a group stays by itself.

    Args:
        sums: one row an image.
        groups: one entry a row.
    """
    keys = [("image", str(index)) if group is None else ("group", group) for index, group in enumerate(groups)]
    place = {key: index for index, key in enumerate(dict.fromkeys(keys))}
    totals = np.zeros((len(place), sums.shape[1]))
    np.add.at(totals, [place[key] for key in keys], sums)
    return totals


def bootstrap(
    sums: NDArray[np.float64],
    measure: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    seed: int,
    resamples: int = RESAMPLES,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bound each of several values by its 95 % percentile interval.

    Args:
        sums: (n, M), one row for each image or group.
        measure: totals (R, M) of R resamples to values (R, J), NaN where undefined.
        seed: of the resampling.
        resamples: how many.

    Returns:
        Lower and upper bounds (J,), over the resamples in which the value is defined; NaN where it never is, and
        everywhere with fewer than two rows, which say nothing about how much others would differ.
    """
    totals = np.concatenate(list(_resampled(sums, seed, resamples)))
    values = measure(totals)
    low, high = np.full(values.shape[1], np.nan), np.full(values.shape[1], np.nan)
    defined = ~np.isnan(values).all(0)
    if len(sums) > 1 and defined.any():
        low[defined], high[defined] = np.nanpercentile(values[:, defined], [2.5, 97.5], axis=0)
    return low, high


def _resampled(sums: NDArray[np.float64], seed: int, resamples: int) -> Iterator[NDArray[np.float64]]:
    """Yield totals (R, M) of resamples: how often each row was drawn, times the rows."""
    rows = len(sums)
    random = generator(seed, "bootstrap")
    for start in range(0, resamples, AT_ONCE):
        count = min(AT_ONCE, resamples - start)
        drawn = random.integers(0, rows, (count, rows)) + np.arange(count)[:, None] * rows
        times = np.bincount(drawn.ravel(), minlength=count * rows).reshape(count, rows)
        yield times.astype(np.float64) @ sums
