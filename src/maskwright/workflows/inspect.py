"""Look a data set over: what is in it, what is wrong, and how it would be divided. Trains and prints nothing."""

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
) -> Fingerprint:
    """Read every image and mask once and return the fingerprint, with all that was found wrong.

    Args:
        root: folder, or file, of the data set.
        options: how to read it where that cannot be told from the files.
        split: how it would be divided where the layout does not say; None for the defaults.
        seed: of the division.
        on_progress: called with (images done, images in all).

    Returns:
        The fingerprint; `Fingerprint.obstacle` says why training cannot work, if it cannot. Too few images to divide
        are a fault here, not an error.

    Raises:
        MaskwrightError: no layout was recognised, or the options contradict the data.
    """
    dataset = read_dataset(root, options or ReadOptions())
    seen = survey(dataset, on_progress=on_progress)
    try:
        divided = with_splits(seen.dataset, split or SplitPlan(), seed, seen)
    except TooFewImagesError as error:
        divided = seen.dataset
        if divided.records:  # that there is none at all is a fault of its own, and says more
            fault = Fault("too-few-images", "error", dataset.root, error.message, error.cure)
            divided = replace(divided, faults=(*divided.faults, fault))
    return fingerprint(seen, divided)
