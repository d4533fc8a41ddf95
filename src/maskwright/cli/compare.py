"""`maskwright compare`: runs on the same images, side by side. Computes nothing itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskwright.cli.errors import DONE
from maskwright.cli.options import AsJson, Device
from maskwright.cli.terminal import Terminal

if TYPE_CHECKING:
    from rich.console import RenderableType

    from maskwright.report.compared import Comparison

Runs = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN...", help="Folders of two or more training runs; the first is what others are compared with."
    ),
]
Images = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DATA",
        help="Score all runs on the images in this folder that none was trained on.  [default: the stored scores]",
    ),
]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder for the page and the tables.")]


def compare(
    runs: Runs,
    data: Images = None,
    out: Out = Path("comparison"),
    device: Device = "auto",
    as_json: AsJson = False,
) -> int:
    """Compare training runs on the same held-out images.

    Prints paired differences with 95 % intervals, and what differs between the plans. Writes comparison.html, and the
    table as comparison.md, .csv and .tex.
    """
    from maskwright.cli.tables import pairs
    from maskwright.core.paths import check_folder
    from maskwright.workflows.compare_request import CompareRequest
    from maskwright.workflows.runs.preflight import check_model

    for run in runs:
        check_model(run, data)
    check_folder(out)
    from maskwright.workflows.compare import compare as side_by_side

    terminal = Terminal(as_json=as_json)
    with terminal.working() as watch:
        result = side_by_side(runs, CompareRequest(data, out, device), watch.counting("evaluate"))
    terminal.answer({"report": result.report, **result.to_json()})
    terminal.show(*_tables(result.comparison, terminal.width))
    for note in result.comparison.notes:
        terminal.say(f"note: {note}")
    terminal.show(pairs("Files", [("page", str(result.report)), ("tables", f"{out / 'comparison'}.md, .csv, .tex")]))
    return DONE


def _tables(comparison: Comparison, width: int) -> list[RenderableType]:
    """Draw the scores with their differences, and what differs between the plans."""
    from maskwright.cli.tables import Column, table
    from maskwright.report.compared import NOTHING, estimate, labelled, verdict
    from maskwright.report.facts import differing
    from maskwright.report.paper import caption, cost

    runs, metric = comparison.runs, comparison.headline
    changes = [run.differences.get(metric.key, NOTHING) for run in runs]
    costs = [cost(run) for run in runs]
    first = table(
        caption(comparison),
        [
            Column("run", [run.name for run in runs], kind="name"),
            Column(labelled(metric), [estimate(metric, run.scores.mean[metric.key]) for run in runs]),
            Column("difference", ["", *(estimate(metric, change, signed=True) for change in changes[1:])]),
            Column("this run is", ["", *(verdict(metric, change) for change in changes[1:])], kind="name"),
            Column("parameters", [cells[0] for cells in costs], rank=1),
            Column("training", [cells[1] for cells in costs], rank=1),
        ],
        width,
    )
    rows = differing([run.plan for run in runs])
    if not rows:
        return [first, "The plans are the same."]
    columns = [Column("decision", [row.key for row in rows], kind="name")]
    for place, run in enumerate(runs):
        columns.append(Column(run.name, [row.values[place] for row in rows], kind="prose"))
    return [first, table("Plans: what differs", columns, width)]
