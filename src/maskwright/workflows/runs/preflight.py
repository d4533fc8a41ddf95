"""What a verb can refuse by its paths alone. Imports nothing slow, so that a slip of the hand costs no waiting."""

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
    """Check what a training is planned from, and where it shall be written.

    Raises:
        MaskwrightError: no data, no such plan or model, or a run folder that cannot be begun.
    """
    existing(root)
    if request.plan_file is not None:
        read_plan(request.plan_file)
    if request.from_run is not None:
        model_file(request.from_run, "from_run")
    if request.weights is not None:
        existing(request.weights, "model.weights")
    if out is not None and os.environ.get("RANK", "0") == "0":  # the others may come when the first has begun the run
        check_out(out)


def check_resuming(run: Path, root: Path | None, request: PlanRequest, out: Path | None = None) -> None:
    """Check what a training is resumed from.

    Raises:
        MaskwrightError: no run, no data where they should be, or more than a resumed run can honour.
    """
    check_resume(request, out)
    check_run(run)
    if root is not None:
        existing(root)


def check_model(run: Path, root: Path | None = None, out: Path | None = None) -> None:
    """Check the model that is to be used, the data that it is used on, and the folder for what is written.

    Raises:
        MaskwrightError: no model, no data, or a file in the folder's way.
    """
    model_file(run)
    if root is not None:
        existing(root)
    if out is not None:
        check_folder(out)
