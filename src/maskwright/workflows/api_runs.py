"""The Python API of finished runs, beside `workflows.api`; exported by `import maskwright as mw`. Prints nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maskwright.core.keywords import request_of
from maskwright.core.paths import path_of
from maskwright.workflows import diagnose as diagnosing
from maskwright.workflows.api import IMAGES, MODEL, StrPath
from maskwright.workflows.diagnose_request import DiagnoseRequest

if TYPE_CHECKING:
    from maskwright.workflows.diagnose import DiagnoseResult


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
