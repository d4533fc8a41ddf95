"""How often do the 95 % intervals of maskwright hold the truth? Simulated counts, so the truth is known.

Run: python benchmarks/interval_coverage.py [--repeats 2000]

A model of four classes judges images; the fourth class is rare (1 % of the pixels, in about a third of the images) and
hard. The accuracy of a class in an image is drawn from a beta distribution. Images of one sequence share a shift of
that accuracy (standard deviation 0.4 on the logit scale for all classes and 0.28 for each), of the classes' shares and
of how often the classes occur; so they depend on one another as the frames of one drive do. What is misclassified goes
to the other classes. The truth of each score is that of some 500,000 sequences.

For each setting it prints how often the interval held the truth, in percent, and its median width, both for the
intervals of `maskwright.metrics.intervals` and for a percentile bootstrap of the same rows.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from maskwright.metrics.confusion import dice, iou, mean_defined, pixel_accuracy
from maskwright.metrics.intervals import intervals

if TYPE_CHECKING:
    from collections.abc import Callable

Counts = NDArray[np.float64]
SCORES = (
    "IoU, commonest class",
    "IoU, third class",
    "IoU, rare class",
    "Dice, rare class",
    "mean IoU",
    "pixel accuracy",
)
SHARES, OCCURRENCE, SKILL = np.array([0.55, 0.3, 0.14, 0.01]), np.array([1, 1, 0.9, 0.3]), np.array([3, 1.8, 1, 0.2])
MISTAKEN_FOR = np.array([0.4, 0.35, 0.2, 0.05])
CLASSES, PIXELS, CONCENTRATION, SPREAD = len(SHARES), 1e5, 8.0, 0.4
RESAMPLES = 400


@dataclass(frozen=True)
class Setting:
    """Rows of a test set: `draw(random, repeats)` gives how many images each has (repeats, rows)."""

    name: str
    draw: Callable[[np.random.Generator, int], NDArray[np.int64]]


def images(count: int) -> Setting:
    """Independent images."""
    return Setting(f"{count} images", lambda _, repeats: np.ones((repeats, count), np.int64))


def sequences(count: int) -> Setting:
    """Sequences of 10 to 40 frames."""
    return Setting(f"{count} sequences", lambda random, repeats: random.integers(10, 41, (repeats, count)))


def unequal(count: int) -> Setting:
    """Groups of log-normal size, 1 to 60 images, so that one of them is often as large as all others together."""

    def draw(random: np.random.Generator, repeats: int) -> NDArray[np.int64]:
        return np.clip(np.rint(random.lognormal(1.5, 1.0, (repeats, count))), 1, 60).astype(np.int64)

    return Setting(f"{count} unequal groups", draw)


SETTINGS = (
    *(images(count) for count in (10, 20, 50, 100)),
    *(sequences(count) for count in (4, 5, 8, 15)),
    *(unequal(count) for count in (5, 10, 30)),
)


def simulate(random: np.random.Generator, sizes: NDArray[np.int64]) -> Counts:
    """Return counts (repeats, rows, K, 3) of true positives, pixels predicted and pixels true, summed over each row."""
    rows = sizes.shape
    each = (*rows, int(sizes.max()), CLASSES)

    def shift(spread: float, last: int = CLASSES) -> Counts:
        return random.normal(0, spread, (*rows, 1, last))

    skill = 1 / (1 + np.exp(-(SKILL + shift(SPREAD, 1) + shift(0.7 * SPREAD))))
    accuracy = random.beta(CONCENTRATION * skill, CONCENTRATION * (1 - skill), each)
    chance = 1 / (1 + (1 - OCCURRENCE) / OCCURRENCE * np.exp(shift(2 * SPREAD)))
    area = SHARES * np.exp(shift(SPREAD)) * random.gamma(2, 0.5, each) * (random.random(each) < chance)
    area[..., 0] += 1e-3  # no image is without any class
    area *= np.arange(each[2])[:, None] < sizes[..., None, None]
    true = np.rint(PIXELS * area / np.maximum(area.sum(-1, keepdims=True), 1e-9))
    hit = np.rint(true * accuracy)
    confusion = MISTAKEN_FOR * (1 - np.eye(CLASSES))
    false = np.rint((true - hit) @ (confusion / confusion.sum(1, keepdims=True)))
    return np.stack([hit, hit + false, true], -1).sum(2)


def measure(sums: Counts) -> Counts:
    """Compute `SCORES` from sums (R, 3 K)."""
    counts = sums.reshape(len(sums), CLASSES, 3)
    by_class = iou(counts)
    parts = [
        by_class[:, [0, 2, 3]],
        dice(counts)[:, 3:],
        mean_defined(by_class)[:, None],
        pixel_accuracy(counts)[:, None],
    ]
    return np.concatenate(parts, 1)


def truth(setting: Setting, rounds: int) -> Counts:
    """Return the scores of very many rows (J,)."""
    random = np.random.default_rng(99)
    total = sum(simulate(random, setting.draw(random, 400)).sum((0, 1)) for _ in range(rounds))
    return measure(np.asarray(total).reshape(1, -1))[0]


def percentile_bootstrap(random: np.random.Generator, rows: Counts) -> tuple[Counts, Counts]:
    """Bound `SCORES` by percentiles over resampled rows (G, 3 K)."""
    times = random.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), RESAMPLES)
    low, high = np.nanpercentile(measure(times.astype(np.float64) @ rows), [2.5, 97.5], axis=0)
    return low, high


def coverage(
    setting: Setting, repeats: int, *, rounds: int = 50, bootstrap: bool = True
) -> dict[str, tuple[Counts, Counts]]:
    """Return, by method, the share of intervals that hold the truth (J,) and their median width (J,).

    A score that a test set does not define, or of which too few of its rows know anything, is not counted.
    """
    random = np.random.default_rng(1)
    right = truth(setting, rounds)
    sizes = setting.draw(random, repeats)
    counts = simulate(random, sizes).reshape(repeats, sizes.shape[1], -1)
    top = np.ones(len(SCORES))
    pairs = zip(counts, sizes.astype(np.float64), strict=True)
    bounds = {"maskwright": [intervals(rows, size, measure, top) for rows, size in pairs]}
    if bootstrap:
        bounds["bootstrap"] = [percentile_bootstrap(random, rows) for rows in counts]
    found = {}
    for method, ends in bounds.items():
        low, high = np.array(ends).swapaxes(0, 1)
        held = np.where(np.isnan(low), np.nan, (low <= right) & (right <= high))
        found[method] = np.nanmean(held, axis=0), np.nanmedian(high - low, axis=0)
    return found


def main() -> None:
    """Print a Markdown table for docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=2000, help="test sets of each setting")
    repeats = parser.parse_args().repeats
    print(f"| test set | {' | '.join(SCORES)} | percentile bootstrap, lowest to highest |")
    print(f"|---|{'---|' * (len(SCORES) + 1)}")
    for setting in SETTINGS:
        found = coverage(setting, repeats)
        cells = [f"{100 * held:.1f} ({width:.2f})" for held, width in zip(*found["maskwright"], strict=True)]
        plain = 100 * found["bootstrap"][0]
        print(f"| {setting.name} | {' | '.join(cells)} | {plain.min():.1f} to {plain.max():.1f} |", flush=True)


if __name__ == "__main__":
    main()
