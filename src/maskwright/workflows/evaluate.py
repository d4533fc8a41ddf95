"""Evaluate a trained model on any data set with the same classes, and report. Prints nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError
from maskwright.workflows.evaluate_parts.evaluate_crf import judged_with_crf
from maskwright.workflows.evaluate_parts.evaluation import opened

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.events import OnProgress
    from maskwright.workflows.evaluate_parts.evaluation import EvaluateResult
    from maskwright.workflows.request import EvaluateRequest


def evaluate(run: Path, root: Path, request: EvaluateRequest, on_progress: OnProgress | None = None) -> EvaluateResult:
    """Score a trained model on one part of a data set.

    Args:
        run: the run folder, or a model file.
        root: folder (or file) of images and masks.
        request: which part, how it is read, how the model is set up, and where the results go.
        on_progress: called with (images done, images in all).

    Raises:
        MaskwrightError: no model, no such part, other classes than the model's, or a stride that it cannot have;
            or a dense CRF is to be fitted, and there is no validation image.
    """
    if request.refit and not request.crf:
        raise MaskwrightError("refit=True fits the dense CRF: give crf=True too")
    case = opened(run, root, request)
    if request.crf:
        return judged_with_crf(case, on_progress)
    return case.written(case.judged(case.predictor, on_progress), case.predictor)
