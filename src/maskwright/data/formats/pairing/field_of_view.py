"""Masks that are nearly the same for every image: where an instrument sees anything, and not what is to be learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwright.core.records import Fault, ImageRef
from maskwright.data.formats.pairing.pairs import Pairing, find_pairs
from maskwright.data.formats.walk import folder_name
from maskwright.data.readers import DecodeError, read_mask

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_FEWEST, _MOST, _SIDE = 4, 12, 64
_SAME = 0.95
_SHARES = (0.1, 0.99)
# Where there is nothing else to read, less than this is rather a scene in which little changes.
_LARGE = 0.5


def truth_of(root: Path, files: list[Path]) -> Pairing:
    """Pair images and masks, and prefer any other masks to those of a field of view.

    Returns:
        The pairing, with a warning where a field of view was passed over, or where there is nothing else.
    """
    pairing = find_pairs(root, files)
    share = _same_everywhere([pair.mask for pair in pairing.pairs])
    if not share:
        return pairing
    seen = pairing.pairs[0].mask.parent
    what = f"the masks in {folder_name(root, seen)} are nearly the same for every image"
    other = find_pairs(root, files, without={pairing.word} if pairing.word else ())
    if other.pairs and other.word != pairing.word:
        message = (
            f"{what}, as those of a field of view are, and not used: {folder_name(root, other.pairs[0].mask.parent)} is"
        )
        cure = "if they are the truth, move the other folder away"
        return other._replace(faults=(*other.faults, Fault("field-of-view", "warning", seen, message, cure)))
    if share <= _LARGE:
        return pairing
    message = f"{what}: they may show the field of view of an instrument, and not what is to be learnt"
    cure = "if so, put the true masks into a folder named labels/, with the names of their images"
    return pairing._replace(faults=(*pairing.faults, Fault("field-of-view", "warning", seen, message, cure)))


def _same_everywhere(masks: Sequence[Path]) -> float:
    """Return the share of foreground if masks of two values, looked at in small, agree on nearly all of it, else 0."""
    if len(masks) < _FEWEST:
        return 0.0
    places = np.unique(np.linspace(0, len(masks) - 1, _MOST).round().astype(int))
    first: NDArray[np.bool_] | None = None
    for place in places:
        small = _small(masks[place])
        if small is None or not _SHARES[0] < small.mean() < _SHARES[1]:
            return 0.0
        first = small if first is None else first
        if (small & first).sum() < _SAME * (small | first).sum():
            return 0.0
    return float(first.mean()) if first is not None else 0.0


def _small(mask: Path) -> NDArray[np.bool_] | None:
    """Return where a mask of two values is not 0, as (64, 64); None for any other mask."""
    try:
        values = read_mask(ImageRef(mask)).indices()
    except DecodeError:  # reported when the pixels are asked for
        return None
    if values is None or values.min() != 0 or not np.isin(values, (0, values.max())).all():
        return None
    shown = (values != 0).astype(np.float32)
    return np.asarray(cv2.resize(shown, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) >= 0.5)
