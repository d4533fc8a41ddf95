"""What int8 does to each part of a network, by hand, and which parts are kept from it."""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from maskwright.core.channels import Channels
from maskwright.exporting import formats, sensitivity
from maskwright.exporting.formats import Exporter
from maskwright.exporting.outcomes import outcome
from maskwright.exporting.sensitivity import Part, costliest, nodes_between, nodes_of
from maskwright.models import create

GROUPS = [Channels(name="height", count=1, activation="none")]


class Pixels(nn.Module):
    """What `Graph` is for a network: pixels in, maps out."""

    reading = None

    def __init__(self, segmenter: nn.Module) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, image: Tensor) -> Any:
        return self.segmenter(image.permute(0, 3, 1, 2).float())


def pointwise(*weights: list[float]) -> nn.Conv2d:
    """Return a 1x1 convolution without bias."""
    layer = nn.Conv2d(len(weights[0]), len(weights), 1, bias=False)
    layer.weight.data = torch.tensor(weights)[:, :, None, None]
    return layer


def network(*layers: nn.Module) -> Pixels:
    """Return layers one after another, each in a block of its own, called a, b, ..."""
    blocks = [(name, nn.Sequential(layer)) for name, layer in zip("abc", layers, strict=False)]
    return Pixels(nn.Sequential(OrderedDict(blocks))).eval()


def measured(graph: Any, tiles: list[Any], groups: list[Channels]) -> list[Part]:
    return sensitivity.measured(graph.segmenter, [outcome(graph, tile, groups) for tile in tiles])


TILE = np.array([[[[0, 63], [255, 63]]]], np.uint8)
"""One row of two pixels with two channels."""


def test_the_error_is_that_of_the_rounded_weights_in_variances() -> None:
    # Steps of 1/63: the second weight, 0.4 of one, becomes 0. Inputs 0..255 are on the 256 values, so they stay.
    # The maps (0.4, 255.4) lose 0.4; their variance is 255^2 / 2.
    found = measured(network(pointwise([1.0, 0.4 / 63])), [TILE], GROUPS)
    assert [(part.module, part.cost) for part in found] == [("a", 4)]
    assert found[0].error == pytest.approx(0.16 / (255**2 / 2), rel=1e-4)


def test_the_inputs_of_a_part_are_rounded_to_the_range_seen() -> None:
    # The first block gives (0.5, 255.5) and is exact. The range is 0..255.5, in steps of 255.5 / 255: 0.5 is 0.499 of a
    # step and becomes 0, and 255.5 stays. Weights of 1 stay.
    first, second = pointwise([1.0, 0.5 / 63]), pointwise([1.0])
    first.weight.data[0, 1] = 0.5 / 63
    _, found = measured(network(first, second), [TILE], GROUPS)
    assert found.module == "b"
    assert found.error == pytest.approx(0.25 / 2 / (255**2 / 2), rel=1e-3)


def test_one_part_is_rounded_at_a_time_and_nothing_stays_rounded() -> None:
    graph = network(pointwise([1.0, 0.4 / 63], [0.3, 1.0]), pointwise([1.0, 0.4 / 63]))
    weights = [each.clone() for each in graph.parameters()]
    found = measured(graph, [TILE, TILE], GROUPS)
    assert [part.module for part in found] == ["a", "b"]
    assert found[0].error != found[1].error
    assert found[0].cost == 2 * 8
    for before, after in zip(weights, graph.parameters(), strict=True):
        assert torch.equal(before, after)
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in graph.modules())
    assert measured(graph, [TILE, TILE], GROUPS) == found


def test_a_transposed_convolution_is_rounded_for_each_output_channel() -> None:
    layer = nn.ConvTranspose2d(2, 2, 1, bias=False)
    layer.weight.data = torch.tensor([[100.0, 1.0], [100.0, 0.5]])[:, :, None, None]  # the second channel has 1 and .5
    groups = [Channels(name="two", count=2, activation="none")]
    [found] = measured(network(layer), [TILE], groups)
    assert found.cost == 8
    assert 0 < found.error < 1e-6  # .5 is 31.5 steps of 1/63; with a step of 100/63 both would become 0


