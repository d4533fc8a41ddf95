"""Muon: momentum whose matrices are made orthogonal, for networks trained from scratch.

Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks". Momentum M_t = b M_(t-1) + (1-b) G_t and
its Nesterov form are followed by five steps of the Newton-Schulz iteration X <- a X + (b A + c A A) X, A = X X^T, that
brings all singular values near 1. A convolution (O, I, h, w) counts as a matrix (O, I h w). Vectors, and the weights
named by the caller (first layer, last layer), are left to AdamW, as there.

As in the authors' code, the update is scaled by sqrt(max(1, rows / columns)); decay is decoupled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Muon for the groups marked `matrix`, AdamW (betas 0.9, 0.999) for the others.

    Args:
        groups: parameter groups; `matrix` (default False) chooses the rule, `weight_decay` is decoupled.
        lr: of matrices and of the rest alike, see `scale` of a group.
        momentum: of the matrices.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float, momentum: float = 0.95) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": 0.0, "matrix": False, "scale": 1.0}
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every weight once. A closure is not supported."""
        assert closure is None
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if group["matrix"]:
                self._orthogonal(weights, group)
            elif weights:
                self._adamw(weights, group)

    def _orthogonal(self, weights: list[torch.Tensor], group: dict[str, Any]) -> None:
        rate = group["lr"] * group["scale"]
        for weight in weights:
            assert weight.grad is not None
            state = self.state[weight]
            if not state:
                state["momentum"] = torch.zeros_like(weight)
            state["momentum"].lerp_(weight.grad, 1 - group["momentum"])
            direction = weight.grad.lerp(state["momentum"], group["momentum"])
            matrix = direction.reshape(direction.shape[0], -1)
            rows, columns = matrix.shape
            update = orthogonalised(matrix).reshape(weight.shape)
            weight.mul_(1 - rate * group["weight_decay"]).add_(update, alpha=-rate * max(1.0, rows / columns) ** 0.5)

    def _adamw(self, weights: list[torch.Tensor], group: dict[str, Any]) -> None:
        rate = group["lr"] * group["scale"]
        for weight in weights:
            assert weight.grad is not None
            state = self.state[weight]
            if not state:
                state["step"] = torch.zeros(())
                state["first"], state["second"] = torch.zeros_like(weight), torch.zeros_like(weight)
            state["step"] += 1
            count = state["step"].item()
            state["first"].lerp_(weight.grad, 0.1)
            state["second"].mul_(0.999).addcmul_(weight.grad, weight.grad, value=0.001)
            spread = (state["second"] / (1 - 0.999**count)).sqrt_().add_(1e-8)
            weight.mul_(1 - rate * group["weight_decay"])
            weight.addcdiv_(state["first"], spread, value=-rate / (1 - 0.9**count))


def orthogonalised(matrix: torch.Tensor) -> torch.Tensor:
    """Bring the singular values of a matrix (n, m) near 1, between about 0.7 and 1.2, keeping its directions.

    Every iterate is X_k = Q_k X_0 with Q_k a polynomial in A_0 = X_0 X_0^T, so the iteration runs on the small side
    alone (A <- P A P, Q <- P Q, P = a I + b A + c A A) and touches the long side twice instead of ten times. That
    makes float32 as fast as the usual bfloat16, and exact to 1e-4.
    """
    first, second, third = COEFFICIENTS
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if wide else matrix.T
    x = x / (x.norm() + 1e-7)
    gram = x @ x.T
    product = torch.empty(0)
    for iteration in range(ITERATIONS):
        polynomial = torch.addmm(second * gram, gram, gram, alpha=third)
        polynomial.diagonal().add_(first)
        product = polynomial if iteration == 0 else polynomial @ product
        gram = polynomial @ gram @ polynomial
    x = product @ x
    return x if wide else x.T
