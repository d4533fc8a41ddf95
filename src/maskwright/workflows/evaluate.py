"""Evaluate a trained model on any data set with the same classes, and report. Prints nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.files import check_writable
from maskwright.workflows.evaluate_parts.evaluation import opened
from maskwright.workflows.evaluate_parts.postprocess_comparison import scored_with_postprocessor

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.events import OnProgress
    from maskwright.workflows.evaluate_parts.evaluation import EvaluateResult
    from maskwright.workflows.request import EvaluateRequest


def evaluate(run: Path, root: Path, request: EvaluateRequest, on_progress: OnProgress | None = None) -> EvaluateResult:
    """Score a trained model on one split of a data set.

    Args:
        run: the run folder, or a model file.
        root: folder (or file) of images and masks.
        request: which split, how to read it, how to set up the model, and where to write the results.
        on_progress: called with (images done, images in all).

    Raises:
        MaskwrightError: no model, no such split, other classes than the model has, a stride that it cannot have, or
            a folder for the results that cannot be written; or a postprocessor must be fitted, and there is no
            validation image.
    """
    evaluation = opened(run, root, request)
    check_writable(evaluation.out)
    if any(record.split == "train" for record in evaluation.records):
        evaluation.notes.append(
            f"the split {request.split} contains images that the model was trained on: the scores are too good"
        )
    if request.postprocess is not None:
        return scored_with_postprocessor(evaluation, request.postprocess, on_progress)
    return evaluation.written(evaluation.scored(evaluation.predictor, on_progress), evaluation.predictor)
