"""The rows of `history.csv` to learning curves: smoothing, subsampling, one chart each. Knows no metric by name."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from maskwright.core.text import compact, finite, percent
from maskwright.report.charts import Axis, Series, line_chart
from maskwright.report.tables import unit, write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from maskwright.metrics.scores import Metric
    from maskwright.report.svg import Svg

MOST_POINTS = 240
SMOOTHING = 0.02
WILD = 2.0

FURTHER = {
    "adversarial_loss": ("Adversarial loss", "0.69 when the discriminator guesses at chance, more when it is right."),
    "distillation_loss": ("Distance from the teacher", "Without its weight in the loss; 0 where the maps agree."),
    "discriminator_loss": (
        "Discriminator loss",
        "1.39 when the discriminator guesses at chance, 0 when it recognises every predicted map.",
    ),
}
"""Losses of further objectives: column -> title and what the values mean."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """One chart with its heading and one sentence on what it shows."""

    title: str
    note: str
    svg: Svg


def curves(history: Sequence[Mapping[str, float | None]], metric: Metric) -> list[Curve]:
    """Draw loss, validation score, learning rate, gradients and further losses, as far as the history holds them.

    Args:
        history: rows of `history.csv`.
        metric: that validation computes; its column is `val_KEY`.
    """
    built = [
        _loss(column(history, "loss")),
        _score(column(history, f"val_{metric.key}"), metric),
        _rate(column(history, "lr")),
        _gradient(column(history, "gradient"), column(history, "gradient_max"), clipped(history)),
        *(_loss(column(history, key), title, note) for key, (title, note) in FURTHER.items()),
    ]
    return [entry for entry in built if entry is not None]


def column(history: Sequence[Mapping[str, float | None]], key: str) -> list[Point]:
    """Return (step, value) of every row in which the value is there and finite."""
    found = []
    for row in history:
        value = finite(row.get(key))
        step = finite(row.get("step"))
        if value is not None and step is not None:
            found.append((step, value))
    return found


def clipped(history: Sequence[Mapping[str, float | None]]) -> float | None:
    """Return the share of the steps whose gradient was clipped; None where the history does not say.

    A row counts by the steps since the row before it.
    """
    done, steps, total = 0.0, 0.0, 0.0
    for row in history:
        step, share = finite(row.get("step")), finite(row.get("clipped"))
        if step is None:
            continue
        if share is not None:
            total, steps = total + share * (step - done), steps + step - done
        done = step
    return total / steps if steps else None


def smoothed(values: Sequence[float], reach: int) -> list[float]:
    """Return the mean of each value and its neighbours, up to `reach` on either side and fewer at the ends.

    The window stays centred, so that the smooth line does not lag behind.
    """
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)
    result = []
    for index in range(len(values)):
        start, stop = max(index - reach, 0), min(index + reach + 1, len(values))
        result.append((sums[stop] - sums[start]) / (stop - start))
    return result


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """Return at most `most` points: each the mean of a run of neighbours of equal length."""
    if len(points) <= most:
        return list(points)
    edges = [index * len(points) // most for index in range(most + 1)]
    runs = [points[start:stop] for start, stop in pairwise(edges)]
    return [(sum(x for x, _ in run) / len(run), sum(y for _, y in run) / len(run)) for run in runs]


def _loss(points: list[Point], name: str = "Training loss", note: str = "") -> Curve | None:
    if len(points) < 2:
        return None
    smooth = smoothed([y for _, y in points], round(len(points) * SMOOTHING))
    line = thinned([(x, y) for (x, _), y in zip(points, smooth, strict=True)])
    raw = thinned(points)
    y_axis = _without_outliers([y for _, y in raw + line])
    title = f"{name} over {compact(points[-1][0])} steps, from {smooth[0]:.2f} to {smooth[-1]:.2f}"
    svg = line_chart(title, [Series(tuple(raw), "faint"), Series(tuple(line))], _steps(points), y_axis)
    return Curve(name, f"Raw (faint) and smoothed. Final value {smooth[-1]:.3g}. {note}".rstrip(), svg)


def _score(points: list[Point], metric: Metric) -> Curve | None:
    if not points:
        return None
    best_of = max if metric.higher_is_better else min
    step, best = best_of(points, key=lambda point: point[1])
    words = f"{write(metric, best)}{unit(metric)}"
    title = f"{metric.label} on validation images, best {words} at step {step:.0f}"
    top = max(0.1, *(value for _, value in points))
    y_axis = Axis(0, top, (lambda value: percent(value, 0)) if metric.unit == "share" else _plain)
    x_axis = Axis(0, points[-1][0], compact, "step")
    svg = line_chart(title, [Series(tuple(points), "dotted")], x_axis, y_axis, mark=(step, best))
    return Curve(f"Validation {metric.label}", f"Best: {words} at step {step:,.0f} (ring). This model was kept.", svg)


def _rate(points: list[Point]) -> Curve | None:
    if len(points) < 2:
        return None
    highest = max(y for _, y in points)
    line = Series(tuple(thinned(points)))
    title = f"Learning rate over {compact(points[-1][0])} steps, at most {highest:g}"
    svg = line_chart(title, [line], _steps(points), Axis(0, highest, _plain))
    return Curve("Learning rate", f"Peak {highest:.3g}.", svg)


def _gradient(means: list[Point], largest: list[Point], share: float | None) -> Curve | None:
    if len(means) < 2:
        return None
    usual, most = median(y for _, y in means), max(y for _, y in largest)
    lines = [Series(tuple(thinned(largest)), "faint"), Series(tuple(thinned(means)))]
    title = f"Gradient norm over {compact(means[-1][0])} steps, usually {usual:.3g}, at most {most:.3g}"
    svg = line_chart(title, lines, _steps(means), _without_outliers([y for _, y in means + largest]))
    note = f"Before clipping: mean of the steps and largest one (faint). Usually {usual:.3g}, at most {most:.3g}."
    if share is not None:
        note += f" Clipped: {percent(share, 0)} of the steps."
    return Curve("Gradient norm", note, svg)


def _without_outliers(values: list[float]) -> Axis:
    """Return an axis for all but a few outliers, which would flatten everything else: they are drawn at its end."""
    heights = sorted(values)
    usual = heights[int(len(heights) * 0.98)]
    return Axis(min(0.0, heights[0]), min(heights[-1], WILD * abs(usual)), _plain)


def _steps(points: list[Point]) -> Axis:
    return Axis(0, points[-1][0], compact, "step")


def _plain(value: float) -> str:
    return f"{value:.4g}"
