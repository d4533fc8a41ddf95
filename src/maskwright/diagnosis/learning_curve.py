"""How a score grows with the number of training images: a power law with a floor, fitted to a few short trainings.

score(n) = a - b n^-c with b >= 0, so the curve never falls. The floor of the error is 1 - a. Such laws describe the
error of networks over orders of magnitude (Hestness et al. 2017, "Deep Learning Scaling is Predictable, Empirically";
Viering and Loog 2022, "The Shape of Learning Curves: a Review").

Four points do not tell three parameters apart, so `c` is drawn towards `USUAL_POWER` and one more training moves a
score by about `USUAL_SPREAD`, as long as the points do not say otherwise. The interval comes from refitting: the
held-out images are drawn anew (all trainings on the same ones, so what is hard for all of them cancels in a gain), each
point is moved by the spread between trainings, and the preferred power is drawn anew too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.seeds import generator
from maskwright.metrics.intervals import by_group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FEWEST = 3
"""Fewest different numbers of images that a curve is fitted to."""
DRAWS = 500
POWERS = np.geomspace(0.05, 2.0, 30)
USUAL_POWER, POWER_WIDTH = 0.5, 0.6
"""Preferred power, and the standard deviation of its logarithm."""
USUAL_SPREAD, SPREAD_WEIGHT = 0.012, 3.0
"""Standard deviation of a score between trainings, and the number of points that this prior counts as."""


@dataclass(frozen=True)
class Curve:
    """A fitted curve, with the draws that its intervals come from.

    Attributes:
        a, b, c: of a - b n^-c.
        draws: (D, 3) of the same, refitted.
        spread: standard deviation of a score between two trainings on equally many images.
        noise: (D,) what one more training adds to each draw.
    """

    a: float
    b: float
    c: float
    draws: NDArray[np.float64]
    spread: float
    noise: NDArray[np.float64]

    def score(self, images: float) -> float:
        """Return the expected score of a training on so many images."""
        return float(self.a - self.b * images**-self.c)

    def interval(self, images: float, share: float = 0.95) -> tuple[float, float]:
        """Bound the score of one training on so many images."""
        return _ends(_at(self.draws, images) + self.noise, share)

    def gain(self, images: float, more: float) -> float:
        """Return how much the expected score grows from `images` to `images + more`."""
        return self.score(images + more) - self.score(images)

    def gain_interval(self, images: float, more: float, share: float = 0.95) -> tuple[float, float]:
        """Bound the gain."""
        return _ends(_at(self.draws, images + more) - _at(self.draws, images), share)

    def images_for(self, score: float) -> float:
        """Return how many images reach a score; infinite where the curve ends below."""
        if score >= self.a:
            return float("inf")
        return float((self.b / (self.a - score)) ** (1 / self.c)) if self.b else 1.0


def fit(
    images: Sequence[int],
    scores: Sequence[float],
    per_image: NDArray[np.float64] | None = None,
    groups: Sequence[str | None] = (),
    top: float = 1.0,
    seed: int = 0,
) -> Curve:
    """Fit the curve to trainings on subsets.

    Args:
        images: of each training, K numbers, at least `FEWEST` different ones.
        scores: of each training on the same held-out images, higher is better.
        per_image: (n, K) score of each held-out image, all of them known; None where there is nothing but the
            spread between trainings.
        groups: one entry a held-out image; images of one group are drawn together.
        top: the largest possible score, or infinity.
        seed: of the draws.
    """
    n, y = np.asarray(images, np.float64), np.asarray(scores, np.float64)
    assert len(set(images)) >= FEWEST
    centre = _solve(n, y[None], np.array([USUAL_POWER]), USUAL_SPREAD, top)[0]
    residuals = y - _at(centre[None], n[:, None])[:, 0]
    freedom = max(len(n) - FEWEST, 0)
    spread = float(np.sqrt((SPREAD_WEIGHT * USUAL_SPREAD**2 + (residuals**2).sum()) / (SPREAD_WEIGHT + freedom)))
    rng = generator(seed, "learning curve")
    moved = y + rng.normal(0, spread, (DRAWS, len(n)))
    if per_image is not None:
        moved += _resampled(per_image, groups, rng)
    powers = USUAL_POWER * np.exp(rng.normal(0, POWER_WIDTH, DRAWS))
    draws = _solve(n, moved, powers, spread, top)
    a, b, c = (float(value) for value in centre)
    return Curve(a, b, c, draws, spread, rng.normal(0, spread, DRAWS))


def _at(draws: NDArray[np.float64], images: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the curves (D, 3) at a number of images, or (K, D) at K of them given as (K, 1)."""
    a, b, c = draws.T
    return np.asarray(a - b * np.asarray(images, np.float64) ** -c)


def _ends(values: NDArray[np.float64], share: float) -> tuple[float, float]:
    low, high = np.quantile(values, ((1 - share) / 2, (1 + share) / 2))
    return float(low), float(high)


def _resampled(
    per_image: NDArray[np.float64], groups: Sequence[str | None], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return by how much (DRAWS, K) the mean scores move if the held-out images are drawn anew, groups as a whole."""
    rows = np.column_stack([per_image, np.ones(len(per_image))])
    totals, _ = by_group(rows, groups or [None] * len(per_image))
    if len(totals) < 2:
        return np.zeros((DRAWS, per_image.shape[1]))
    sums = rng.multinomial(len(totals), np.full(len(totals), 1 / len(totals)), DRAWS) @ totals
    return np.asarray(sums[:, :-1] / sums[:, -1:] - rows[:, :-1].mean(0))


def _solve(
    n: NDArray[np.float64], y: NDArray[np.float64], powers: NDArray[np.float64], spread: float, top: float
) -> NDArray[np.float64]:
    """Return the penalised least-squares fit (D, 3) of each row of `y` (D, K).

    For each power, `a` and `b` are linear; of all powers the one with the smallest sum of squares, in units of the
    spread, plus the penalty on its logarithm is taken.
    """
    best = np.full(len(y), np.inf)
    found = np.zeros((len(y), 3))
    for power in POWERS:
        x = n**-power
        about = x - x.mean()
        b = np.maximum(-(y @ about) / (about @ about), 0.0)
        a = y.mean(1) + b * x.mean()
        over = a > top  # then a is the top, and the line goes through it
        b = np.where(over, np.maximum(((top - y) @ x) / (x @ x), 0.0), b)
        a = np.where(over, top, a)
        squares = np.square(y - a[:, None] + b[:, None] * x).sum(1) / spread**2
        cost = squares + np.square(np.log(power / powers) / POWER_WIDTH)
        better = cost < best
        best = np.where(better, cost, best)
        found[better] = np.column_stack([a, b, np.full(len(y), power)])[better]
    return found
