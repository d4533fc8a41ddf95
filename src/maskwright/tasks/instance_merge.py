"""From the objects of overlapping blocks to those of the image: what several blocks show comes out once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.instances import Instances
from maskwright.ops.boxes import overlapping
from maskwright.ops.instance_maps import common_pixels
from maskwright.ops.instance_parts import overlap, united, without_specks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from maskwright.core.instances import Instance
    from maskwright.tasks.block import Block

SAME = 0.5
"""Objects of two blocks are the same if their IoU, where both blocks see, is at least this."""
LARGE = 0.1
"""Least size, as a share of the largest one, of the connected parts that show whether objects of two blocks are the
same: where the blocks overlap, an object may have nothing but a few stray pixels."""
CUT = 0.9
"""If only larger parts belong to an object, those are compared that have nearly (this share of) the size, since a block
may cut a part. F1 of people in mosaics of 2x2 photographs, whose network keeps the largest part of each: 0.73 if all
parts are compared, 0.76 by `LARGE` alone, 0.82 by both (0.83 in the photographs)."""


def merged(
    blocks: Iterable[Block],
    size: tuple[int, int],
    order: Sequence[int],
    least: float = 0.0,
    part: float = 0.0,
    same: float = SAME,
) -> Instances:
    """Merge the objects of all blocks. No more is held than is returned, and what a later block may still continue.

    Args:
        blocks: with objects, whose `index` is a row of the network's classes. They come from the top to the bottom.
        size: (height, width) of the image.
        order: class index of each row.
        least: least score of an object, which is that of its best part.
        part: least size of a connected part of an object, as a share of its largest one.
        same: least IoU, inside the overlap of two blocks, of the parts of one object.

    Returns:
        The objects, from the highest score to the lowest; the score of a merged one is the highest of its parts.
    """
    found: list[tuple[float, int, Instance]] = []
    for first, pieces in _objects(blocks, size[0], _Merge(same, max(CUT * part, LARGE))):
        score = max(piece.score for piece in pieces)
        if score >= least:
            whole = replace(without_specks(united(pieces), part), index=order[pieces[0].index], score=score)
            found.append((-score, first, whole))
    return Instances(size, tuple(entry for _, _, entry in sorted(found, key=lambda one: one[:2])))


def without_doubles(found: Instances, most: float) -> Instances:
    """Leave out the less certain of any two objects of one class that are too much alike.

    Args:
        found: from the highest score to the lowest.
        most: largest IoU of two objects; with 1 all stay.
    """
    if most >= 1:
        return found
    rows = [(one.top, one.left, one.rows.stop, one.columns.stop, one.index, one.area) for one in found.objects]
    numbers = np.array(rows, np.int64).reshape(-1, 6)
    better, other = overlapping(numbers[:, :4], numbers[:, :4]).T
    index, area = numbers[:, 4], numbers[:, 5]
    smaller, larger = np.minimum(area[better], area[other]), np.maximum(area[better], area[other])
    near = (better < other) & (index[better] == index[other]) & (smaller > most * larger)  # no IoU is above this ratio
    kept = [True] * len(found)
    for first, second in zip(better[near].tolist(), other[near].tolist(), strict=True):
        if kept[first] and kept[second]:
            shared = common_pixels(found.objects[first], found.objects[second])
            kept[second] = shared <= most * (area[first] + area[second] - shared)
    return replace(found, objects=tuple(entry for entry, stays in zip(found.objects, kept, strict=True) if stays))


def _objects(blocks: Iterable[Block], height: int, merge: _Merge) -> Iterator[tuple[int, list[Instance]]]:
    """Yield each object as its parts, with the place of the first among the parts of all objects."""
    for block in blocks:
        yield from merge.finished(block.rows.start)
        merge.add(block)
    yield from merge.finished(height)


class _Merge:
    """The parts of objects that are not complete, by their places among all parts, and which show the same object.

    Args:
        same: see `merged`.
        large: least size of the parts that are compared, as a share of the largest one.
    """

    def __init__(self, same: float, large: float) -> None:
        self._same, self._large = same, large
        self._parts: dict[int, Instance] = {}
        self._compared: dict[int, Instance] = {}
        self._block_of: dict[int, int] = {}
        self._pairs: list[tuple[float, int, int]] = []
        self._near: list[tuple[Block, range]] = []
        self._blocks = self._count = self._top = 0

    def add(self, block: Block) -> None:
        """Add the parts that a block shows, and pair them with those of the blocks that it overlaps."""
        assert block.objects is not None
        own = range(self._count, self._count + len(block.objects))
        self._parts.update(zip(own, block.objects.objects, strict=True))
        self._block_of.update(dict.fromkeys(own, self._blocks))
        for other, theirs in self._near:
            if other.columns.start < block.columns.stop and block.columns.start < other.columns.stop:
                self._pairs += self._same_in(_shared(block, other), own, theirs)
        self._near.append((block, own))
        self._count, self._blocks = own.stop, self._blocks + 1

    def finished(self, top: int) -> list[tuple[int, list[Instance]]]:
        """Take out the objects that no block from the row `top` on can continue, as `_objects` yields them."""
        assert top >= self._top, "blocks come from the top to the bottom"
        if top == self._top:
            return []
        self._top = top
        self._near = [(block, places) for block, places in self._near if block.rows.stop > top]
        waiting = self._waiting(top)
        groups = _groups(
            {place: block for place, block in self._block_of.items() if place not in waiting},
            [pair for pair in self._pairs if pair[1] not in waiting],
        )
        self._pairs = [pair for pair in self._pairs if pair[1] in waiting]
        self._block_of = {place: block for place, block in self._block_of.items() if place in waiting}
        for group in groups:
            for place in group:
                self._compared.pop(place, None)
        return [(group[0], [self._parts.pop(place) for place in group]) for group in groups]

    def _waiting(self, top: int) -> set[int]:
        """Return the parts that reach below `top`, with all that pairs link to them."""
        links: dict[int, list[int]] = {}
        for _, one, two in self._pairs:
            links.setdefault(one, []).append(two)
            links.setdefault(two, []).append(one)
        found = {place for place, part in self._parts.items() if part.rows.stop > top}
        ahead = list(found)
        while ahead:
            fresh = set(links.get(ahead.pop(), ())) - found
            found |= fresh
            ahead += fresh
        return found

    def _same_in(self, window: tuple[slice, slice], own: range, theirs: range) -> Iterator[tuple[float, int, int]]:
        """Yield which parts of two blocks agree in a window, each pair after the lower of its scores."""
        near = self._reaching(window, theirs)
        for one in self._reaching(window, own):
            entry = self._compared_of(one)
            for two in near:
                other = self._compared_of(two)
                touching = other.index == entry.index and _meets(entry, other.rows, other.columns)
                if touching and overlap(entry, other, *window) >= self._same:
                    yield min(entry.score, other.score), one, two

    def _reaching(self, window: tuple[slice, slice], places: range) -> list[int]:
        """Return the parts of a block that reach into a window; objects that are complete cannot."""
        near = (place for place in places if place in self._parts and _meets(self._parts[place], *window))
        return [place for place in near if _meets(self._compared_of(place), *window)]

    def _compared_of(self, place: int) -> Instance:
        """Return what is compared of a part."""
        if place not in self._compared:
            self._compared[place] = without_specks(self._parts[place], self._large)
        return self._compared[place]


def _shared(one: Block, two: Block) -> tuple[slice, slice]:
    """Return the rows and columns that both blocks see; they may be empty."""
    rows = slice(max(one.rows.start, two.rows.start), min(one.rows.stop, two.rows.stop))
    return rows, slice(max(one.columns.start, two.columns.start), min(one.columns.stop, two.columns.stop))


def _meets(entry: Instance, rows: slice, columns: slice) -> bool:
    """Tell whether the bounding box of an object reaches into a window."""
    down = entry.top < rows.stop and entry.rows.stop > rows.start
    return down and entry.left < columns.stop and entry.columns.stop > columns.start


def _groups(blocks: Mapping[int, int], pairs: Sequence[tuple[float, int, int]]) -> list[list[int]]:
    """Join pairs, the surest first. A block shows an object once, so two of its parts are never joined.

    A pair of low score changes nothing about those of higher scores in the same blocks.

    Args:
        blocks: of each part.
        pairs: the lower score, and the two parts.
    """
    groups = {place: {block: place} for place, block in blocks.items()}
    for _, one, two in sorted(pairs, reverse=True):
        ours, theirs = groups[one], groups[two]
        if ours.keys().isdisjoint(theirs):
            ours |= theirs
            for place in theirs.values():
                groups[place] = ours
    return [sorted(group.values()) for place, group in groups.items() if place == min(group.values())]
