"""How predicted objects differ from the true ones: found, missed, false, merged and split. Knows no pixel values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from maskwright.metrics.matching import best_matches
from maskwright.metrics.object_overlap import MOSTLY, compare

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from maskwright.core.instances import Instances

LEAST_IOU = 0.5


@dataclass(frozen=True)
class ObjectErrors:
    """What became of each object; numbers are positions in `Instances.objects`.

    Attributes:
        found: true object -> the prediction of its class that matches it, by an IoU of at least `LEAST_IOU`.
        confused: the same for a prediction of another class.
        merges: prediction -> two or more true objects of its class that it covers by more than half.
        splits: true object -> two or more predictions of its class that lie in it by more than half.
        missed: true objects that none of the above explains.
        false: predictions that none of the above explains; those in ignored regions are none.
    """

    found: dict[int, int]
    confused: dict[int, int]
    merges: dict[int, tuple[int, ...]]
    splits: dict[int, tuple[int, ...]]
    missed: tuple[int, ...]
    false: tuple[int, ...]


def object_errors(truth: Instances, prediction: Instances, ignored: NDArray[np.bool_]) -> ObjectErrors:
    """Compare predicted objects with the true ones; crowds are ignored regions.

    Args:
        truth: objects of the annotation.
        prediction: objects of the same image.
        ignored: (H, W), where the annotation says nothing.
    """
    compared = compare(truth, prediction, ignored, by_class=False)
    pairs, iou = compared.pairs, compared.iou
    true, guess = pairs.T
    crowd = compared.truth.exempt
    same = _classes(truth)[true] == _classes(prediction)[guess]
    near = iou >= LEAST_IOU
    found = dict(pairs[best_matches(compared, iou, near & same)].tolist())
    free = ~np.isin(true, list(found)) & ~np.isin(guess, list(found.values()))
    confused = dict(pairs[best_matches(compared, iou, near & ~same & free)].tolist())
    inside = same & ~crowd[true]
    covered = inside & (compared.shared > MOSTLY * compared.truth.area[true])
    within = inside & (compared.shared > MOSTLY * compared.found.area[guess])
    merges, splits = _several(pairs[covered, ::-1].tolist()), _several(pairs[within].tolist())
    explained = {*found, *confused, *splits, *(t for members in merges.values() for t in members)}
    used = {*found.values(), *confused.values(), *merges, *(p for members in splits.values() for p in members)}
    missed = (t for t in np.flatnonzero(~crowd).tolist() if t not in explained)
    false = (p for p in np.flatnonzero(~compared.excused).tolist() if p not in used)
    return ObjectErrors(found, confused, merges, splits, tuple(missed), tuple(false))


def _classes(objects: Instances) -> NDArray[np.int32]:
    return np.array([entry.index for entry in objects.objects], np.int32)


def _several(pairs: Iterable[tuple[int, int]]) -> dict[int, tuple[int, ...]]:
    """Gather pairs (key, member) by key, and keep the keys with two members or more."""
    members: dict[int, list[int]] = {}
    for key, member in pairs:
        members.setdefault(key, []).append(member)
    return {key: tuple(found) for key, found in members.items() if len(found) > 1}
