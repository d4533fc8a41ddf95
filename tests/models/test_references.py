"""Our networks with another implementation's weights give that implementation's outputs."""

from __future__ import annotations

import pytest
import torch
from tests.models.references import same, shaken
from torch import nn

from maskwright.models.layers.aspp import AtrousPyramid
from maskwright.models.layers.blocks import ConvNormAct
from maskwright.models.layers.pyramid import PyramidPooling


def test_atrous_pyramid_is_torchvisions() -> None:
    deeplab = pytest.importorskip("torchvision.models.segmentation.deeplabv3")
    reference = shaken(deeplab.ASPP(6, [2, 3, 5], 8))
    ours = AtrousPyramid(6, 8, (2, 3, 5), separable=False).eval()
    same(ours, reference)
    x = torch.randn(2, 6, 13, 11)
    torch.testing.assert_close(ours(x), reference(x), rtol=1e-5, atol=1e-6)


def test_pyramid_pooling_averages_over_cells() -> None:
    layer = PyramidPooling(1, 1, (1, 2, 3, 6)).eval()
    for branch in layer.branches:
        assert isinstance(branch, ConvNormAct)
        nn.init.ones_(branch[0].weight)
        branch[1].eps = 0.0
    x = torch.arange(36.0).reshape(1, 1, 6, 6)
    y = layer(x)
    assert y.shape == (1, 5, 6, 6)
    assert torch.equal(y[:, :1], x)
    assert torch.equal(y[:, 4:], x)
    assert y[0, 1].tolist() == [pytest.approx([17.5] * 6)] * 6
    assert y[0, 2, 0, 2].item() == pytest.approx(8.0)  # a third of the way from 7 to 10
    corners = y[0, 2, [0, 0, 5, 5], [0, 5, 0, 5]]
    assert corners.tolist() == pytest.approx([7.0, 10.0, 25.0, 28.0])
    assert y[0, 3, 0, 0].item() == pytest.approx((0 + 1 + 6 + 7) / 4)


@pytest.mark.parametrize(
    ("size", "cells"), [((16, 16), (8, 8)), ((8, 24), (8, 24)), ((10, 15), (8, 12)), ((2, 3), (2, 3))]
)
def test_shaped_grids_follow_the_map(size: tuple[int, int], cells: tuple[int, int]) -> None:
    assert PyramidPooling(1, 1, (8,), follow_shape=True)._cells(8, size) == cells
    assert PyramidPooling(1, 1, (8,))._cells(8, size) == (8, 8)
