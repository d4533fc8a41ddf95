"""The permutohedral lattice: its corners and weights by hand, and its kernel against the Gaussian."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from maskwright.core.errors import MaskwrightError
from maskwright.postprocess import lattice
from maskwright.postprocess.lattice import Lattice, basis


def points(dimensions: int, count: int = 300, spread: float = 2.0) -> np.ndarray:
    return np.random.default_rng(dimensions).normal(size=(dimensions, count)).astype(np.float32) * np.float32(spread)


def test_one_dimension_by_hand() -> None:
    # One step of the lattice in one dimension is sqrt(3) / 2 standard deviations: 1 / (2 sqrt(2/3) / sqrt(2)).
    step = 1 / abs(basis(1)[0, 0])
    np.testing.assert_allclose(step, np.sqrt(2) * np.sqrt(3 / 2) / 2, rtol=1e-12)
    made = Lattice(np.array([[0.0, 0.25 * step]], np.float32))
    np.testing.assert_allclose(np.sort(made.weight.numpy()[1]), [0.25, 0.75], atol=1e-6)
    np.testing.assert_allclose(np.sort(made.weight.numpy()[0]), [0, 1], atol=1e-6)


@pytest.mark.parametrize("dimensions", [1, 2, 3, 5, 9])
def test_weights_place_each_point(dimensions: int) -> None:
    """A point is the mean of its corners, weighted: barycentric coordinates, of corners that are all different."""
    features = points(dimensions)
    keys, weights, steps = lattice._corners(features)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(0), 1, atol=1e-6)
    rest, corners = keys.copy(), []
    for step in steps[::-1]:
        corners.append(rest // step)
        rest %= step
    place = (np.stack(corners[::-1]) * weights).sum(1)
    wanted = basis(dimensions) @ features
    wanted -= np.floor(wanted).min(axis=1, keepdims=True) - 1
    np.testing.assert_allclose(place, wanted, atol=1e-4)
    assert all(len(set(column)) == dimensions + 1 for column in keys.T)


@pytest.mark.parametrize("dimensions", [2, 3, 5])
def test_the_kernel_is_nearly_a_gaussian(dimensions: int) -> None:
    features = points(dimensions, spread=1.0)
    made = Lattice(features)
    values = torch.eye(made.points)
    splat = torch.nn.functional.embedding_bag(
        made.order, values, made.begin, mode="sum", per_sample_weights=made.order_weight
    )
    kernel = torch.nn.functional.embedding_bag(
        made.index, made.blur(splat), mode="sum", per_sample_weights=made.weight
    ).numpy()
    distance = ((features[:, :, None] - features[:, None]) ** 2).sum(0)
    exact = np.exp(-distance / 2)
    scale = (kernel * exact).sum() / (kernel * kernel).sum()
    assert np.corrcoef(kernel.ravel(), exact.ravel())[0, 1] > 0.95
    assert np.abs(scale * kernel - exact).mean() < 0.05


def test_numbers_are_the_same_by_table_and_by_sorting(monkeypatch: pytest.MonkeyPatch) -> None:
    features = points(3)
    one = Lattice(features)
    monkeypatch.setattr(lattice, "TABLE", 0)
    two = Lattice(features)
    assert torch.equal(one.index, two.index)
    assert torch.equal(one.order, two.order)


def test_more_corners_than_sixteen_bits() -> None:
    ids = np.random.default_rng(0).integers(0, 200_000, 5000).astype(np.int32)
    np.testing.assert_array_equal(lattice._by_corner(ids), np.argsort(ids, kind="stable"))


def test_too_narrow_a_kernel_is_refused() -> None:
    with pytest.raises(MaskwrightError, match="larger"):
        Lattice(points(12, spread=1000.0))
