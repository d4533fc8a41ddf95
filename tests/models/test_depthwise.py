"""The backward pass of depthwise convolutions in bfloat16: torch's gradients in float32 are the judge."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from maskwright import models
from maskwright.models.layers.depthwise import DepthwiseConv2d, convert_depthwise


def pair(kernel: int, stride: int, padding: int, dilation: int = 1) -> tuple[nn.Conv2d, nn.Sequential]:
    """Return torch's layer, with weights that bfloat16 holds exactly, and a converted copy of it."""
    torch.manual_seed(kernel + stride)
    layer = nn.Conv2d(6, 6, kernel, stride, padding, dilation, groups=6, bias=False)
    layer.weight.data = layer.weight.data.bfloat16().float()
    holder = nn.Sequential(copy.deepcopy(layer))
    convert_depthwise(holder, {nn.Conv2d: None})
    assert isinstance(holder[0], DepthwiseConv2d)
    return layer, holder


def gradients(layer: nn.Module, x: torch.Tensor, *, low: bool) -> list[torch.Tensor]:
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        y = layer(x)
    assert y.dtype == (torch.bfloat16 if low else torch.float32)
    push = torch.linspace(-1, 1, y.numel()).reshape(y.shape).bfloat16().to(y.dtype)
    (weight,) = layer.parameters()
    return [y.detach().float(), *(found.float() for found in torch.autograd.grad(y, (x, weight), push))]


def same(some: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(some, others, strict=True))


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(3, 1, 1), (3, 2, 0), (3, 2, 1), (5, 1, 2), (5, 2, 0), (5, 2, 2), (5, 3, 1)]
)
@pytest.mark.parametrize("size", [(12, 15), (11, 8)])
def test_gradients_are_those_of_float32(kernel: int, stride: int, padding: int, size: tuple[int, int]) -> None:
    layer, ours = pair(kernel, stride, padding)
    x = torch.randn(2, 6, *size).bfloat16().float().contiguous(memory_format=torch.channels_last)
    exact = gradients(layer, x, low=False)
    for low, torchs, true in zip(gradients(ours, x, low=True), gradients(layer, x, low=True), exact, strict=True):
        # Without AVX-512 torch adds up the gradient of the input in bfloat16; with stride 1 ours is torch's.
        assert (low - true).norm() <= max(0.005 * true.norm(), (torchs - true).norm())


def test_without_bfloat16_and_with_dilation_it_is_the_layer_of_torch() -> None:
    layer, ours = pair(3, 2, 1)
    x = torch.randn(2, 6, 9, 9)
    assert same(gradients(ours, x, low=False), gradients(layer, x, low=False))
    layer, ours = pair(3, 1, 2, dilation=2)
    assert same(gradients(ours, x, low=True), gradients(layer, x, low=True))


def test_frozen_weights_get_no_gradient() -> None:
    _, ours = pair(5, 2, 2)
    ours[0].weight.requires_grad_(False)
    x = torch.randn(2, 6, 9, 9, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        ours(x).sum().backward()
    assert x.grad is not None
    assert ours[0].weight.grad is None


def test_only_depthwise_layers_are_replaced_and_names_stay() -> None:
    layers = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 4, 3, groups=4, bias=False))
    names = list(layers.state_dict())
    convert_depthwise(layers, {nn.Conv2d: None})
    assert [type(layer) is DepthwiseConv2d for layer in layers] == [False, False, True]
    assert list(layers.state_dict()) == names


def test_padding_as_in_tensorflow_stays() -> None:
    timm = pytest.importorskip("timm")
    plain = timm.create_model("tf_efficientnet_lite0", features_only=True).eval()
    ours = models.create("swiftnet", 2, backbone="timm:tf_efficientnet_lite0", width=8).backbone.eval()
    ours.network.load_state_dict(plain.state_dict())
    assert sum(isinstance(layer, DepthwiseConv2d) for layer in ours.modules()) == 16
    x = torch.randn(1, 3, 64, 96)
    for found, expected in zip(ours(x), plain(x), strict=True):
        assert torch.equal(found, expected)
