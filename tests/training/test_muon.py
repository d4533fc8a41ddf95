from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from maskwright.training.muon import Muon, orthogonalised


def well_conditioned(rows: int, columns: int, seed: int) -> torch.Tensor:
    """A matrix with singular values from 0.1 to 1, times 7: nothing lost in the dark."""
    random = torch.Generator().manual_seed(seed)
    u, _, v = torch.linalg.svd(torch.randn(rows, columns, generator=random), full_matrices=False)
    return 7 * u @ torch.diag(torch.linspace(1, 0.1, min(rows, columns))) @ v


@settings(deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(0, 100))
def test_singular_values_come_near_one_and_directions_stay(rows: int, columns: int, seed: int) -> None:
    matrix = well_conditioned(rows, columns, seed)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    result = orthogonalised(matrix)
    assert result.shape == matrix.shape
    inside = u.T @ result @ v.T
    values = inside.diagonal()
    assert values.min() > 0.6
    assert values.max() < 1.3
    # In the matrix's own singular directions the result is diagonal: no direction was turned.
    assert torch.allclose(inside, torch.diag(values), atol=2e-4)
    assert torch.allclose(u @ torch.diag(values) @ v, result, atol=2e-4)


@settings(deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(0, 100))
def test_it_is_the_iteration_of_the_paper(rows: int, columns: int, seed: int) -> None:
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix.double() / matrix.double().norm()
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    torch.testing.assert_close(orthogonalised(matrix).double(), x, rtol=0, atol=1e-3)


def test_nothing_stays_nothing() -> None:
    assert torch.equal(orthogonalised(torch.zeros(3, 5)), torch.zeros(3, 5))


def test_the_rest_is_adamw_to_rounding() -> None:
    torch.manual_seed(0)
    mine, theirs = nn.Parameter(torch.randn(5, 3)), nn.Parameter(torch.zeros(5, 3))
    theirs.data.copy_(mine.data)
    muon = Muon([{"params": [mine], "weight_decay": 0.1, "scale": 0.2}], lr=0.05)
    judge = torch.optim.AdamW([theirs], lr=0.01, weight_decay=0.1)
    for step in range(20):
        gradient = torch.randn(5, 3, generator=torch.Generator().manual_seed(step))
        mine.grad, theirs.grad = gradient.clone(), gradient.clone()
        muon.step()
        judge.step()
        torch.testing.assert_close(mine, theirs, rtol=2e-6, atol=2e-7)


def matrix_muon(weight: nn.Parameter, **settings: float) -> Muon:
    return Muon([{"params": [weight], "matrix": True, **settings}], lr=0.1)


def test_the_first_step_of_a_matrix_by_hand() -> None:
    """Momentum 0.05 G, Nesterov (0.05 * 0.95 + 0.05) G: a multiple of G, of which only the direction counts."""
    before, gradient = well_conditioned(6, 4, 1), well_conditioned(6, 4, 2)
    weight = nn.Parameter(before.clone())
    weight.grad = gradient.clone()
    matrix_muon(weight, weight_decay=0.5).step()
    expected = before * (1 - 0.1 * 0.5) - 0.1 * (6 / 4) ** 0.5 * orthogonalised(gradient)
    torch.testing.assert_close(weight.detach(), expected, rtol=1e-5, atol=1e-5)


def test_momentum_follows_its_definition() -> None:
    first, second = well_conditioned(4, 6, 1), well_conditioned(4, 6, 2)
    weight = nn.Parameter(torch.zeros(4, 6))
    optimizer = matrix_muon(weight)
    for gradient in (first, second):
        before = weight.detach().clone()
        weight.grad = gradient.clone()
        optimizer.step()
    momentum = 0.95 * 0.05 * first + 0.05 * second
    expected = before - 0.1 * orthogonalised(0.05 * second + 0.95 * momentum)
    torch.testing.assert_close(weight.detach(), expected, rtol=1e-5, atol=1e-5)


def test_a_convolution_is_the_matrix_of_its_filters() -> None:
    gradient = well_conditioned(4, 18, 0)
    flat, filters = nn.Parameter(torch.zeros(4, 18)), nn.Parameter(torch.zeros(4, 2, 3, 3))
    filters.data = filters.data.to(memory_format=torch.channels_last)
    flat.grad = gradient.clone()
    filters.grad = gradient.reshape(4, 2, 3, 3).to(memory_format=torch.channels_last)
    matrix_muon(flat).step()
    matrix_muon(filters).step()
    torch.testing.assert_close(filters.detach().reshape(4, 18), flat.detach(), rtol=1e-6, atol=1e-7)
    assert flat.detach().abs().sum() > 0


def test_a_weight_without_gradient_stays() -> None:
    still, moved = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    moved.grad = torch.eye(2)
    Muon([{"params": [still, moved], "matrix": True}], lr=0.1).step()
    assert torch.equal(still, torch.ones(2, 2))
    assert not torch.equal(moved, torch.ones(2, 2))


@pytest.mark.parametrize("matrix", [True, False])
def test_its_state_makes_the_round_trip(matrix: bool) -> None:
    weights = [nn.Parameter(well_conditioned(3, 4, 3))]
    groups = [{"params": weights, "matrix": matrix}]
    optimizer = Muon(groups, lr=0.1)
    weights[0].grad = well_conditioned(3, 4, 4)
    optimizer.step()
    copies = [nn.Parameter(weights[0].detach().clone())]
    other = Muon([{"params": copies, "matrix": matrix}], lr=0.1)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for one, own in ((weights, optimizer), (copies, other)):
        one[0].grad = well_conditioned(3, 4, 5)
        own.step()
    assert torch.equal(weights[0], copies[0])
