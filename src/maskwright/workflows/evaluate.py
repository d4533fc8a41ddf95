"""Evaluate a trained model on any data set with the same classes, and report. Prints nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError
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
        request: which split, how it is read, how the model is set up, and where the results go.
        on_progress: called with (images done, images in all).

    Raises:
        MaskwrightError: no model, no such split, other classes than the model's, or a stride that it cannot have;
            or a postprocessor is to be fitted, and there is no validation image.
    """
    if request.refit and request.postprocess is None:
        raise MaskwrightError("`refit` fits a postprocessor: name one with `postprocess` too")
    evaluation = opened(run, root, request)
    if request.postprocess is not None:
        return scored_with_postprocessor(evaluation, request.postprocess, on_progress)
    return evaluation.written(evaluation.scored(evaluation.predictor, on_progress), evaluation.predictor)
