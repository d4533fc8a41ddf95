"""Strided 1x1 convolutions of few channels: oneDNN corrupts the heap with them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from tests.models.smallest import smallest
from torch import nn
from torch.nn import functional as F

from maskwright import models
from maskwright.models.layers.blocks import FEWEST_STRIDED, ConvNormAct, StridedPointwise

# Every number of channels that oneDNN gets wrong, 1 to 7 with AVX2 and to 15 with AVX-512, and some that it gets right.
TRAIN = """
import torch
from maskwright.models.backbones.compact import BasicBlock
for inputs in range(1, 19):
    for size in (4, 7, 13, 48):
        for _ in range(5):
            block = BasicBlock(inputs, inputs + 2, 2).to(memory_format=torch.channels_last)
            image = torch.randn(4, inputs, size, size).to(memory_format=torch.channels_last).requires_grad_()
            block(image).sum().backward()
print("survived")
"""
# oneDNN and torch then choose the kernels that they would run on a processor without AVX-512.
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}


@pytest.mark.parametrize("kernels", [AVX2, {}], ids=["avx2", "this processor"])
def test_blocks_of_few_channels_train(kernels: dict[str, str]) -> None:
    # MALLOC_PERTURB_: glibc fills freed memory with a pattern, so that a corrupted heap is noticed sooner.
    environment = {**os.environ, **kernels, "OMP_NUM_THREADS": "1", "MALLOC_PERTURB_": "85"}
    done = subprocess.run([sys.executable, "-c", TRAIN], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "survived\n"), done.stderr


@pytest.mark.parametrize("name", sorted(models.MODELS))
def test_no_smallest_network_leaves_such_a_layer_to_onednn(name: str) -> None:
    layers = [layer for layer in models.create(name, 2, 3, **smallest(name)).modules() if type(layer) is nn.Conv2d]
    assert layers
    strided = [layer for layer in layers if layer.kernel_size == (1, 1) and max(layer.stride) > 1]
    assert all(layer.in_channels >= FEWEST_STRIDED for layer in strided)


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (1, 2)])
@pytest.mark.parametrize("stride", [2, 3])
def test_it_gives_the_values_and_gradients_of_a_strided_convolution(size: tuple[int, int], stride: int) -> None:
    layer = ConvNormAct(4, 6, 1, stride=stride)[0].double()
    assert isinstance(layer, StridedPointwise)
    ours = torch.randn(2, 4, *size, dtype=torch.double, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    weight = layer.weight.detach().clone().requires_grad_()
    result, expected = layer(ours), F.conv2d(theirs, weight, stride=stride)
    for one in (result, expected):
        one.square().sum().backward()
    torch.testing.assert_close(result, expected)
    torch.testing.assert_close(ours.grad, theirs.grad)
    torch.testing.assert_close(layer.weight.grad, weight.grad)


def test_layers_that_onednn_gets_right_stay_with_it() -> None:
    assert type(ConvNormAct(FEWEST_STRIDED, 16, 1, stride=2)[0]) is nn.Conv2d
    assert type(ConvNormAct(4, 4, 1)[0]) is nn.Conv2d
    assert type(ConvNormAct(4, 4, 3, stride=2)[0]) is nn.Conv2d
