"""Convolutions of upsampled maps in int8 exports: rounded where they are small, and the same from any size."""

from __future__ import annotations

import numpy as np
import openvino
import torch
from torch import Tensor, nn

from maskwright.exporting.formats import quantised
from maskwright.exporting.graph import OPSET
from maskwright.models.layers.enlarging import JoinedConv


class Joined(nn.Module):
    """Joins a map with every second pixel of it, upsampled."""

    def __init__(self) -> None:
        super().__init__()
        self.joined = JoinedConv(nn.Conv2d(6, 8, 3, padding=1), 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.joined(x[:, :, ::2, ::2], x)


def test_phases_are_rounded_before_they_are_interleaved() -> None:
    torch.manual_seed(0)
    network = Joined().eval()
    free = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    program = torch.onnx.export(
        network, (torch.rand(1, 3, 12, 20),), dynamo=True, opset_version=OPSET, dynamic_shapes=(free,), verbose=False
    )
    assert program is not None
    core = openvino.Core()
    whole = core.read_model(program.model_proto.SerializeToString())
    x = torch.rand(1, 3, 16, 28)
    expected = network(x).detach().numpy()
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    np.testing.assert_allclose(core.compile_model(whole, "CPU", settings)([x])[0], expected, rtol=1e-5, atol=1e-5)
    int8 = quantised(whole, [np.random.default_rng(0).random((1, 3, 12, 20), np.float32) for _ in range(3)], ())
    [interleaved] = [node for node in int8.get_ordered_ops() if node.get_type_name() == "DepthToSpace"]
    assert interleaved.input_value(0).get_node().get_type_name() == "FakeQuantize"
    found = core.compile_model(int8, "CPU", settings)([x])[0]
    assert 0 < np.abs(found - expected).mean() < 0.02 * np.abs(expected).mean()
