"""Padding as in TensorFlow by constants: timm's, which asks for the size of the map, is the judge."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from maskwright.models.layers.same_padding import SameConv2d, convert_same, pad_same

layers = pytest.importorskip("timm.layers")

POSITIVE = st.integers(1, 4)


@given(POSITIVE, POSITIVE, st.integers(1, 7), st.integers(1, 7), POSITIVE, st.integers(1, 3))
def test_constants_are_timms_amounts(
    rows: int, columns: int, height: int, width: int, stride: int, dilation: int
) -> None:
    x = torch.ones(1, 1, rows * stride, columns * stride)
    how = ((height, width), (stride, stride), (dilation, dilation))
    assert torch.equal(pad_same(x, *how), layers.pad_same(x, *how))


def test_a_converted_layer_is_timms() -> None:
    torch.manual_seed(0)
    holder = nn.Sequential(nn.Sequential(layers.Conv2dSame(3, 4, 3, stride=2)), nn.Conv2d(4, 4, 1)).eval()
    x = torch.randn(2, 3, 12, 8)
    expected, names = holder(x), list(holder.state_dict())
    convert_same(holder, layers.Conv2dSame)
    assert type(holder[0][0]) is SameConv2d
    assert type(holder[1]) is nn.Conv2d
    assert list(holder.state_dict()) == names
    assert torch.equal(holder(x), expected)
    assert not holder[0][0].training
