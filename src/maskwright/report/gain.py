"""The effect of a postprocessor, as rows of a table and in words. Knows no HTML and no terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.text import points

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from maskwright.metrics.scores import Metric
    from maskwright.report.content import Gain


class Row(NamedTuple):
    """One metric without and with the postprocessor, and the difference, all written."""

    measure: str
    without: str
    with_it: str
    difference: str


def in_percent(share: float) -> str:
    """Write a share 0..1 in percent with a digit more than elsewhere: what a postprocessor changes is small."""
    return points(share, 2)


def rows(gain: Gain, metrics: Iterable[Metric], write: Callable[[float], str]) -> list[Row]:
    """Return the measures that are defined, each share written by `write`.

    The difference is that of the numbers shown, so that nobody finds another one by hand.
    """
    labels = {metric.key: metric.label for metric in metrics}
    found = []
    for key, entry in gain.items():
        without, with_it = entry["without"], entry["with"]
        if without is not None and with_it is not None:
            before, after = write(without), write(with_it)
            digits = len(before.partition(".")[2])
            change = round(float(after) - float(before), digits)
            found.append(Row(labels[key], before, after, f"{change:+.{digits}f}" if change else "none"))
    return found


def losses(gain: Gain, metrics: Iterable[Metric], label: str) -> list[str]:
    """Name each metric that the postprocessor called `label` makes worse, as far as the numbers shown tell."""
    worse = [row.measure for row in rows(gain, metrics, in_percent) if row.difference.startswith("-")]
    return [f"on these images the {label} lowers the mean {measure}" for measure in worse]
