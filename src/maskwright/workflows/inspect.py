"""Inspect a data set: what it contains, what is wrong with it, and how it would be split. Trains and prints nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from maskwright.core.plan import SplitPlan
from maskwright.core.records import Fault
from maskwright.data.fingerprint import fingerprint
from maskwright.data.formats import ReadOptions, read_dataset
from maskwright.data.split import TooFewImagesError, with_splits
from maskwright.data.survey import survey

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.events import OnProgress
    from maskwright.core.fingerprint import Fingerprint


def inspect(
    root: Path,
    options: ReadOptions | None = None,
    split: SplitPlan | None = None,
    seed: int = 0,
    on_progress: OnProgress | None = None,
    task: str | None = None,
) -> Fingerprint:
    """Read every image and mask once and return the fingerprint, with all faults found.

    Args:
        root: folder, or file, of the data set.
        options: how to read it, where its files do not tell.
        split: how to split it, if the layout has no splits; None for the defaults.
        seed: of the split.
        on_progress: called with (images done, images in all).
        task: what the masks mean, a name of `tasks.TASKS`; None for classes.

    Returns:
        The fingerprint; `Fingerprint.obstacle` says why training is impossible, if it is. Too few images to split are
        a fault here, not an error.

    Raises:
        MaskwrightError: no layout was recognised, the options contradict the data, no task has that name, or the data
            do not fit the task.
    """
    options = options or ReadOptions()
    if task is not None:
        from maskwright.tasks import find_task  # imports torch, which takes longer than looking at a small data set

        options = options.for_task(find_task(task).annotation)
    dataset = read_dataset(root, options)
    objects = False
    if task is not None:
        chosen = find_task(task)
        dataset = chosen.prepared(dataset)
        chosen.check(dataset)
        objects = chosen.objects and not chosen.stuff
    seen = survey(dataset, on_progress=on_progress)
    try:
        divided = with_splits(seen.dataset, split or SplitPlan(), seed, seen)
    except TooFewImagesError as error:
        divided = seen.dataset
        if divided.records:  # that there are none at all is a separate fault, which says more
            fault = Fault("too-few-images", "error", dataset.root, error.message, error.cure)
            divided = replace(divided, faults=(*divided.faults, fault))
    return fingerprint(seen, divided, objects=objects)
