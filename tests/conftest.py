"""What every test runs under: as many threads as the suite allows itself, or one where it asks for it, and no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

# A busy machine must not fail a test: how long an example takes says nothing about whether it is right.
hypothesis.settings.register_profile("maskwright", deadline=None)
hypothesis.settings.load_profile("maskwright")


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Let torch compute in one thread: other numbers of them round otherwise."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
