"""Checks of paths before a verb begins. Imports nothing slow, so that a mistyped path is reported at once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from maskwright.core.paths import check_folder, existing, model_file
from maskwright.core.plan_file import read_plan
from maskwright.workflows.request import check_resume
from maskwright.workflows.runs.run_folder import check_out, check_run

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.workflows.request import PlanRequest


def check_training(root: Path, request: PlanRequest, out: Path | None = None) -> None:
    """Check the inputs of a training, and the folder that it will write.

    Raises:
        MaskwrightError: no data, no such plan or model, or a run folder that cannot be used.
    """
    existing(root)
    if request.plan_file is not None:
        read_plan(request.plan_file)
    if request.from_run is not None:
        model_file(request.from_run, "from_run")
    if request.weights is not None:
        existing(request.weights, "model.weights")
    if out is not None and os.environ.get("RANK", "0") == "0":  # the first process may have created it already
        check_out(out)


def check_resuming(run: Path, root: Path | None, request: PlanRequest, out: Path | None = None) -> None:
    """Check the run that a training resumes.

    Raises:
        MaskwrightError: no run, no data at the given path, or settings that a resumed run cannot use.
    """
    check_resume(request, out)
    check_run(run)
    if root is not None:
        existing(root)


def check_model(run: Path, root: Path | None = None, out: Path | None = None) -> None:
    """Check the model, the data to use it on, and the output folder.

    Raises:
        MaskwrightError: no model, no data, or a file in the folder's way.
    """
    model_file(run)
    if root is not None:
        existing(root)
    if out is not None:
        check_folder(out)
