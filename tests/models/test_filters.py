"""The bank of filters: each response against SciPy or NumPy, on images of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from maskwright import models
from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones import filters

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIGMAS = (0.7, 2.0)


def image(channels: int = 2, height: int = 23, width: int = 31, seed: int = 0) -> torch.Tensor:
    return torch.randn(1, channels, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sigma", [0.7, 1.6, 10.0])
def test_smoothing_is_that_of_scipy(sigma: float) -> None:
    x = image()
    radius = int(np.ceil(filters.REACH * sigma))
    exact = x[0].double().numpy()
    wanted = ndimage.gaussian_filter(exact, (0, sigma, sigma), mode="nearest", radius=(0, radius, radius))
    np.testing.assert_allclose(filters.gaussian(x, sigma)[0].numpy(), wanted, atol=2e-6)


def test_every_response_is_what_it_is_called() -> None:
    """A second implementation, channel by channel, with NumPy's eigenvalues."""
    x = image()
    smooth = filters.gaussian(x.double(), 1.6)[0].numpy()

    def slope(array: np.ndarray, axis: int) -> np.ndarray:
        return ndimage.correlate1d(array, [-0.5, 0, 0.5], axis=axis, mode="nearest")

    down, across = slope(smooth, 1), slope(smooth, 2)
    hessian = np.stack([slope(down, 1), slope(down, 2), slope(down, 2), slope(across, 2)], axis=-1)
    tensor = np.stack([(one * other).sum(axis=0) for one in (down, across) for other in (down, across)])
    tensor = filters.gaussian(torch.from_numpy(tensor)[None], 1.6)[0].numpy().transpose(1, 2, 0)
    curved = np.linalg.eigvalsh(hessian.reshape(*hessian.shape[:-1], 2, 2))
    edged = np.linalg.eigvalsh(tensor.reshape(*tensor.shape[:-1], 2, 2))
    wanted = [smooth, np.hypot(down, across), curved.sum(axis=-1), curved[..., 1], curved[..., 0]]
    wanted += [edged[None, ..., 1], edged[None, ..., 0]]
    found = torch.cat(filters.responses(x, 1.6), dim=1)[0].numpy()
    np.testing.assert_allclose(found, np.concatenate(wanted), atol=1e-5)


def test_a_straight_edge_has_one_direction_and_a_corner_two() -> None:
    x = torch.zeros(1, 1, 40, 40)
    x[..., 20:] = 1
    larger, smaller = filters.responses(x, 1.0)[-2:]
    assert larger[0, 0, 20, 20] > 0.01
    assert smaller.abs().max() < 1e-6
    x[:, :, :20] = 0
    assert filters.responses(x, 1.0)[-1][0, 0, 20, 20] > 0.001


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 4), st.floats(-100, 100))
def test_a_constant_image_of_any_size_has_no_edges(height: int, width: int, channels: int, value: float) -> None:
    bank = filters.build(channels, sigmas=SIGMAS)
    found = bank(torch.full((2, channels, height, width), value))[0]
    assert found.shape == (2, bank.channels[0], height, width)
    each = found[:, channels:].reshape(2, len(SIGMAS), -1, height, width)
    smooth = each[:, :, :channels]
    torch.testing.assert_close(smooth, torch.full_like(smooth, value), rtol=1e-5, atol=1e-5)
    assert each[:, :, channels:].abs().max() < 1e-3


@pytest.mark.parametrize("turn", [lambda x: x.flip(2), lambda x: x.flip(3), lambda x: x.transpose(2, 3)])
def test_a_mirrored_image_has_mirrored_responses(turn: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """So a forest gains nothing from mirrored crops, nor from predicting the mirrored image."""
    bank, x = filters.build(2, sigmas=SIGMAS), image()
    torch.testing.assert_close(bank(turn(x))[0], turn(bank(x)[0]), rtol=0, atol=2e-6)


def test_responses_stay_exact_in_a_fast_prediction() -> None:
    bank, x = filters.build(2, sigmas=SIGMAS), image()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fast = bank(x)[0]
    assert torch.equal(fast, bank(x)[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigmas": ()}, r"sigmas is \[\]"),
        ({"sigmas": (1.0, 0.0)}, r"sigmas is \[1.0, 0.0\], but must be numbers above 0"),
    ],
)
def test_options_outside_their_rule_are_refused(options: dict[str, tuple[float, ...]], message: str) -> None:
    with pytest.raises(MaskwrightError, match=message):
        models.create("forest", 2, **options)


def test_it_has_no_weights_to_load(tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(MaskwrightError, match=r"w\.pth cannot be loaded: the backbone filters has no weights"):
        models.create("forest", 2, weights=tmp_path / "w.pth")
