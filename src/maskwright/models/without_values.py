"""Networks that have shapes and no values, on torch's meta device. Knows no network."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Iterator


class _NoInitialisation(TorchFunctionMode):
    """Leaves out what draws weights: for normal ones on that device torch imports its compiler, which takes seconds."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run anything else."""
        kwargs = kwargs or {}
        if func is torch.Tensor.normal_ or getattr(func, "__module__", None) == torch.nn.init.__name__:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@contextlib.contextmanager
def without_values() -> Iterator[None]:
    """Let networks that are built inside have shapes only: they take no memory, and torch's random state is kept."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"), _NoInitialisation():
        yield
