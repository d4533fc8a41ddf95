"""Every weight of every architecture has an influence on what the network says: no layer is left out."""

from __future__ import annotations

import pytest
import torch
from tests.models.smallest import smallest

from maskwright import models


def asleep(name: str, seed: int) -> set[str]:
    """List the weights without a gradient, of a network whose weights are all drawn."""
    torch.manual_seed(seed)
    model = models.create(name, classes=3, **smallest(name)).train()
    for weight in model.parameters():  # residual branches begin with a factor of 0
        torch.nn.init.normal_(weight, std=0.2)
    main, others = model.scores(torch.randn(5, 3, 64, 64), with_aux=True)
    sum((part * torch.randn_like(part)).sum() for part in (main, *others)).backward()
    return {key for key, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()}


@pytest.mark.parametrize("name", sorted(models.MODELS))
def test_every_weight_gets_a_gradient(name: str) -> None:
    # A narrow layer may be silent behind a ReLU by chance.
    assert not set.intersection(*(asleep(name, seed) for seed in range(3)))
