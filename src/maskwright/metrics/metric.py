"""A metric and a value of it: how they are named, written and compared. Computes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Unit = Literal["share", "px", "count", ""]


@dataclass(frozen=True)
class Metric:
    """One metric: the only place that says how it is named, written and compared.

    Attributes:
        key: in `Scores.mean`, `ClassScores.values`, `ImageScore.values`, JSON and `history.csv` (`val_KEY`).
        label: for people.
        description: what it means, in one sentence.
        unit: `share` of 0..1, shown in percent; `px`, a length in pixels of the image; `count`, a whole number; empty
            for any other.
        higher_is_better: whether a model with a higher value is the better one.
        ideal: value of a perfect model where higher and lower ones are both worse (0 of a bias); None elsewhere.
        rank: 0 is always shown; of the others the highest give way first where the room is short.
    """

    key: str
    label: str
    description: str
    unit: Unit = "share"
    higher_is_better: bool = True
    rank: int = 0
    ideal: float | None = None

    def improves(self, value: float, best: float | None) -> bool:
        """Whether `value` is better than the best so far (None: there is none)."""
        return best is None or self.error(value) < self.error(best)

    def error(self, value: float) -> float:
        """Return a number that orders values: the smaller, the better."""
        if self.ideal is not None:
            return abs(value - self.ideal)
        return -value if self.higher_is_better else value


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval (`metrics.intervals`) over images, or over groups where there are groups.

    All three are None where the value is undefined: the class is in no truth and no prediction; for a recall, in no
    truth. The bounds alone are None where fewer than four images, or groups, know the value.

    Attributes:
        without: (G,) the value without each image or group in turn, in the order of `Scores.per_image`, NaN where it is
            undefined; None where this is not known. Two models can be compared by it (`metrics.paired`).
    """

    value: float | None
    low: float | None
    high: float | None
    without: NDArray[np.float64] | None = field(default=None, compare=False, repr=False)


def without_rows(estimates: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """Return estimates that do not know their values without each row."""
    return {key: replace(estimate, without=None) for key, estimate in estimates.items()}


def rows_to_json(estimates: Mapping[str, Estimate]) -> dict[str, list[float | None]]:
    """Return `Estimate.without` of those that know it, None for NaN."""
    return {
        key: [None if np.isnan(value) else value for value in estimate.without.tolist()]
        for key, estimate in estimates.items()
        if estimate.without is not None
    }


def read_estimate(plain: Mapping[str, Any], without: list[float | None] | None) -> Estimate:
    """Return an estimate from JSON, with what `rows_to_json` wrote of it."""
    return Estimate(**plain, without=None if without is None else np.array(without, np.float64))
