"""maskwright: from a folder of images and masks to a segmentation model that one can trust.

`import maskwright as mw` offers the verbs (`mw.inspect`, `mw.plan`, `mw.train`, `mw.evaluate`, `mw.predict`,
`mw.tune`, `mw.compare`, `mw.diagnose`, `mw.export`, `mw.compress`, `mw.edges`, `mw.superpixels`, `mw.import_model`,
`mw.load(run).predict(image)`) and the parts (`mw.models`, `mw.losses`, `mw.metrics`); `mw.Client(url)` asks a service.
Each is imported when it is first asked for (PEP 562), so that the import itself costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskwright import losses, metrics, models
    from maskwright.core.errors import MaskwrightError
    from maskwright.core.read_options import ReadOptions
    from maskwright.serve.client import Client
    from maskwright.workflows.api import compress, evaluate, export, import_model, inspect, load, plan, predict, train
    from maskwright.workflows.api_runs import compare, diagnose, tune
    from maskwright.workflows.compare_request import CompareRequest
    from maskwright.workflows.compress_request import CompressRequest
    from maskwright.workflows.diagnose_request import DiagnoseRequest
    from maskwright.workflows.edges import EdgesRequest, edges
    from maskwright.workflows.export_request import ExportRequest
    from maskwright.workflows.predict_request import PredictRequest
    from maskwright.workflows.request import EvaluateRequest, PlanRequest
    from maskwright.workflows.superpixels import SuperpixelRequest, superpixels

__all__ = [
    "Client",
    "CompareRequest",
    "CompressRequest",
    "DiagnoseRequest",
    "EdgesRequest",
    "EvaluateRequest",
    "ExportRequest",
    "MaskwrightError",
    "PlanRequest",
    "PredictRequest",
    "ReadOptions",
    "SuperpixelRequest",
    "compare",
    "compress",
    "diagnose",
    "edges",
    "evaluate",
    "export",
    "import_model",
    "inspect",
    "load",
    "losses",
    "metrics",
    "models",
    "plan",
    "predict",
    "superpixels",
    "train",
    "tune",
]

_ROOMS = {"losses", "metrics", "models"}
_PLACES = {
    "Client": "maskwright.serve.client",
    "CompareRequest": "maskwright.workflows.compare_request",
    "CompressRequest": "maskwright.workflows.compress_request",
    "DiagnoseRequest": "maskwright.workflows.diagnose_request",
    "ExportRequest": "maskwright.workflows.export_request",
    "MaskwrightError": "maskwright.core.errors",
    "ReadOptions": "maskwright.core.read_options",
    **dict.fromkeys(("EvaluateRequest", "PlanRequest"), "maskwright.workflows.request"),
    "PredictRequest": "maskwright.workflows.predict_request",
    **dict.fromkeys(("compare", "diagnose", "tune"), "maskwright.workflows.api_runs"),
    **dict.fromkeys(("EdgesRequest", "edges"), "maskwright.workflows.edges"),
    **dict.fromkeys(("SuperpixelRequest", "superpixels"), "maskwright.workflows.superpixels"),
}
"""Modules that import no torch, and `api_runs`; all else is in `workflows.api`."""


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _ROOMS:
        return import_module(f"maskwright.{name}")
    if name in __all__:
        return getattr(import_module(_PLACES.get(name, "maskwright.workflows.api")), name)
    raise AttributeError(f"module 'maskwright' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
