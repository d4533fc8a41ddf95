"""From the objects of overlapping blocks to those of the image: what several blocks show comes out once."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING

from maskwright.core.instances import Instances
from maskwright.ops.instance_parts import overlap, union

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

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
    pairs: list[tuple[float, int, int]] = []
    done: list[tuple[Block, range]] = []
    for block in blocks:
        assert block.objects is not None
        own = range(len(parts), len(parts) + len(block.objects))
        parts += block.objects.objects
        for other, theirs in done:
            pairs += _pairs(parts, own, theirs, _shared(block, other), same)
        done.append((block, own))
    groups = _groups([places for _, places in done], pairs)
    found = [_whole([parts[place] for place in group], order) for group in groups]
    kept = (entry for entry in found if entry.score >= least)
    return Instances(size, tuple(sorted(kept, key=lambda entry: -entry.score)))


def _shared(one: Block, two: Block) -> tuple[slice, slice]:
    """Return the rows and columns that both blocks see; they may be empty."""
    rows = slice(max(one.rows.start, two.rows.start), min(one.rows.stop, two.rows.stop))
    return rows, slice(max(one.columns.start, two.columns.start), min(one.columns.stop, two.columns.stop))


def _pairs(
    parts: Sequence[Instance], own: range, theirs: range, window: tuple[slice, slice], same: float
) -> Iterator[tuple[float, int, int]]:
    """Yield which objects of one block are which of another, each pair after the lower of its scores."""
    rows, columns = window
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    near = [place for place in theirs if _meets(parts[place], rows, columns)]
    for one in own:
        entry = parts[one]
        if _meets(entry, rows, columns):
            for two in near:
                other = parts[two]
                if other.index == entry.index and overlap(entry, other, rows, columns) >= same:
                    yield min(entry.score, other.score), one, two


def _meets(entry: Instance, rows: slice, columns: slice) -> bool:
    """Tell whether the bounding box of an object reaches into a window."""
    down = entry.top < rows.stop and entry.rows.stop > rows.start
    return down and entry.left < columns.stop and entry.columns.stop > columns.start


def _groups(blocks: Sequence[range], pairs: Sequence[tuple[float, int, int]]) -> list[list[int]]:
    """Join pairs, the surest first. A block shows an object once, so two of its parts are never joined.

    A pair of low score changes nothing about those of higher scores in the same blocks.
    """
    groups = [{block: place} for block, places in enumerate(blocks) for place in places]
    for _, one, two in sorted(pairs, reverse=True):
        ours, theirs = groups[one], groups[two]
        if ours.keys().isdisjoint(theirs):
            ours |= theirs
            for place in theirs.values():
                groups[place] = ours
    return [sorted(group.values()) for place, group in enumerate(groups) if place == min(group.values())]


def _whole(group: Sequence[Instance], order: Sequence[int]) -> Instance:
    """Put the parts of one object together, with the index of its class."""
    score = max(entry.score for entry in group)
    return replace(reduce(union, group), index=order[group[0].index], score=score)
