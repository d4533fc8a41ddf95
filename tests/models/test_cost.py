"""Costs that can be reckoned by hand."""

from __future__ import annotations

import pytest
import torch
from tests.models.references import weights_of
from torch import nn

from maskwright import models
from maskwright.core.channels import Channels
from maskwright.core.plan import ModelPlan
from maskwright.models import cost
from maskwright.models.folding import fold_batch_norms
from maskwright.models.layers.renet import ReNet


class _Hand(nn.Module):
    """conv 3x3 stride 2 (3 to 8), depthwise 3x3, transposed 2x2 (8 to 4), linear on its average."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1, groups=8)
        )
        self.up = nn.ConvTranspose2d(8, 4, 2, 2)
        self.linear = nn.Linear(4, 5)
        self.aux = nn.ModuleList([nn.Conv2d(8, 100, 1)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self.up(self.layers(x)).mean((2, 3)))


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_a_network_counted_by_hand(device: str) -> None:
    with torch.device(device):
        network = _Hand().train()
    counted = cost.count(network, side=16)
    # weights: 3*8*9, norm 2*8, 8*9+8, 8*4*4+4, 4*5+5; the auxiliary head predicts nothing
    assert counted.parameters == 216 + 16 + 80 + 132 + 25
    # 8x8 positions after the stride: 3*8*9 and 8*9 each; every one gives 2x2 with 8*4; then 4*5 once
    assert counted.multiply_adds == 64 * 216 + 64 * 72 + 64 * 4 * 32 + 20
    assert network.training


@pytest.mark.parametrize(("cell", "gates"), [("vanilla", 1), ("lstm", 4), ("gru", 3)])
def test_a_recurrent_layer_counted_by_hand(cell: str, gates: int) -> None:
    layer = ReNet(3, 5, 2, cell)
    before = layer(torch.ones(1, 3, 6, 8))
    counted = cost.count(layer, side=8)
    # 4x4 patches, two directions, G*H*(I+H): vertical I = 3*2*2, horizontal I = 2*5
    assert counted.multiply_adds == 16 * 2 * gates * 5 * ((12 + 5) + (10 + 5))
    assert torch.equal(layer(torch.ones(1, 3, 6, 8)), before), "the layer runs again as before"


def test_the_formula_is_what_torch_counts_step_by_step() -> None:
    layer = ReNet(3, 5).eval()
    with torch.no_grad(), cost.FlopCounterMode(display=False) as counter:
        layer(torch.empty(1, 3, 6, 6))
    assert counter.get_total_flops() // 2 == cost.count(layer, side=6).multiply_adds


def test_the_default_network_costs_what_its_paper_says() -> None:
    # Orsic et al. 2019, SwiftNetRN-18, single scale, on Cityscapes at 1024x2048: 11.8M weights, 104.0 billion
    # multiply-adds (called FLOPs there); 128 channels as in the paper.
    with torch.device("meta"), cost.FlopCounterMode(display=False) as counter:
        network = models.create("swiftnet", 19, 3, "resnet18", width=128).eval()
        network(torch.empty(1, 3, 1024, 2048))
    assert weights_of(network) / 1e6 == pytest.approx(11.8, abs=0.05)
    assert counter.get_total_flops() / 2e9 == pytest.approx(104.0, abs=0.5)


def test_an_architecture_costs_on_meta_what_it_costs_for_real() -> None:
    real = cost.count(models.create("swiftnet", 4), side=64)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    assert cost.cost_of("swiftnet", classes=4, side=64) == real
    assert torch.equal(torch.rand(1), expected), "counting draws no random numbers"


def test_auxiliary_heads_cost_nothing() -> None:
    with_heads, without = (
        cost.count(models.create("fcn", 2, backbone="compact", widths=[4, 4], depths=[1, 1], auxiliary=on), side=32)
        for on in (True, False)
    )
    assert with_heads == without


def test_milliseconds_are_a_median(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 9.0, 10.0, 10.5, 20.0, 20.1, 30.0, 30.2])
    monkeypatch.setattr(cost.time, "perf_counter", lambda: next(ticks))
    network = models.create("swiftnet", 2, widths=[4, 4], depths=[1, 1], width=4)
    assert cost.milliseconds(network, side=32, repeats=3) == pytest.approx(200.0)


def test_the_cost_of_a_plan_is_that_of_the_network_before_it_is_folded() -> None:
    plan, classes = ModelPlan(name="fcn", options={"widths": [4, 4], "depths": [1, 1]}, backbone="compact"), 2
    channels = (Channels(name="class", count=classes, activation="softmax"),)
    network = models.create_from_plan(plan.plain(), channels, 3).eval()
    wanted = cost.count(network)
    assert cost.planned_cost(plan, channels, 3) == wanted
    fold_batch_norms(network, 3)
    assert cost.count(network).parameters < wanted.parameters
