"""Values that look like "no data" although no file declares them, such as -9999 in an elevation of 0 to 60 m.

Such a value is the smallest or largest of its image, frequent, and farther from all others than these are from one
another. A few outliers, or the few values of a drawing, are not reported. Opens no file.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from maskwright.core.records import Fault
from maskwright.core.text import agree, plural, such_as
from maskwright.data.statistics import thinned

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_LEAST_SHARE = 0.001
_FEWEST = 16  # pixels of it, and different values among the others
_USUAL = frozenset({-9999.0, -99999.0, -999.0, -32768.0, -32767.0, 65535.0})
_HUGE = 1e20


class Undeclared(NamedTuple):
    """A value that looks like no data, and its share of an image, 0..1."""

    value: float
    share: float


def undeclared(image: NDArray[Any]) -> Undeclared | None:
    """Return the value of an image (H, W, C) that most looks like no data; images of 8 bits are not asked."""
    if image.dtype == np.uint8:
        return None
    found = [entry for plane in thinned(image) for entry in _suspects(plane)]
    return max(found, key=lambda entry: entry.share, default=None)


def _suspects(plane: NDArray[Any]) -> Iterator[Undeclared]:
    """Yield the smallest and the largest of the values (n,) of a channel, if they look like no data."""
    if not plane.size:
        return
    for value in {float(plane.min()), float(plane.max())}:
        equal = plane == value
        share = float(equal.mean())
        if share < _LEAST_SHARE or equal.sum() < _FEWEST:
            continue
        others = plane[~equal].astype(np.float64)
        if len(np.unique(others[: 1 << 12])) >= _FEWEST and _is_apart(value, others):
            yield Undeclared(value, share)


def _is_apart(value: float, others: NDArray[np.float64]) -> bool:
    low, high = np.percentile(others, (1, 99))
    gap = float(np.abs(others - value).min())
    usual = value in _USUAL or abs(value) >= _HUGE
    return gap > (0.1 if usual else 1.0) * (high - low)


def undeclared_faults(root: Path, found: Sequence[tuple[Path, Undeclared]], images: int) -> Iterator[Fault]:
    """Yield a warning for each value, from the images (of so many in all) in which it was found."""
    by_value: defaultdict[float, list[tuple[Path, float]]] = defaultdict(list)
    for path, (value, share) in found:
        by_value[value].append((path, share))
    for value, entries in sorted(by_value.items()):
        first, part = min(entries)[0], float(np.mean([share for _, share in entries]))
        shown = f"{value:.10g}"
        yield Fault(
            "undeclared-nodata",
            "warning",
            root,
            f"{len(entries)} of {plural(images, 'image')} {agree(len(entries), 'holds', 'hold')} the value {shown} in "
            f"{part:.1%} of {agree(len(entries), 'its', 'their')} pixels, far from all other values "
            f"({such_as(len(entries), first.name)}): it seems to mean that nothing was measured there, and now "
            "counts as a measured value",
            f"declare it with `read.nodata={shown}`; if it is a value like any other, nothing needs to be done",
        )
