"""What trainings and predictions run in, so that they do the same everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.workflows.squares import written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def quiet_machine(one_thread: None) -> Iterator[None]:
    """One thread for all, and no network to ask."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of squares, with the id of each."""
    return written(tmp_path_factory.mktemp("squares"))
