"""Compare runs on the same held-out images: paired differences, curves, plans, tables for a paper. Prints nothing."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from maskwright.core.errors import MaskwrightError
from maskwright.core.files import write_text
from maskwright.core.paths import MODEL_FILE
from maskwright.core.plan_file import read_plan
from maskwright.metrics.paired import difference
from maskwright.report import paper
from maskwright.report.compared import ComparedRun, Comparison
from maskwright.report.comparison import write_comparison
from maskwright.report.facts import differing
from maskwright.workflows.compare_parts.scored import Scored, scored_anew, stored
from maskwright.workflows.runs import run_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from maskwright.core.events import OnProgress
    from maskwright.metrics.scores import Estimate, Scores
    from maskwright.workflows.compare_request import CompareRequest

PAGE, TABLES = "comparison.html", ("comparison.md", "comparison.csv", "comparison.tex")
DOCUMENT = "comparison.json"


@dataclass(frozen=True)
class CompareResult:
    """Result of a comparison.

    Attributes:
        comparison: all runs with their scores and differences.
        report: path of the HTML page; the tables are beside it.
    """

    comparison: Comparison
    report: Path

    def to_json(self) -> dict[str, Any]:
        """Return scores and differences as plain JSON."""
        shown = self.comparison
        return {
            "split": shown.split,
            "images": shown.runs[0].scores.images,
            "headline": shown.headline.key,
            "notes": list(shown.notes),
            "runs": [_plain(run) for run in shown.runs],
            "plans": [asdict(entry) for entry in differing([run.plan for run in shown.runs])],
        }


def compare(runs: Sequence[Path], request: CompareRequest, on_progress: OnProgress | None = None) -> CompareResult:
    """Compare finished runs with the first of them.

    Args:
        runs: two or more run folders.
        request: on which images, and where to write.
        on_progress: called with (images scored, images in all) if the runs are scored again.

    Raises:
        MaskwrightError: fewer than two runs, one that is not finished, or runs that cannot be compared.
    """
    _check(runs)
    found = stored(runs) if request.data is None else scored_anew(runs, request.data, request.device, on_progress)
    names = _names(runs)
    compared = [_compared(run, names[place], place, found) for place, run in enumerate(runs)]
    comparison = Comparison(tuple(compared), found.split, found.notes)
    result = CompareResult(comparison, request.out / PAGE)
    write_comparison(result.report, comparison)
    written = (paper.markdown, paper.comma_separated, paper.latex)
    for name, table in zip(TABLES, written, strict=True):
        write_text(request.out / name, table(comparison))
    write_text(request.out / DOCUMENT, json.dumps(result.to_json(), indent=1) + "\n")
    return result


def _check(runs: Sequence[Path]) -> None:
    """Refuse what cannot be compared.

    Raises:
        MaskwrightError: with the reason.
    """
    if len(runs) < 2:
        raise MaskwrightError(f"a comparison needs two or more runs, and {len(runs)} was given: name another one")
    places = [run.resolve() for run in runs]
    twice = next((run for place, run in enumerate(runs) if run.resolve() in places[:place]), None)
    if twice is not None:
        raise MaskwrightError(f"{twice} was given twice: name different runs")
    for run in runs:
        if not (run / run_folder.PLAN).is_file() or not (run / MODEL_FILE).is_file():
            raise MaskwrightError(f"{run} is not the folder of a finished run: name folders of trainings that ended")


def _names(runs: Sequence[Path]) -> list[str]:
    """Return the names of the folders, or their paths if two have the same name."""
    names = [run.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]


def _compared(run: Path, name: str, place: int, found: Scored) -> ComparedRun:
    history = run / run_folder.HISTORY
    rows = run_folder.read_history(history) if history.exists() else []
    metrics = run_folder.read_json(run / run_folder.METRICS) if (run / run_folder.METRICS).exists() else {}
    scores, first = found.scores[place], found.scores[0]
    return ComparedRun(
        name=name,
        run=str(run),
        scores=scores,
        differences={key: difference(first, scores, key) for key in scores.mean} if place else {},
        by_class=_by_class(first, scores) if place else {},
        plan=read_plan(run / run_folder.PLAN),
        history=rows,
        steps=int((rows[-1]["step"] if rows else 0) or 0),
        seconds=(rows[-1]["seconds"] if rows else 0) or 0.0,
        parameters=metrics.get("parameters", {}).get("whole", 0),
        bytes=(run / MODEL_FILE).stat().st_size,
    )


def _by_class(first: Scores, scores: Scores) -> dict[str, Any]:
    return {entry.name: difference(first, scores, scores.headline, entry.name) for entry in scores.classes}


def _plain(run: ComparedRun) -> dict[str, Any]:
    return {
        "name": run.name,
        "run": run.run,
        "mean": _bounds(run.scores.mean),
        "differences": _bounds(run.differences),
        "classes": _bounds({entry.name: entry[run.scores.headline] for entry in run.scores.classes}),
        "class_differences": _bounds(run.by_class),
        "steps": run.steps,
        "seconds": run.seconds,
        "parameters": run.parameters,
        "bytes": run.bytes,
    }


def _bounds(estimates: Mapping[str, Estimate]) -> dict[str, dict[str, float | None]]:
    return {key: {"value": entry.value, "low": entry.low, "high": entry.high} for key, entry in estimates.items()}
