"""Running statistics of bounded size: samples of values, and intensities. Opens no file.

Each meter adds small summaries of one image at a time, in a fixed order, so the same data gives the same numbers for
any number of decoding threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.fingerprint import ChannelStats, Spread
from maskwright.ops.no_data import missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_MOST_PIXELS = 1 << 20
_FLOATS_AN_IMAGE = 4096
_BINS = {np.dtype(np.uint8): 1 << 8, np.dtype(np.uint16): 1 << 16}


def spread(values: Sequence[float] | NDArray[Any]) -> Spread:
    """Return minimum, 10th percentile, median, 90th percentile and maximum of (n,) values; all 0 if there are none."""
    numbers = np.asarray(values, np.float64)
    if not numbers.size:
        return Spread(0.0, 0.0, 0.0, 0.0, 0.0)
    return Spread(*(float(value) for value in np.percentile(numbers, [0, 10, 50, 90, 100])))


class ValueSample:
    """At most `most` of all values added, evenly spread over their order; the minimum and maximum are exact.

    When it is full, every second value is dropped, and from then on only every second, fourth, eighth ... is kept.
    """

    def __init__(self, most: int = 1 << 15) -> None:
        self.count = 0
        self._most, self._stride = most, 1
        self._kept = np.empty(0)
        self._low, self._high = np.inf, -np.inf

    def add(self, values: NDArray[Any]) -> None:
        """Add finite values (n,)."""
        if not values.size:
            return
        numbers = values.astype(np.float64)
        self._low, self._high = min(self._low, numbers.min()), max(self._high, numbers.max())
        self._kept = np.concatenate([self._kept, numbers[-self.count % self._stride :: self._stride]])
        self.count += numbers.size
        while self._kept.size > self._most:
            self._kept = self._kept[::2].copy()
            self._stride *= 2

    @property
    def kept(self) -> NDArray[np.float64]:
        """The kept values (n,)."""
        return self._kept

    def spread(self) -> Spread | None:
        """Return the spread, or None if no value was added."""
        if not self.count:
            return None
        p10, median, p90 = (float(value) for value in np.percentile(self._kept, [10, 50, 90]))
        return Spread(float(self._low), p10, median, p90, float(self._high))


@dataclass(frozen=True)
class Intensities:
    """Statistics of the pixel values of one image.

    Attributes:
        dtype: of the image.
        minimum, maximum, total, squares: (C,) over the values that were read and are not missing.
        count: (C,) number of these values.
        values: histogram (C, bins) of integers, or for each channel evenly spread values (n,) of floats.
    """

    dtype: np.dtype[Any]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    total: NDArray[np.float64]
    squares: NDArray[np.float64]
    count: NDArray[np.int64]
    values: NDArray[Any] | list[NDArray[np.float64]]


def intensities(image: NDArray[Any]) -> Intensities:
    """Summarise an image (H, W, C); above a million pixels, an even grid of about a million is read."""
    planes = thinned(image)
    bins = _BINS.get(image.dtype)
    if bins is None:
        return _float_intensities([plane.astype(np.float64) for plane in planes], image.dtype)
    counts = np.stack([np.bincount(plane, minlength=bins) for plane in planes])
    levels, empty = np.arange(bins, dtype=np.float64), ~counts.any(axis=1)
    return Intensities(
        dtype=image.dtype,
        minimum=np.where(empty, np.inf, np.argmax(counts > 0, axis=1)),
        maximum=np.where(empty, -np.inf, bins - 1 - np.argmax(counts[:, ::-1] > 0, axis=1)),
        total=counts @ levels,
        squares=counts @ levels**2,
        count=counts.sum(axis=1),
        values=counts,
    )


def thinned(image: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the values (n,) of each channel of an image (H, W, C) that are not missing, of about a million pixels."""
    step = max(1, round((image.shape[0] * image.shape[1] / _MOST_PIXELS) ** 0.5))
    grid = image[::step, ::step]
    gone = missing(grid)
    planes = list(np.moveaxis(np.asarray(grid), 2, 0).reshape(image.shape[2], -1))
    if gone is None:
        return planes
    holes = np.moveaxis(gone, 2, 0).reshape(image.shape[2], -1)
    return [plane[~hole] for plane, hole in zip(planes, holes, strict=True)]


def _float_intensities(planes: list[NDArray[np.float64]], dtype: np.dtype[Any]) -> Intensities:
    return Intensities(
        dtype=dtype,
        minimum=np.array([plane.min(initial=np.inf) for plane in planes]),
        maximum=np.array([plane.max(initial=-np.inf) for plane in planes]),
        total=np.array([plane.sum() for plane in planes]),
        squares=np.array([(plane**2).sum() for plane in planes]),
        count=np.array([plane.size for plane in planes]),
        values=[plane[_even_places(plane.size)] for plane in planes],
    )


def _even_places(count: int) -> NDArray[np.int64]:
    return np.linspace(0, count - 1, min(_FLOATS_AN_IMAGE, count)).astype(np.int64)


class IntensityMeter:
    """Intensities of all images with the same pixel type and number of channels."""

    def __init__(self) -> None:
        self.images = 0
        self._sums: dict[str, NDArray[Any]] = {}
        self._counts: NDArray[Any] | None = None
        self._samples: list[ValueSample] = []

    def add(self, part: Intensities) -> None:
        """Add one image."""
        self.images += 1
        sums = self._sums
        sums["low"] = np.minimum(sums.get("low", np.inf), part.minimum)
        sums["high"] = np.maximum(sums.get("high", -np.inf), part.maximum)
        for name in ("total", "squares", "count"):
            sums[name] = sums.get(name, 0) + getattr(part, name)
        if part.dtype in _BINS:
            counts = np.asarray(part.values)
            self._counts = counts if self._counts is None else self._counts + counts
            return
        self._samples = self._samples or [ValueSample(1 << 17) for _ in part.values]
        for sample, values in zip(self._samples, part.values, strict=True):
            sample.add(values)

    def stats(self) -> tuple[ChannelStats, ...]:
        """Return one entry a channel; all values are 0 for a channel without a finite pixel."""
        return tuple(self._channel(index) for index in range(len(self._sums["count"])))

    def _channel(self, index: int) -> ChannelStats:
        low, high, total, squares, count = (
            float(self._sums[name][index]) for name in ("low", "high", "total", "squares", "count")
        )
        if not count:
            return ChannelStats(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        mean = total / count
        deviation = max(squares / count - mean**2, 0.0) ** 0.5
        if self._counts is not None:
            values, weights = np.arange(len(self._counts[index]), dtype=np.float64), self._counts[index]
            steps = np.cumsum(weights)
            tails = [float(np.searchsorted(steps, share * steps[-1])) for share in (0.005, 0.995)]
        else:
            values, weights = self._samples[index].kept, None
            tails = [float(value) for value in np.percentile(values, [0.5, 99.5])]
        clipped = np.clip(values, tails[0], tails[1])
        inner = float(np.average(clipped, weights=weights))
        around = float(np.average((clipped - inner) ** 2, weights=weights)) ** 0.5
        return ChannelStats(low, high, mean, deviation, tails[0], tails[1], inner, around)
