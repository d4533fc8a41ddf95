"""Folding batch normalisations: the maps stay, for every architecture, and what something else uses is left alone."""

from __future__ import annotations

import copy

import pytest
import torch
from tests.models.smallest import smallest
from torch import Tensor, nn
from torch.nn.utils import parametrize

from maskwright import models
from maskwright.models.folding import fold_batch_norms
from maskwright.models.layers.norm import BatchNorm2d

NAMES = sorted(name for name, model in models.MODELS.items() if model.learns == "maps")
UNFOLDED = ("renet", "segformer")
"""They have no batch normalisation that directly follows a convolution."""


def moved(network: nn.Module) -> nn.Module:
    """Give every batch normalisation numbers of its own, as a training does."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values, low in ((layer.weight, 0.5), (layer.bias, -0.5), (layer.running_mean, -0.5)):
                nn.init.uniform_(values, low, low + 1)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    return network.eval()


def left(network: nn.Module) -> int:
    return sum(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_the_maps_of_every_architecture_stay(name: str) -> None:
    network = moved(models.create(name, 3, 2, **smallest(name)))
    image = torch.randn(2, 2, 75, 96)
    wanted, before = network(image), left(network)
    fold_batch_norms(network, 2)
    assert left(network) < before or name in UNFOLDED or not before
    torch.testing.assert_close(network(image), wanted, atol=1e-4, rtol=1e-4)


class Shared(nn.Module):
    """A convolution whose output is added to what a batch normalisation makes of it, and one that follows no other."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.conv, self.norm = BatchNorm2d(2), nn.Conv2d(2, 2, 1), BatchNorm2d(2)

    def forward(self, x: Tensor) -> Tensor:
        found = self.conv(self.first(x))
        return found + self.norm(found)


@torch.no_grad()
def test_an_output_that_is_used_twice_is_not_folded() -> None:
    network = moved(Shared())
    same = copy.deepcopy(network)
    fold_batch_norms(network, 2)
    image = torch.randn(1, 2, 8, 8)
    assert left(network) == 2
    assert torch.equal(network(image), same(image))


@torch.no_grad()
def test_a_layer_that_runs_twice_is_not_folded() -> None:
    conv, norm = nn.Conv2d(2, 2, 3, padding=1), BatchNorm2d(2)
    network = moved(nn.Sequential(conv, norm, conv, BatchNorm2d(2)))
    same = copy.deepcopy(network)
    fold_batch_norms(network, 2)
    image = torch.randn(1, 2, 8, 8)
    assert torch.equal(network(image), same(image))


class Rectified(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).relu()


@torch.no_grad()
def test_a_normalisation_that_does_more_is_not_folded() -> None:
    network = moved(nn.Sequential(nn.Conv2d(2, 2, 1), Rectified(2)))
    image = torch.randn(1, 2, 8, 8)
    wanted = network(image)
    fold_batch_norms(network, 2)
    assert torch.equal(network(image), wanted)


class Doubled(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight


@torch.no_grad()
def test_weights_that_are_computed_each_time_are_not_folded() -> None:
    network = moved(nn.Sequential(nn.Conv2d(2, 2, 1), BatchNorm2d(2), nn.Conv2d(2, 2, 1), BatchNorm2d(2)))
    parametrize.register_parametrization(network[0], "weight", Doubled())
    image = torch.randn(1, 2, 8, 8)
    wanted = network(image)
    fold_batch_norms(network, 2)
    assert left(network) == 1
    torch.testing.assert_close(network(image), wanted)


@torch.no_grad()
def test_a_folded_convolution_by_hand() -> None:
    conv, norm = nn.Conv2d(1, 1, 1), BatchNorm2d(1, eps=0.0)
    nn.init.constant_(conv.weight, 3.0)
    nn.init.constant_(conv.bias, 1.0)
    for values, number in ((norm.weight, 6.0), (norm.bias, 5.0), (norm.running_mean, 2.0), (norm.running_var, 4.0)):
        nn.init.constant_(values, number)
    network = nn.Sequential(conv, norm).eval()
    fold_batch_norms(network, 1)
    assert left(network) == 0
    assert conv.weight.item() == 9.0  # 3 * 6 / sqrt(4)
    assert conv.bias.item() == 2.0  # (1 - 2) * 6 / sqrt(4) + 5
