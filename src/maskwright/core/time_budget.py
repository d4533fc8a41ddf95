"""The time that a command has, and how it is shared out: the one place of all shares and deadlines.

A deadline is in seconds of `time.monotonic()`; None is no limit.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

SURVEY_SHARE = 0.1
"""Of the budget, for looking at the data."""
EVALUATION_SHARE = 0.15
"""Of the budget, at most, for the evaluation at the end; it looks at fewer images when that is short."""
ESTIMATES_SHARE = 0.035
"""Of the time so far, at most, for estimates of what follows the steps, when one more is made."""
FIT_SHARE = 0.03
"""Of the budget, at most, for the fit of the decoding, without the predictions that it sees."""
POSTPROCESS_SHARE = 0.05
"""Of the budget, at most, for the fit of a postprocessor."""
POSTPROCESS_SECONDS = 60.0
"""At most, for the same; all of it where there is no budget."""
REPORT_SECONDS = 3.0
"""For what is fitted on samples, for the page, and for leaving."""


@dataclass(frozen=True)
class TimeBudget:
    """A time budget that began to run at some moment.

    Attributes:
        seconds: of the whole command, or None for no limit.
        started: `time.monotonic()` at which it began.
    """

    seconds: float | None
    started: float

    @classmethod
    def of(cls, seconds: float | None, started: float | None = None) -> TimeBudget:
        """Return a budget that began at `started`, or now."""
        return cls(seconds, time.monotonic() if started is None else started)

    @property
    def deadline(self) -> float | None:
        """When the whole command shall have ended."""
        return None if self.seconds is None else self.started + self.seconds

    @property
    def report_deadline(self) -> float | None:
        """When predicting must have ended, so that the report is written in time."""
        return None if self.deadline is None else self.deadline - REPORT_SECONDS

    def survey_seconds(self) -> float | None:
        """Return the seconds for looking at the data."""
        return None if self.seconds is None else self.seconds * SURVEY_SHARE

    def training_seconds(self) -> float | None:
        """Return what is left now for planning and training, as the evaluation gets its share."""
        if self.seconds is None:
            return None
        return self.seconds * (1 - EVALUATION_SHARE) - (time.monotonic() - self.started)

    def postprocess_seconds(self) -> float:
        """Return the seconds for the fit of a postprocessor."""
        if self.seconds is None:
            return POSTPROCESS_SECONDS
        return min(POSTPROCESS_SECONDS, POSTPROCESS_SHARE * self.seconds)

    def fit_seconds(self, most: float) -> float:
        """Return the seconds for the fit of a decoding, which takes `most` at most."""
        return most if self.seconds is None else min(most, FIT_SHARE * self.seconds)

    def allows_scoring(self, each: float, fewest: int, fitting: float) -> bool:
        """Say whether the share of the evaluation is enough to score `fewest` images; see `evaluation_seconds`."""
        assert self.seconds is not None
        return each * fewest <= EVALUATION_SHARE * self.seconds - fitting

    def evaluation_seconds(self, each: float, images: int, fewest: int, fitting: float) -> float:
        """Return what to keep for everything after the last step.

        Args:
            each: seconds to score one image.
            images: to be scored, sampled and shown.
            fewest: that are scored in any case.
            fitting: seconds to fit the decoding and postprocessors.
        """
        assert self.seconds is not None
        scored = max(min(each * images, EVALUATION_SHARE * self.seconds - fitting), each * fewest)
        return scored + fitting + REPORT_SECONDS

    def allows_estimate(self, taken: float) -> bool:
        """Say whether to estimate once more what follows the steps, after estimates that took `taken` seconds."""
        return taken <= ESTIMATES_SHARE * (time.monotonic() - self.started)

    def share_until_report(self, share: float, reserved: float) -> float | None:
        """Return the deadline of a part that gets `share` of the time until the report, less `reserved` seconds."""
        if self.report_deadline is None:
            return None
        now = time.monotonic()
        return now + share * (self.report_deadline - reserved - now)

    def within_report(self, seconds: float, start: float | None = None) -> float | None:
        """Return the deadline of a part that may take `seconds`, but must leave time for the report.

        Args:
            seconds: that the part may take.
            start: when it begins, None for now.
        """
        if self.report_deadline is None:
            return None
        return min((time.monotonic() if start is None else start) + seconds, self.report_deadline)
