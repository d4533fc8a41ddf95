"""What a split must keep together: groups, near-duplicates, and contiguous blocks of frames. Knows no class.

A sequence that is cut, because there are too few to keep each whole, is cut into few contiguous blocks, each at the
least similar pair of frames near its even place. Where two blocks come to different parts, frames at the border are
left out until the nearest frames that stay are no more alike than neighbours of a sequence have to be
(`sequences.MEDIAN`), and at most a quarter of the shorter block.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from maskwright.data.sequences import MEDIAN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from maskwright.core.records import Record, Split
    from maskwright.data.sequences import Frames
    from maskwright.data.similarity import SimilarityIndex

Strictness = Literal["similar", "identical", "groups"]
STRICTNESS: tuple[Strictness, ...] = ("similar", "identical", "groups")
"""From the strictest: near-duplicates stay together, only the same pixels do, only groups do."""
_MOST_LEFT_OUT = 0.25


def clusters(
    records: Sequence[Record], similarity: SimilarityIndex, strictness: Strictness, cut: Frames, block: int
) -> list[list[int]]:
    """Return the sets of records that must stay on one side, as lists of indices, in the order of the records.

    Args:
        records: sorted by id.
        similarity: of the records; one that is not in it is like no other.
        strictness: see `STRICTNESS`.
        cut: sequences that are cut into blocks although they are groups.
        block: about so many frames of these stay together.
    """
    links = _Links(len(records))
    places = {record.id: place for place, record in enumerate(records)}
    first: dict[str, int] = {}
    for place, record in enumerate(records):
        if record.group is not None and record.group not in cut:
            links.join(first.setdefault(record.group, place), place)
    for frames in cut.values():
        here = [name for name in frames if name in places]
        for part in _blocks(here, similarity.centred(list(pairwise(here))), block):
            for name in part[1:]:
                links.join(places[part[0]], places[name])
    pairs = {"similar": similarity.near_duplicates, "identical": similarity.identical, "groups": []}[strictness]
    for one, other in pairs:
        if one in places and other in places:
            group = records[places[one]].group
            if group not in cut or group != records[places[other]].group:
                links.join(places[one], places[other])
    return links.sets()


def borders(cut: Frames, sides: Mapping[str, Split], similarity: SimilarityIndex) -> set[str]:
    """Return the frames to leave out, so that neighbours are not on two sides.

    Args:
        cut: sequences that were cut.
        sides: part of each record, by id.
        similarity: of the records.
    """
    left_out: set[str] = set()
    for frames in cut.values():
        here = [name for name in frames if name in sides]
        runs = [list(run) for _, run in groupby(here, key=lambda name: sides[name])]
        for before, after in pairwise(runs):
            longer = before[::-1] if len(before) >= len(after) else after
            fixed = after[0] if len(before) >= len(after) else before[-1]
            most = int(_MOST_LEFT_OUT * min(len(before), len(after)))
            alike = similarity.centred([(name, fixed) for name in longer[: most + 1]])
            unlike = np.flatnonzero(~(alike >= MEDIAN))
            left_out.update(longer[: int(unlike[0]) if len(unlike) else most])
    return left_out


def _blocks(frames: list[str], alike: NDArray[np.float32], block: int) -> list[list[str]]:
    """Cut a sequence into blocks of about `block`, each at the least similar neighbours within a quarter block."""
    count = max(1, round(len(frames) / block))
    reach = len(frames) // (4 * count)
    cuts = [0]
    for step in range(1, count):
        even = round(step * len(frames) / count)
        near = range(max(even - reach, cuts[-1] + 1), min(even + reach, len(frames) - 1) + 1)
        known = [place for place in near if not np.isnan(alike[place - 1])]
        cuts.append(min(known, key=lambda place: (alike[place - 1], abs(place - even), place)) if known else even)
    cuts.append(len(frames))
    return [frames[start:stop] for start, stop in pairwise(cuts) if stop > start]


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
