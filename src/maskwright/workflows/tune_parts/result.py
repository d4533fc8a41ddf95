"""What a search found, as plain data, and as sentences. Computes nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from maskwright.report.compared import estimate

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.metrics.scores import Estimate, Metric, Scores


@dataclass(frozen=True)
class TrialRow:
    """One trial.

    Attributes:
        number: of it; 0 is the plan.
        words: what it changes.
        scores: at each rung that it reached, on the validation images that rank; None for a rung where it failed.
        steps: that it made.
        why: it failed, or an empty text.
    """

    number: int
    words: str
    scores: tuple[float | None, ...]
    steps: int
    why: str = ""


@dataclass(frozen=True)
class Gains:
    """By how much the best trial is better than the plan, each trained for the same time.

    Attributes:
        trial: number of the best trial.
        words: what it changes.
        ranking: on the validation images that ranked it: too large, since it was chosen by them.
        confirming: on those that did not, with one-sided 95 % bounds: the acceptance goes by it.
        test: on the test images; None without any, or without time.
    """

    trial: int
    words: str
    ranking: Estimate
    confirming: Estimate
    test: Estimate | None = None


@dataclass(frozen=True)
class TuneResult:
    """Result of a search.

    Attributes:
        run: the run folder, like any other; `tune.json` in it holds what follows.
        scores: of its model on the held-out images, or None if there are none.
        metric: that trials are compared by.
        accepted: whether the best trial replaced the plan.
        gains: of the best trial; None if none was compared with the plan.
        trials: in the order tried.
        rungs: seconds of training of each rung.
        images: numbers of validation images that ranked and that confirmed.
        seconds: of the whole command.
    """

    run: Path
    scores: Scores | None
    metric: Metric
    accepted: bool
    gains: Gains | None
    trials: tuple[TrialRow, ...]
    rungs: tuple[float, ...]
    images: tuple[int, int]
    seconds: float

    def sentence(self) -> str:
        """Say what was decided, and why."""
        if self.gains is None:
            return (
                "there was no time, or there were too few validation images, to compare another plan: the plan is kept"
            )
        bounds = self.gains.confirming
        found = (
            f"{self.gains.words}: {estimate(self.metric, bounds, signed=True)} on {self.images[1]} validation images"
        )
        if self.accepted:
            return f"accepted {found} that did not rank (one-sided 95 % bounds)"
        why = "the bound is not above zero" if bounds.low is not None else "too few images tell the two apart"
        return f"the plan is kept. The best trial was {found} that did not rank, and {why}"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        gains = None
        if self.gains is not None:
            gains = {
                "trial": self.gains.trial,
                "changes": self.gains.words,
                **{name: _bounds(getattr(self.gains, name)) for name in ("ranking", "confirming", "test")},
            }
        return {
            "metric": self.metric.label,
            "accepted": self.accepted,
            "decision": self.sentence(),
            "gains": gains,
            "trials": [asdict(row) for row in self.trials],
            "rung_seconds": list(self.rungs),
            "images": {"ranking": self.images[0], "confirming": self.images[1]},
            "seconds": round(self.seconds, 1),
        }


def _bounds(found: Estimate | None) -> dict[str, float | None] | None:
    return None if found is None else {"value": found.value, "low": found.low, "high": found.high}
