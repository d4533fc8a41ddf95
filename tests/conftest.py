"""What every test runs under: as many threads as the suite allows itself, or one where it asks for it, and no clock."""

from __future__ import annotations

import hypothesis
import pytest

# A busy machine must not fail a test: how long an example takes says nothing about whether it is right.
hypothesis.settings.register_profile("maskwright", deadline=None)
hypothesis.settings.load_profile("maskwright")


@pytest.fixture(scope="session")
def one_thread() -> None:
    """Let torch compute in one thread, from here to the end: other numbers of them round otherwise."""
    import torch

    torch.set_num_threads(1)
