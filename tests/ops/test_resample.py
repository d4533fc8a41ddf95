"""Values between the points of a map, against torch's enlargement."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from maskwright.ops.resample import between


@pytest.mark.parametrize("size", [(24, 28), (9, 40), (6, 7), (17, 19)])
def test_enlarging_is_torchs(size: tuple[int, int]) -> None:
    values = np.random.default_rng(0).normal(size=(6, 7))
    down, across = ((np.arange(new) + 0.5) * old / new - 0.5 for new, old in zip(size, values.shape, strict=True))
    wanted = F.interpolate(torch.from_numpy(values)[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    np.testing.assert_allclose(between(values, down, across), wanted.numpy(), atol=1e-12)
