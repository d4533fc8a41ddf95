"""How predicted objects differ from the true ones: found, missed, false, merged and split. Knows no pixel values.

Objects are compared in their boxes, pair by pair where the boxes meet, so that thousands of them fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from maskwright.core.instances import Instance, Instances

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


def compare(truth: Instances, prediction: Instances, ignored: NDArray[np.bool_]) -> ObjectErrors:
    """Compare predicted objects with the true ones; crowds are ignored regions.

    Args:
        truth: objects of the annotation.
        prediction: objects of the same image.
        ignored: (H, W), where the annotation says nothing.
    """
    areas = [entry.area for entry in truth.objects]
    sizes = [entry.area for entry in prediction.objects]
    real = [number for number, entry in enumerate(truth.objects) if not entry.crowd]
    shared = {
        (number, guess): pixels for number, guess, pixels in intersections(truth, prediction) if number in set(real)
    }
    iou = {(t, p): pixels / (areas[t] + sizes[p] - pixels) for (t, p), pixels in shared.items()}
    same = {pair for pair in shared if truth.objects[pair[0]].index == prediction.objects[pair[1]].index}
    found = _matched({pair: value for pair, value in iou.items() if pair in same}, {})
    confused = _matched({pair: value for pair, value in iou.items() if pair not in same}, found)
    merges = _several((p, t) for t, p in sorted(same) if 2 * shared[t, p] > areas[t])
    splits = _several((t, p) for t, p in sorted(same) if 2 * shared[t, p] > sizes[p])
    explained = {*found, *confused, *splits, *(t for covered in merges.values() for t in covered)}
    used = {*found.values(), *confused.values(), *merges, *(p for parts in splits.values() for p in parts)}
    ignored = _with_crowds(ignored, truth)
    return ObjectErrors(
        found,
        confused,
        merges,
        splits,
        missed=tuple(number for number in real if number not in explained),
        false=tuple(
            guess
            for guess, entry in enumerate(prediction.objects)
            if guess not in used
            and 2 * np.count_nonzero(ignored[entry.rows, entry.columns] & entry.mask) <= sizes[guess]
        ),
    )


def intersections(first: Instances, second: Instances) -> Iterator[tuple[int, int, int]]:
    """Yield (position in `first`, position in `second`, pixels that both have) of the pairs that share a pixel."""
    boxes = _boxes(second.objects)
    order = np.argsort(boxes[:, 0], kind="stable")
    boxes = boxes[order]
    tallest = int((boxes[:, 1] - boxes[:, 0]).max(initial=0))
    for number, entry in enumerate(first.objects):
        rows, columns = entry.rows, entry.columns
        start = int(np.searchsorted(boxes[:, 0], rows.start - tallest))
        stop = int(np.searchsorted(boxes[:, 0], rows.stop))
        near = boxes[start:stop]
        meet = (near[:, 1] > rows.start) & (near[:, 3] > columns.start) & (near[:, 2] < columns.stop)
        for place in sorted(order[start:stop][meet].tolist()):
            pixels = _common(entry, second.objects[place])
            if pixels:
                yield number, place, pixels


def _boxes(objects: Sequence[Instance]) -> NDArray[np.int64]:
    """Return (N, 4): first row, last row + 1, first column, last column + 1."""
    edges = [(e.rows.start, e.rows.stop, e.columns.start, e.columns.stop) for e in objects]
    return np.array(edges, np.int64).reshape(-1, 4)


def _common(first: Instance, second: Instance) -> int:
    top, left = max(first.top, second.top), max(first.left, second.left)
    bottom, right = min(first.rows.stop, second.rows.stop), min(first.columns.stop, second.columns.stop)
    parts = [
        entry.mask[top - entry.top : bottom - entry.top, left - entry.left : right - entry.left]
        for entry in (first, second)
    ]
    return int(np.count_nonzero(parts[0] & parts[1]))


def _matched(iou: Mapping[tuple[int, int], float], taken: Mapping[int, int]) -> dict[int, int]:
    """Match true objects and predictions one to one, the best pairs first, without those that are taken already."""
    found: dict[int, int] = {}
    guesses = set(taken.values())
    for (number, guess), value in sorted(iou.items(), key=lambda item: (-item[1], item[0])):
        if value >= LEAST_IOU and number not in found and number not in taken and guess not in guesses:
            found[number] = guess
            guesses.add(guess)
    return found


def _several(pairs: Iterator[tuple[int, int]]) -> dict[int, tuple[int, ...]]:
    """Gather pairs (key, member) by key, and keep the keys with two members or more."""
    members: dict[int, list[int]] = {}
    for key, member in pairs:
        members.setdefault(key, []).append(member)
    return {key: tuple(found) for key, found in members.items() if len(found) > 1}


def _with_crowds(ignored: NDArray[np.bool_], truth: Instances) -> NDArray[np.bool_]:
    crowds = [entry for entry in truth.objects if entry.crowd]
    if crowds:
        ignored = ignored.copy()
    for entry in crowds:
        ignored[entry.rows, entry.columns] |= entry.mask
    return ignored
