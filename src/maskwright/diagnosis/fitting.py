"""Whether a model learnt by heart, or too little: two scores compared, and how a curve of the training ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.metrics.scores import Estimate

LAST = 0.2
"""Share of a training that counts as its end."""
FEWEST_SCORES = 4
FEWEST_LOSSES = 20
RISING = 0.01
"""Gain of a score in the last part of the training, from which on it still rises; a share of the best value before."""
FALLING = 0.03
"""Likewise of the loss, which falls a little even then because the learning rate goes to zero."""
JUMP = 1.5
"""A step whose smoothed loss is larger by this factor than before."""


def difference(one: Estimate, other: Estimate) -> tuple[float | None, float | None, float | None]:
    """Return `one` - `other` of two values that do not depend on one another, and its 95 % interval.

    The interval is that of Zou and Donner 2008, "Construction of confidence limits about effect measures" (MOVER),
    which takes the two intervals as they are and so keeps their asymmetry.
    """
    if one.value is None or other.value is None:
        return None, None, None
    gap = one.value - other.value
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return gap, None, None
    low = gap - np.hypot(one.value - one.low, other.high - other.value)
    high = gap + np.hypot(one.high - one.value, other.value - other.low)
    return gap, float(low), float(high)


def still_improves(scores: Sequence[float], losses: Sequence[float], *, higher_is_better: bool = True) -> bool | None:
    """Say whether a training was still getting better when it ended.

    Args:
        scores: on validation images, in the order of the training; they decide if there are `FEWEST_SCORES`.
        losses: of the training steps, smoothed.
        higher_is_better: of the scores.

    Returns:
        None where there are too few of both.
    """
    if len(scores) >= FEWEST_SCORES:
        sign = 1.0 if higher_is_better else -1.0
        values = sign * np.asarray(scores, np.float64)
        end = max(1, round(LAST * len(values)))
        before, last = values[:-end].max(), values[-end:].max()
        return bool(last - before > RISING * abs(before))
    if len(losses) < FEWEST_LOSSES:
        return None
    values = np.asarray(losses, np.float64)
    end = max(2, round(LAST * len(values)))
    before, last = values[-2 * end : -end].mean(), values[-end:].mean()
    return bool(before - last > FALLING * abs(before))


def past_the_best(scores: Sequence[float], *, higher_is_better: bool = True) -> bool:
    """Say whether the validation score had its best value before the last part of the training, and fell since."""
    if len(scores) < FEWEST_SCORES:
        return False
    values = (1.0 if higher_is_better else -1.0) * np.asarray(scores, np.float64)
    end = max(1, round(LAST * len(values)))
    return bool(values[:-end].max() - values[-1] > RISING * abs(values[:-end].max()))


def jumps(losses: Sequence[float]) -> int:
    """Count the steps at which the loss rose by more than half, or was not finite: what clipping prevents."""
    values = np.asarray(losses, np.float64)
    with np.errstate(invalid="ignore"):
        return int((~np.isfinite(values)).sum() + (values[1:] > JUMP * values[:-1]).sum())
