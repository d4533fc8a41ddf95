"""What a comparison of runs shows, as plain data, and its numbers in words. Knows no file format."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from maskwright.metrics.scores import Estimate
from maskwright.report.tables import unit, write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from maskwright.core.plan import Plan
    from maskwright.metrics.scores import Metric, Scores

NOTHING = Estimate(None, None, None)


@dataclass(frozen=True, kw_only=True)
class ComparedRun:
    """One run of a comparison.

    Attributes:
        name: for people, different from those of the others.
        run: its folder.
        scores: on the images of the comparison.
        differences: key of a mean metric -> this run less the first one; empty for the first.
        by_class: name of a class -> the same for the headline metric.
        plan: of the training.
        history: rows of `history.csv`.
        steps: that were made.
        seconds: that they took.
        parameters: weights of the network.
        bytes: of the model file.
    """

    name: str
    run: str
    scores: Scores
    differences: Mapping[str, Estimate] = field(default_factory=dict)
    by_class: Mapping[str, Estimate] = field(default_factory=dict)
    plan: Plan
    history: Sequence[Mapping[str, float | None]] = ()
    steps: int = 0
    seconds: float = 0.0
    parameters: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Comparison:
    """Several runs on the same images.

    Attributes:
        runs: the first one is what the others are compared with.
        split: part of the data that the images are of.
        notes: sentences on how the scores came about.
    """

    runs: tuple[ComparedRun, ...]
    split: str
    notes: tuple[str, ...] = ()

    @property
    def headline(self) -> Metric:
        """The metric that models are compared by."""
        return self.runs[0].scores.headline_metric

    def metrics(self, most: int = 99) -> list[Metric]:
        """Return the metrics up to a rank that any run has a value of, the headline first."""
        first = self.runs[0].scores
        known = [
            metric
            for metric in first.metrics
            if metric.rank <= most
            and metric.unit != "count"
            and any(run.scores.mean.get(metric.key, NOTHING).value is not None for run in self.runs)
        ]
        return sorted(known, key=lambda metric: metric.key != first.headline)

    def best(self, metric: Metric) -> list[bool]:
        """Say for each run whether none has a better value, as shown."""
        shown = [_shown(metric, run.scores.mean.get(metric.key, NOTHING).value) for run in self.runs]
        least = min((metric.error(value) for value in shown if value is not None), default=None)
        return [value is not None and metric.error(value) == least for value in shown]


def _shown(metric: Metric, value: float | None) -> float | None:
    return None if value is None else float(write(metric, value).replace(",", ""))


def estimate(metric: Metric, value: Estimate, *, signed: bool = False) -> str:
    """Write a value with its interval and without its unit, `71.2 [68.3, 73.9]`; a dash where it is undefined."""
    if value.value is None:
        return "-"
    parts = [_number(metric, each, signed=signed) for each in (value.value, value.low, value.high) if each is not None]
    return parts[0] if len(parts) < 3 else f"{parts[0]} [{parts[1]}, {parts[2]}]"


def _number(metric: Metric, value: float, *, signed: bool) -> str:
    text = write(metric, value)
    zero = not text.strip("-0.")
    if zero:
        return text.lstrip("-")
    return f"+{text}" if signed and value > 0 else text


def labelled(metric: Metric) -> str:
    """Return the name of a metric with its unit: `IoU (%)`."""
    mark = unit(metric).strip()
    return f"{metric.label} ({mark})" if mark else metric.label


def verdict(metric: Metric, difference: Estimate) -> str:
    """Say in a word what a difference shows: `better`, `worse`, or that it is not clear.

    Of a metric whose ideal lies between worse values, it shows only `higher` or `lower`.
    """
    if difference.value is None:
        return "undefined"
    if difference.low is None or difference.high is None:
        return "same" if difference.value == 0 else "too few images to tell"
    if difference.low <= 0 <= difference.high:
        return "not clear"
    if metric.ideal is not None:
        return "higher" if difference.low > 0 else "lower"
    return "better" if (difference.low > 0) == metric.higher_is_better else "worse"
