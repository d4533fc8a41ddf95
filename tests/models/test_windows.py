"""Averages over windows: by hand, and what they make of a network's receptive field."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from maskwright import models
from maskwright.models.layers.windows import moving_average


def test_a_window_by_hand() -> None:
    x = torch.arange(12.0).reshape(1, 1, 3, 4)
    found = moving_average(x, (3, 2.5))
    # 3 rows and 3 columns; at the corner the mean of 0, 1, 4, 5, and in the middle of the nine around 5
    assert found[0, 0, 0, 0] == 2.5
    assert found[0, 0, 1, 1] == 5
    assert torch.equal(moving_average(x, (1.9, 0.4)), x)


def test_a_window_against_numpy() -> None:
    values = np.random.default_rng(0).normal(size=(7, 9))
    found = moving_average(torch.from_numpy(values)[None, None], (5, 4))[0, 0].numpy()
    for row in range(7):
        for column in range(9):
            part = values[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
            assert found[row, column] == pytest.approx(part.mean())


@pytest.mark.parametrize("name", ["swiftnet", "deeplabv3", "deeplabv3plus", "pspnet", "upernet", "lraspp", "ppliteseg"])
def test_what_is_far_away_changes_nothing_with_a_window(name: str) -> None:
    torch.manual_seed(0)
    network = models.create(name, classes=3).eval()
    one = torch.randn(1, 3, 32, 1216)
    other = one.clone()
    other[..., 1152:] += 1
    with torch.no_grad():
        network.set_window((64, 64))
        found, changed = network(one), network(other)
        network.set_window(None)
        whole, far = network(one), network(other)
    assert torch.equal(found[..., :64], changed[..., :64])
    assert not torch.equal(found[..., 1152:], changed[..., 1152:])
    if name != "swiftnet":  # which has as many cells along the longer side as fit
        assert not torch.equal(whole[..., :64], far[..., :64])
