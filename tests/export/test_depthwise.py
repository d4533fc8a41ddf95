"""Depthwise convolutions in int8 exports for OpenVINO, which takes only weights with one range for each channel."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import openvino
import torch
from torch import nn

from maskwright.exporting import formats
from maskwright.exporting.formats import Exporter, Precision
from maskwright.exporting.graph import OPSET

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_weights_have_one_range_for_each_channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1, groups=4)).eval()
    x = torch.rand(1, 3, 12, 20)
    program = torch.onnx.export(network, (x,), dynamo=True, opset_version=OPSET, verbose=False)
    assert program is not None
    monkeypatch.setattr(formats, "to_onnx", lambda *_: (program.model_proto, {}))
    exporter = Exporter(cast("Any", network), cast("Any", SimpleNamespace()))
    file = exporter.write("openvino", tmp_path, Precision(tiles=[x.numpy()]))
    model = openvino.Core().read_model(file)
    [depthwise] = [node for node in model.get_ordered_ops() if node.get_type_name() == "GroupConvolution"]
    widened = depthwise.input_value(1).get_node()
    assert [widened.get_type_name(), widened.input_value(0).get_node().get_type_name()] == ["Multiply", "Convert"]
    rounded, step = (widened.input_value(place).get_node() for place in range(2))
    weights = rounded.input_value(0).get_node().get_data()
    assert weights.dtype == np.int8
    assert step.get_data().shape == (4, 1, 1, 1, 1)
    np.testing.assert_allclose(
        weights[:, :, 0] * step.get_data()[:, :, 0], network[2].weight.detach(), atol=float(step.get_data().max()) / 2
    )
