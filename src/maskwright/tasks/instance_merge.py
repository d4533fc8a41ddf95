"""From the objects of overlapping blocks to those of the image: what several blocks show comes out once."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING

from maskwright.core.instances import Instances
from maskwright.ops.instance_parts import overlap, union

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from maskwright.core.instances import Instance
    from maskwright.tasks.base import Block

SAME = 0.5
"""Objects of two blocks are the same if their IoU, where both blocks see, is at least this."""


def merged(
    blocks: Iterable[Block], size: tuple[int, int], order: Sequence[int], least: float = 0.0, same: float = SAME
) -> Instances:
    """Merge the objects of all blocks.

    Args:
        blocks: with objects, whose `index` is a row of the network's classes.
        size: (height, width) of the image.
        order: class index of each row.
        least: least score of an object, which is that of its best part.
        same: least IoU, inside the overlap of two blocks, of the parts of one object.

    Returns:
        The objects, from the highest score to the lowest; the score of a merged one is the highest of its parts.
    """
    parts: list[Instance] = []
    leader: list[int] = []
    done: list[tuple[Block, range]] = []
    for block in blocks:
        assert block.objects is not None
        parts += block.objects.objects
        own = range(len(leader), len(parts))
        leader += own
        for other, theirs in done:
            for one, two in _pairs(parts, own, theirs, _shared(block, other), same):
                _join(leader, one, two)
        done.append((block, own))
    groups: dict[int, list[Instance]] = {}
    for place, entry in enumerate(parts):
        groups.setdefault(_leader(leader, place), []).append(entry)
    found = [_whole(group, order) for group in groups.values()]
    kept = (entry for entry in found if entry.score >= least)
    return Instances(size, tuple(sorted(kept, key=lambda entry: -entry.score)))


def _shared(one: Block, two: Block) -> tuple[slice, slice]:
    """Return the rows and columns that both blocks see; they may be empty."""
    rows = slice(max(one.rows.start, two.rows.start), min(one.rows.stop, two.rows.stop))
    return rows, slice(max(one.columns.start, two.columns.start), min(one.columns.stop, two.columns.stop))


def _pairs(
    parts: Sequence[Instance], own: range, theirs: range, window: tuple[slice, slice], same: float
) -> list[tuple[int, int]]:
    """Return which objects of one block are which of another: each goes to the one that it overlaps most."""
    rows, columns = window
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return []
    near = [place for place in theirs if _meets(parts[place], rows, columns)]
    found = []
    for place in own:
        entry = parts[place]
        if _meets(entry, rows, columns):
            alike = [other for other in near if parts[other].index == entry.index]
            best = max(((overlap(entry, parts[other], rows, columns), other) for other in alike), default=(0.0, 0))
            if best[0] >= same:
                found.append((place, best[1]))
    return found


def _meets(entry: Instance, rows: slice, columns: slice) -> bool:
    """Tell whether the bounding box of an object reaches into a window."""
    down = entry.top < rows.stop and entry.rows.stop > rows.start
    return down and entry.left < columns.stop and entry.columns.stop > columns.start


def _leader(leader: list[int], place: int) -> int:
    """Return the first part of the object that a part belongs to."""
    while leader[place] != place:
        place = leader[place]
    return place


def _join(leader: list[int], one: int, two: int) -> None:
    first, second = sorted((_leader(leader, one), _leader(leader, two)))
    leader[second] = first


def _whole(group: Sequence[Instance], order: Sequence[int]) -> Instance:
    """Put the parts of one object together, with the index of its class."""
    score = max(entry.score for entry in group)
    return replace(reduce(union, group), index=order[group[0].index], score=score)
