"""Nothing is sent while a model is quantised, loaded and run, watched in a process of its own; and no stray warning."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

pytest.importorskip("openvino")
pytest.importorskip("nncf")

import numpy as np

from maskwright.exporting import formats

WATCHED = """
import socket, sys
from pathlib import Path

tried = []


def watch(name):
    def refused(*arguments, **options):
        tried.append((name, arguments[-1] if arguments else None))
        raise OSError("watched")

    return refused


for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, watch(name))
socket.getaddrinfo = watch("getaddrinfo")

import numpy as np
from maskwright.core.errors import MaskwrightError
from maskwright.core.optional import optional
from maskwright.exporting.formats import quantised
from maskwright.inference.exported import OnnxEngine, OpenvinoEngine, compiled

onnx, openvino = optional("onnx", "onnx"), optional("openvino", "openvino")
helper = onnx.helper
shape = [1, 3, 16, 16]
weights = onnx.numpy_helper.from_array(np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype("float32"), "w")
graph = helper.make_graph(
    [helper.make_node("Conv", ["image", "w"], ["maps"], "conv", pads=[1, 1, 1, 1])],
    "tiny",
    [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, shape)],
    [helper.make_tensor_value_info("maps", onnx.TensorProto.FLOAT, [1, 4, 16, 16])],
    [weights],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
tiles = [np.random.default_rng(1).random(shape, np.float32)] * 3
core = openvino.Core()
whole = core.read_model(model.SerializeToString())
int8 = quantised(whole, tiles, ())
assert any(node.get_type_name() == "FakeQuantize" for node in int8.get_ordered_ops())
compiled(core, int8)([tiles[0]])

folder = Path(sys.argv[1])
onnx.save(model, folder / "model.onnx")
openvino.save_model(int8, folder / "model.xml")
for engine, name in ((OnnxEngine, "model.onnx"), (OpenvinoEngine, "model.xml")):
    try:
        engine.load(folder / name)
    except MaskwrightError as error:
        assert "it has no card" in str(error), error

reporting = [name for name, module in sys.modules.items() if name.startswith("openvino_telemetry") and module]
print("tried", tried, "imported", reporting)
"""


def test_a_missing_gpu_is_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    import nncf

    logger = logging.getLogger("torch.utils.cpp_extension")
    printed: list[str] = []
    monkeypatch.setattr(logger, "callHandlers", lambda record: printed.append(record.getMessage()))

    def quantize(*_arguments: object, **_options: object) -> None:
        logger.warning("No CUDA runtime is found, using CUDA_HOME='%s'", "/usr/local/cuda")
        logger.warning("the compiler is too old")

    monkeypatch.setattr(nncf, "quantize", quantize)
    formats.quantised(None, [np.zeros(1)], ())
    logger.warning("No CUDA runtime is found, and something else needs it")
    assert printed == ["the compiler is too old", "No CUDA runtime is found, and something else needs it"]


def test_no_connection_is_tried_and_the_reporting_package_is_not_imported(tmp_path) -> None:
    without_gpu = {**os.environ, "CUDA_HOME": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}
    line = [sys.executable, "-c", WATCHED, str(tmp_path)]
    done = subprocess.run(line, env=without_gpu, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "CUDA" not in done.stderr
    assert done.stdout.splitlines()[-1] == "tried [] imported []"
