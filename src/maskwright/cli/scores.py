"""Scores for the terminal: one table a class and one of the means. Computes nothing; `metrics` did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.cli.tables import Column, table
from maskwright.report.gain import rows
from maskwright.report.numbers import plural

if TYPE_CHECKING:
    from rich.console import RenderableType

    from maskwright.metrics.scores import Estimate, Scores
    from maskwright.report.content import Gain


def gain_table(gain: Gain, width: int) -> RenderableType:
    """Draw what the dense CRF changes, with a digit more than elsewhere: it is little."""
    found = rows(gain, "{:.4f}".format)
    return table(
        "What the dense CRF changes",
        [
            Column("mean over classes", [row.measure for row in found], kind="name"),
            Column("without", [row.without for row in found]),
            Column("with the dense CRF", [row.with_it for row in found]),
            Column("difference", [row.difference for row in found]),
        ],
        width,
    )


def score_tables(scores: Scores, split: str, width: int, *, crf: bool = False) -> list[RenderableType]:
    """Draw the per-class table, the means with their intervals, and the calibration in one line."""
    from rich.text import Text

    groups = f" in {plural(scores.groups, 'group')}" if scores.groups else ""
    over = "groups" if scores.groups else "images"
    known = scores.pixel_accuracy.low is not None
    how_sure = f"In brackets: 95 % interval over {over}." if known else f"No intervals: they take four {over} or more."
    kind = "image" if split == "all" else f"{split} image"
    how = " with the dense CRF" if crf else ""
    judged = f"{'all ' if split == 'all' and scores.images > 1 else ''}{plural(scores.images, kind)}"
    return [
        _classes(scores, f"Scores{how} on {judged}{groups}, by class over all pixels", width),
        _means(scores, width),
        Text(f"pixel accuracy {interval(scores.pixel_accuracy)}{_calibration(scores)}"),
        Text(f"{how_sure} '-': undefined, the class is absent.", style="dim"),
        *([Text(scores.scope, style="yellow")] if scores.scope else []),
    ]


def _classes(scores: Scores, title: str, width: int) -> RenderableType:
    entries = scores.classes
    return table(
        title,
        [
            Column("class", [entry.name for entry in entries], kind="name"),
            Column("IoU", [interval(entry.iou) for entry in entries]),
            Column("Dice", [value(entry.dice) for entry in entries]),
            Column("precision", [value(entry.precision) for entry in entries], rank=1),
            Column("recall", [value(entry.recall) for entry in entries], rank=1),
            Column("accuracy", [value(entry.accuracy) for entry in entries], rank=6),
            Column("boundary IoU", [value(entry.boundary_iou) for entry in entries], rank=3),
            Column("HD95 px", [value(entry.hd95, digits=1) for entry in entries], rank=4),
            Column("NSD", [value(entry.nsd) for entry in entries], rank=4),
            Column("images", [str(entry.images) for entry in entries], rank=2),
            Column("pixels", [str(entry.pixels) for entry in entries], rank=5),
        ],
        width,
    )


def _means(scores: Scores, width: int) -> RenderableType:
    keys = list(scores.mean)
    return table(
        "Means over classes; those per image are means over images (the report says what each is)",
        [
            Column("mean", [key.replace("_", " ") for key in keys], kind="name"),
            Column("value", [interval(scores.mean[key], 1 if key == "hd95" else 3) for key in keys]),
        ],
        width,
    )


def _calibration(scores: Scores) -> str:
    if scores.calibration is None:
        return ""
    scaled = scores.calibration.ece_scaled
    text = f"; calibration error {scores.calibration.ece:.3f}"
    return text if scaled is None else f"{text}, {scaled:.3f} with the fitted temperature"


def value(estimate: Estimate, digits: int = 3) -> str:
    """Write an estimate without its interval."""
    return "-" if estimate.value is None else f"{estimate.value:.{digits}f}"


def interval(estimate: Estimate, digits: int = 3) -> str:
    """Write an estimate with its interval: `0.871 (0.852..0.888)`."""
    if estimate.low is None or estimate.high is None:
        return value(estimate, digits)
    return f"{value(estimate, digits)} ({estimate.low:.{digits}f}..{estimate.high:.{digits}f})"
