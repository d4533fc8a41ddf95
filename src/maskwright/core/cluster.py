"""A Ray cluster: how to reach it, and what says that one of its processes was lost. Knows no work to be done there."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from maskwright.core.errors import MaskwrightError
from maskwright.core.optional import optional

if TYPE_CHECKING:
    from collections.abc import Iterator

RAY = "ray"


def check_cluster(on: str | None) -> None:
    """Refuse a cluster that is not known.

    Raises:
        MaskwrightError: another name than `ray`.
    """
    if on not in {None, RAY}:
        raise MaskwrightError(f"`on` is {on!r}, and the only cluster known is ray: give that or nothing", "on")


def ray_module() -> Any:
    """Import Ray, which then reports nothing of its use.

    Raises:
        MaskwrightError: it is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # Ray reports its use unless this is set before it starts
    return optional("ray", "ray")


@contextlib.contextmanager
def connected() -> Iterator[Any]:
    """Yield Ray, connected to a cluster: the caller's, that of `RAY_ADDRESS` or of this machine, or a new local one.

    A connection of the caller's is used and stays; another one ends here.

    Raises:
        MaskwrightError: Ray is not installed.
    """
    ray = ray_module()
    if ray.is_initialized():
        yield ray
        return
    ray.init(log_to_driver=False, include_dashboard=False, logging_level="error")
    try:
        yield ray
    finally:
        ray.shutdown()


def lost(ray: Any) -> tuple[type[Exception], ...]:
    """Return the errors that say that the process of a task is gone, and the task with it."""
    return ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError, ray.exceptions.NodeDiedError
