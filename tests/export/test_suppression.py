"""One operation for all groups keeps the boxes that torchvision keeps."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

from torch import Tensor, nn
from torchvision.ops import batched_nms

from maskwright.exporting.suppression import suppressed, translations
from maskwright.inference.exported import compiled, onnx_session


class Alone(nn.Module):
    def forward(self, boxes: Tensor, scores: Tensor, groups: Tensor) -> Tensor:
        return suppressed()(boxes, scores, groups, 0.5)


def drawn(count: int, groups: int) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(count)
    corner, sides = 80 * torch.rand(count, 2, generator=draw), 10 + 20 * torch.rand(count, 2, generator=draw)
    scores = torch.rand(count, generator=draw) + 0.01
    return torch.cat([corner, corner + sides], 1), scores, torch.randint(groups, (count,), generator=draw)


@pytest.fixture(scope="module")
def file() -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, on its own parts
        program: Any = torch.onnx.export(
            Alone().eval(),
            drawn(50, 3),
            dynamo=True,
            opset_version=20,
            verbose=False,
            input_names=("boxes", "scores", "groups"),
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},) * 3,
            custom_translation_table=translations(),
        )
    content: bytes = program.model_proto.SerializeToString()
    assert [node.op_type for node in program.model_proto.graph.node].count("NonMaxSuppression") == 1
    return content


@pytest.mark.parametrize(("count", "groups"), [(200, 1), (200, 7), (1, 1), (0, 1)])
@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_the_graph_keeps_what_torchvision_keeps(file: bytes, count: int, groups: int, runtime: str) -> None:
    given = drawn(count, groups)
    arrays = {name: each.numpy() for name, each in zip(("boxes", "scores", "groups"), given, strict=True)}
    if runtime == "onnx":
        found = onnx_session(file).run(None, arrays)[0]
    else:
        import openvino

        core = openvino.Core()
        found = compiled(core, core.read_model(file))(list(arrays.values()))[0]
    wanted = batched_nms(*given, 0.5).numpy()
    assert (len(wanted) < count) == (count > 1)
    assert np.array_equal(np.sort(found), np.sort(wanted))
