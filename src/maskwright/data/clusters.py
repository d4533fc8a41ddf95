"""What a split must not tear apart: groups, near-duplicates, and neighbouring frames of a video. Knows no class.

Frames of a video are cut, not kept whole: one film often is all there is. Names that differ only in a running number
are a sequence (`0016E5_07959.png`: sequence `0016E5_`); when neighbours in such sequences also look alike, it is a
video. A video is cut into few contiguous blocks, each at the least similar pair of frames near its even place, so
near-duplicates meet across a border only where a cut had to be. Photographs that a camera merely numbered stay single.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from maskwright.data.similarity import Likeness

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from maskwright.core.records import Record
    from maskwright.data.similarity import Look

Strictness = Literal["similar", "identical", "groups"]
LADDER: tuple[Strictness, ...] = ("similar", "identical", "groups")
_NUMBERED = re.compile(r"^(.*?)(\d+)(\.[^./]*)?$")
_VIDEO = 0.5  # median correlation of neighbours: driving 0.75 and 0.99; numbered photographs -0.04 to 0.23
_FEWEST_FRAMES = 8


@dataclass(frozen=True)
class Gallery:
    """The likeness of those records that were looked at.

    Attributes:
        likeness: of the images seen.
        index: place in `likeness` by record id.
        pairs: near-duplicates, as pairs of places.
        identical: the same pixels, as pairs of places.
    """

    likeness: Likeness
    index: Mapping[str, int]
    pairs: tuple[tuple[int, int], ...]
    identical: tuple[tuple[int, int], ...]

    def id_pairs(self, *, identical_only: bool = False) -> list[tuple[str, str]]:
        """Return the pairs as record ids."""
        names = list(self.index)
        return [(names[i], names[j]) for i, j in (self.identical if identical_only else self.pairs)]


def gallery(looks: Mapping[str, Look]) -> Gallery:
    """Compare all looks (record id -> look) with one another; the order of `looks` does not matter."""
    names = sorted(looks)
    likeness = Likeness([looks[name] for name in names])
    index = {name: place for place, name in enumerate(names)}
    return Gallery(likeness, index, tuple(likeness.pairs()), tuple(likeness.identical()))


def clusters(records: Sequence[Record], seen: Gallery, block: int, strictness: Strictness) -> list[list[int]]:
    """Return the sets of records that must stay on one side, as lists of indices, in the order of the records.

    Args:
        records: sorted by id.
        seen: their looks; a record without one is like no other.
        block: about so many frames of a video stay together.
        strictness: `similar` keeps near-duplicates together, `identical` only the same pixels, `groups` only groups.
    """
    links = _Links(len(records))
    first: dict[str, int] = {}
    for place, record in enumerate(records):
        if record.group is not None:
            links.join(first.setdefault(record.group, place), place)
    places = {record.id: place for place, record in enumerate(records)}
    blocks = _video_blocks(records, seen, block)
    for members in blocks:
        for place in members[1:]:
            links.join(members[0], place)
    if strictness != "groups":
        video = {place: records[place].id for members in blocks for place in members}
        for one, other in seen.id_pairs(identical_only=strictness == "identical"):
            if one not in places or other not in places:
                continue
            i, j = places[one], places[other]
            if i in video and j in video and _sequence(one)[0] == _sequence(other)[0]:
                continue
            links.join(i, j)
    return links.sets()


def _sequence(name: str) -> tuple[str | None, int]:
    """Split a record id into what stays the same along a sequence, and the running number."""
    match = _NUMBERED.match(name)
    return (f"{match[1]}#{match[3] or ''}", int(match[2])) if match else (None, 0)


def _video_blocks(records: Sequence[Record], seen: Gallery, block: int) -> list[list[int]]:
    """Return contiguous blocks of all sequences, or nothing when neighbours look no more alike than others."""
    numbered: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for place, record in enumerate(records):
        prefix, number = _sequence(record.id)
        if prefix is not None:
            numbered[prefix].append((number, place))
    sequences = [[place for _, place in sorted(members)] for _, members in sorted(numbered.items()) if len(members) > 1]
    likeness = {id(members): _neighbours(records, members, seen) for members in sequences}
    known = [value for values in likeness.values() for value in values if value is not None]
    if len(known) + 1 < _FEWEST_FRAMES or float(np.median(known)) < _VIDEO:
        return []
    return [part for members in sequences for part in _cut(members, likeness[id(members)], block)]


def _neighbours(records: Sequence[Record], members: list[int], seen: Gallery) -> list[float | None]:
    """Return how alike each member and the next one are; None where one was not looked at."""
    places = [seen.index.get(records[member].id) for member in members]
    return [
        None if one is None or other is None else seen.likeness.centred(one, other) for one, other in pairwise(places)
    ]


def _cut(members: list[int], likeness: list[float | None], block: int) -> list[list[int]]:
    """Cut a sequence into blocks of about `block`, each cut at the least similar neighbours within a quarter block."""
    count = max(1, round(len(members) / block))
    reach = len(members) // (4 * count)
    cuts = [0]
    for step in range(1, count):
        even = round(step * len(members) / count)
        near = range(max(even - reach, cuts[-1] + 1), min(even + reach, len(members) - 1) + 1)
        known = [cut for cut in near if likeness[cut - 1] is not None]
        cuts.append(min(known, key=lambda cut: (likeness[cut - 1], abs(cut - even), cut)) if known else even)
    cuts.append(len(members))
    return [members[start:stop] for start, stop in pairwise(cuts) if stop > start]


class _Links:
    """Union-find over 0..count-1."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def _root(self, place: int) -> int:
        while self._parent[place] != place:
            self._parent[place] = self._parent[self._parent[place]]
            place = self._parent[place]
        return place

    def join(self, one: int, other: int) -> None:
        """Put both on one side."""
        low, high = sorted((self._root(one), self._root(other)))
        self._parent[high] = low

    def sets(self) -> list[list[int]]:
        """Return all sets, by their smallest member."""
        members: dict[int, list[int]] = defaultdict(list)
        for place in range(len(self._parent)):
            members[self._root(place)].append(place)
        return [members[root] for root in sorted(members)]
