"""The Python API of finished and of several runs, beside `workflows.api`. Prints nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskwright.core.keywords import request_of
from maskwright.core.paths import path_of
from maskwright.workflows import compare as comparing
from maskwright.workflows import diagnose as diagnosing
from maskwright.workflows import tune as tuning
from maskwright.workflows.api import IMAGES, MODEL, StrPath
from maskwright.workflows.compare_request import CompareRequest
from maskwright.workflows.diagnose_request import DiagnoseRequest
from maskwright.workflows.request import PlanRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.core.events import OnEvent, OnProgress
    from maskwright.workflows.compare import CompareResult
    from maskwright.workflows.diagnose import DiagnoseResult
    from maskwright.workflows.tune_parts.result import TuneResult


def compare(
    runs: Sequence[str | Path],
    request: CompareRequest | None = None,
    *,
    on_progress: OnProgress | None = None,
    **fields: Any,
) -> CompareResult:
    """Compare finished runs on the same held-out images, and write a page and tables for a paper.

    Args:
        runs: two or more run folders; the first is what the others are compared with.
        request: on which images, and where to write; None for one made of `fields`.
        on_progress: called with (images done, images in all) if `data` is given.
        **fields: of a `CompareRequest`, instead of `request`: `data="images"`, `out="comparison"`.

    Raises:
        MaskwrightError: a run that is not finished, or runs that cannot be compared.
    """
    several = [runs] if isinstance(runs, str | Path) else runs
    folders = [path_of(run, "runs", "the folders of finished runs") for run in several]
    return comparing.compare(folders, request_of(CompareRequest, request, fields), on_progress)


def tune(
    data: str | Path | None = None,
    request: PlanRequest | None = None,
    *,
    out: str | Path | None = None,
    trials: int | None = None,
    resume: str | Path | None = None,
    on: str | None = None,
    on_event: OnEvent | None = None,
    **fields: Any,
) -> TuneResult:
    """Search for a better plan within a time, accept it only if it is shown to be one, and train on by it.

    Args:
        data: folder (or file) of images and masks; not needed with `resume`.
        request: what you want of the training; None for one made of `fields`. What it sets is not changed.
        out: run folder to write; None for a new one below `runs/`.
        trials: most plans to try, the planned one included; None for as many as the time allows.
        resume: continue the interrupted search in this run folder; only `device` and `on` may be given too.
        on: `ray` to train the trials on a Ray cluster; None for this process.
        on_event: called with progress and notes (`core.events`).
        **fields: of a `PlanRequest`, instead of `request`: `budget="1h"`.

    Raises:
        MaskwrightError: the data cannot be trained on, there is no budget or no validation image, or `out` cannot be
            written.
    """
    return tuning.tune(
        None if data is None else path_of(data, "data", IMAGES),
        request_of(PlanRequest, request, fields),
        None if out is None else Path(out),
        trials=trials,
        resume=None if resume is None else Path(resume),
        on=on,
        on_event=on_event,
    )


def diagnose(run: StrPath, data: StrPath, request: DiagnoseRequest | None = None, **fields: Any) -> DiagnoseResult:
    """Say where a model is wrong, why, and what to do next, measured on held-out images.

    Args:
        run: the folder of a run, or a model file.
        data: folder (or file) of images and masks.
        request: which questions, how long, and where to write; None for one made of `fields`.
        **fields: of a `DiagnoseRequest`, instead of `request`: `budget="5m"`, `question=["robustness"]`.

    Raises:
        MaskwrightError: no model, other classes than the model has, or no such question.
    """
    return diagnosing.diagnose(
        path_of(run, "run", MODEL), path_of(data, "data", IMAGES), request_of(DiagnoseRequest, request, fields)
    )
