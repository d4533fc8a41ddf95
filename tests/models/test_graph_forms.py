"""What layers compute in an export, where sizes are symbols, equals what they compute otherwise."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from maskwright.models.backbones import compact
from maskwright.models.layers.blocks import mirror
from maskwright.models.layers.pyramid import average_cells


@given(st.integers(1, 23), st.integers(1, 23), st.integers(1, 8), st.integers(1, 8))
def test_cells_are_averaged_alike_by_products_and_by_pooling(height: int, width: int, rows: int, columns: int) -> None:
    x = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(height * width))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.compiler, "is_compiling", lambda: True)
        found = average_cells(x, (rows, columns))
    torch.testing.assert_close(found, F.adaptive_avg_pool2d(x, (rows, columns)))


@given(st.integers(1, 300))
def test_a_fitted_length_is_the_next_multiple(length: int) -> None:
    network = compact.build(3)
    step = network.reductions[-1]
    assert network.fitted(length) == next(size for size in range(length, length + step) if size % step == 0)


@given(st.integers(2, 9), st.integers(2, 9), st.integers(0, 1), st.integers(0, 1))
def test_mirrored_edges_are_those_of_reflection(height: int, width: int, above: int, left: int) -> None:
    x = torch.arange(float(height * width)).reshape(1, 1, height, width)
    found = mirror(x, (above, left), (height + above + 1, width + left + 1))
    torch.testing.assert_close(found, F.pad(x, (left, 1, above, 1), mode="reflect"))


def test_a_single_pixel_is_repeated() -> None:
    assert mirror(torch.full((1, 1, 1, 1), 5.0), (1, 2), (3, 4)).tolist() == [[[[5.0] * 4] * 3]]
