"""A tiny trained run, whose graph is made once: that takes longest."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from tests.workflows import toy_data as toy

from maskwright.core import resources
from maskwright.exporting import formats
from maskwright.exporting.graph import to_onnx
from maskwright.workflows.export import export
from maskwright.workflows.export_request import ExportRequest
from maskwright.workflows.train import train

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Edit = Callable[[Any], None]


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """Discs and squares, learnt well enough that a fault in the export costs points."""
    root = tmp_path_factory.mktemp("export")
    train(toy.write(root / "data"), toy.request("optim.lr=0.01", steps=60), root / "run")
    return root / "run"


@pytest.fixture(scope="session")
def graph(run: Path) -> tuple[Any, dict[str, str]]:
    """The run's network as an ONNX model, and the module of each node."""
    from maskwright.models import bundle
    from maskwright.workflows.export_parts.attempt import trained_network

    file = run / "model.safetensors"
    card = bundle.read_card(file)
    return to_onnx(trained_network(file, card), card)


@pytest.fixture(scope="session")
def exported(run: Path, graph: tuple[Any, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the run with an export for ONNX Runtime and one for OpenVINO."""
    copy = tmp_path_factory.mktemp("exported") / "run"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("exports"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(formats, "to_onnx", lambda *_: graph)
        patch.setattr(resources, "multiplies_bfloat16", lambda: False)
        for target in ("onnx", "openvino"):
            export(copy, ExportRequest(target))
    return copy


@pytest.fixture
def faulty(graph: tuple[Any, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> list[Edit]:
    """Export with that graph, each copy of it edited by the functions in this list."""
    edits: list[Edit] = []

    def remade(_segmenter: Any, _card: Any) -> tuple[Any, dict[str, str]]:
        model, modules = graph
        copy = type(model)()
        copy.CopyFrom(model)
        for edit in edits:
            edit(copy)
        return copy, dict(modules)

    monkeypatch.setattr(formats, "to_onnx", remade)
    return edits
