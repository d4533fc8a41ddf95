"""Small networks and one thread, so that the tests of this room cost seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from maskwright import models

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = {"widths": (4, 6, 8, 10), "depths": (1, 1, 1, 1)}
NARROW = {"unet2015": {"channels": (8, 6, 5, 4)}}


@pytest.fixture(autouse=True)
def _one_thread_one_seed(one_thread: None) -> None:
    torch.manual_seed(0)


@pytest.fixture
def small() -> Callable[..., models.Segmenter]:
    """Build an architecture over a very small compact backbone."""

    def build(name: str = "swiftnet", classes: int = 3, in_channels: int = 3, **options: Any) -> models.Segmenter:
        return models.create(name, classes, in_channels, "compact", **{**SMALL, **NARROW.get(name, {}), **options})

    return build