def test_few_multiply_adds_return_to_floating_point() -> None:
    parts = [Part("large", 6.0, 100), Part("small", 3.0, 1), Part("tiny", 1.0, 1)]
    assert costliest(parts, 0) == []
    assert [part.module for part in costliest(parts, 0.3)] == ["small"]
    assert [part.module for part in costliest(parts, 0.4)] == ["small", "tiny"]
    assert [part.module for part in costliest(parts, 0.41)] == ["large", "small", "tiny"]


def test_a_node_belongs_to_the_innermost_part() -> None:
    parts = [Part("net", 1.0, 1), Part("net.blocks.1", 1.0, 1), Part("net.blocks.10", 1.0, 1)]
    modules = {"stem": "net.stem", "add": "net.blocks.1", "conv": "net.blocks.1.conv", "other": "net.blocks.10.conv"}
    modules |= {"pixels": "", "head": "head"}
    assert nodes_of(parts[:1], parts, modules) == ["stem"]
    assert nodes_of(parts[1:2], parts, modules) == ["add", "conv"]
    assert nodes_of(parts[1:], parts, modules) == ["add", "conv", "other"]
    whole = [Part("", 1.0, 1), parts[0]]
    assert nodes_of(whole[:1], whole, modules) == ["pixels", "head"]


def test_before_int8_upsampled_maps_are_convolved_without_a_transposed_convolution(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    unet = create("unet", GROUPS, backbone="compact").eval()
    for layer in unet.decoder.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0.0, 0.1)
            layer.running_var.uniform_(0.5, 2.0)
    exporter, x = Exporter(unet, cast("Any", None)), torch.randn(1, 3, 64, 64)
    expected = unet(x)
    graphs = iter("ab")
    monkeypatch.setattr(formats, "to_onnx", lambda *_: (Counter(next(graphs)), {}))
    monkeypatch.setattr(Counter, "CopyFrom", Counter.update, raising=False)
    assert [exporter._onnx(), exporter._onnx()] == [Counter("a")] * 2
    exporter.prepare_int8()
    assert all(isinstance(block[0][1], nn.Identity) for block in unet.decoder.blocks), "folded before the sum"
    with monkeypatch.context() as patch:
        patch.setattr(nn.functional, "conv_transpose2d", None)
        patch.setattr(nn.functional, "interpolate", None)
        torch.testing.assert_close(unet(x), expected, rtol=1e-4, atol=1e-5)
        parts = measured(Pixels(unet), [np.zeros((1, 64, 64, 3), np.uint8)], GROUPS)
    steps = [f"decoder.blocks.{block}.{step}" for block in range(5) for step in ("0.0", "1")]
    assert [part.module for part in parts if part.module.startswith("decoder.")] == steps, "each is seen"
    # 2x2 of 256 channels to 4 phases of 256, at 3 x 3 places of 2 x 2 pixels; 3x3 of 128 channels at 4 x 4 pixels.
    assert {part.module: part.cost for part in parts}[steps[0]] == 9 * 4 * 256 * 1024 + 16 * 9 * 128 * 256
    exporter.prepare_int8()
    assert [exporter._onnx(), exporter._onnx()] == [Counter("b")] * 2, "the graph is made again once"


def test_nodes_between_the_parts_are_those_of_no_layer() -> None:
    inner = nn.Module()
    inner.add_module("box_head", nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    inner.add_module("box_points", nn.Identity())
    heads = nn.Module()
    heads.add_module("heads", inner)
    modules = {
        "fc": "heads.box_head.0",
        "relu": "heads.box_head.1",
        "out": "heads.box_head",
        "beside": "heads.box_head2",
    }
    modules |= {"align": "heads.box_points", "sort": "heads", "clip": ""}
    assert nodes_between(heads, modules) == ["beside", "align", "sort", "clip"]
    assert nodes_between(nn.Conv2d(1, 1, 1), modules) == []
