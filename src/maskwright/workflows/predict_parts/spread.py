"""Images spread over the machines of a Ray cluster, which share the folders of images and results.

A task predicts a few images in a process of its own, which keeps the model for the next task. Its results are files,
written whole or not at all, so that a task whose machine was lost is simply run again elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from maskwright.core.cluster import connected, lost
from maskwright.core.errors import MaskwrightError
from maskwright.workflows.predict_parts.results import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from maskwright.workflows.predict_parts.journal import Done
    from maskwright.workflows.predict_parts.pictures import Picture

Outcome = tuple["Picture", "Done | Failure"]

MOST_IMAGES = 16
"""In one task: few enough that little is lost with a machine, and many enough that starting a task costs nothing."""
TASKS_PER_CORE = 4
"""At least, so that all cores are busy until the end."""
RETRIES = 3
AHEAD = 2
"""Tasks for each core that are handed to Ray at a time."""


class Work(NamedTuple):
    """What a process does: `run(images)`, with the function that `prepare(*setup)` returned once."""

    prepare: Callable[..., Callable[[Picture], Done | Failure]]
    setup: tuple[Any, ...]


_prepared: dict[Work, Callable[[Picture], Done | Failure]] = {}


def spread(work: Work, pictures: Sequence[Picture], *, gpu: bool) -> Iterator[Outcome]:
    """Predict images on the cluster that Ray finds (`RAY_ADDRESS`, or one on this machine), or else on a new local one.

    Args:
        work: what to do with each.
        pictures: the images, with absolute paths.
        gpu: a process may use a GPU, and gets one if the cluster has any.

    Yields:
        An image with its results or the reason why it has none, as soon as they are there; not in order.

    Raises:
        MaskwrightError: Ray is not installed, or an error that concerns all images.
    """
    with connected() as ray:
        there = ray.cluster_resources()
        gpus = int(there.get("GPU", 0)) if gpu else 0
        cores = max(1, gpus or int(there.get("CPU", 1)))
        length = max(1, min(MOST_IMAGES, len(pictures) // (TASKS_PER_CORE * cores)))
        waiting = [pictures[start : start + length] for start in range(0, len(pictures), length)][::-1]
        run = ray.remote(num_cpus=1, num_gpus=min(gpus, 1), max_retries=RETRIES)(_run)
        running: dict[Any, Sequence[Picture]] = {}
        while waiting or running:
            while waiting and len(running) < AHEAD * cores:
                part = waiting.pop()
                running[run.remote(work, part)] = part
            for reference in ray.wait(list(running))[0]:
                part = running.pop(reference)
                found = _found(ray, reference, part)
                if found is None:
                    waiting += [[picture] for picture in part]
                else:
                    yield from zip(part, found, strict=True)


def _found(ray: Any, reference: Any, part: Sequence[Picture]) -> Sequence[Done | Failure] | None:
    """Return the results of a task; None if it ended its process again and again, and one of its images may be why.

    Raises:
        MaskwrightError: an error that concerns all images.
    """
    try:
        found: Sequence[Done | Failure] = ray.get(reference)
    except lost(ray) as error:
        return None if len(part) > 1 else [Failure(part[0].image.path, _ended(part[0], error))]
    except ray.exceptions.LocalRayletDiedError:
        raise MaskwrightError(
            "Ray's own process on this machine has ended: start Ray again, and go on with `resume`; what is predicted "
            "stays"
        ) from None
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, MaskwrightError) else error) from None
    return found


def _run(work: Work, pictures: Sequence[Picture]) -> list[Done | Failure]:
    """Predict images in a process of the cluster, which has no display and one core."""
    if work not in _prepared:
        _prepared.clear()
        _prepared[work] = work.prepare(*work.setup)
    return [_prepared[work](picture) for picture in pictures]


def _ended(picture: Picture, error: Exception) -> str:
    first = next(iter(str(error).splitlines()), type(error).__name__)
    return (
        f"{picture.image}: the process that predicted it ended {RETRIES + 1} times, perhaps for want of memory: cut "
        f"the image into parts ({first})"
    )
