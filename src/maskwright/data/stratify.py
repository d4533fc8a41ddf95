"""Stratified assignment of clusters to parts: each part gets its size and each class. Greedy; knows only numbers.

After Sechidis et al., "On the Stratification of Multi-Label Data" (ECML 2011), section 3: the rarest class is assigned
first. Here clusters of images are assigned instead of single images, and two rules are added: a part without any image
of the class comes first; at the end, clusters of equal size are exchanged where that gives a part a class that it lacks
and no part loses a class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def part_targets(count: int, shares: Sequence[float]) -> list[int]:
    """Divide `count` images by `shares` into whole numbers, by largest remainder; no part with a share stays empty.

    Args:
        count: images, at least as many as there are positive shares.
        shares: of the parts, sum 1.
    """
    exact = [share * count for share in shares]
    targets = [int(value + 1e-9) for value in exact]
    by_remainder = sorted(range(len(shares)), key=lambda part: (targets[part] - exact[part], part))
    for part in by_remainder[: count - sum(targets)]:
        targets[part] += 1
    for part, share in enumerate(shares):
        if share > 0 and targets[part] == 0:
            targets[int(np.argmax(targets))] -= 1
            targets[part] = 1
    return targets


def assign(
    presence: NDArray[np.int64], sizes: NDArray[np.int64], targets: Sequence[int], order: NDArray[np.int64]
) -> list[int]:
    """Give each cluster a part.

    Args:
        presence: (clusters, classes) images of the cluster that show the class.
        sizes: (clusters,) images of the cluster.
        targets: images that each part should get.
        order: (clusters,) a permutation that breaks ties: the only influence of the seed.

    Returns:
        The part, 0..parts-1, of each cluster. No part with a target stays empty if there are enough clusters.
    """
    state = _Assignment(presence, sizes, np.asarray(targets, np.float64))
    rank = np.argsort(order)
    smallest = min(target for target in targets if target > 0)
    giants = [cluster for cluster in range(len(sizes)) if sizes[cluster] > smallest]
    for cluster in sorted(giants, key=lambda entry: (-sizes[entry], rank[entry])):
        state.give(cluster, int(np.argmax(state.room)))  # first, while there is room for them
    clusters_with = np.count_nonzero(presence, axis=0)
    for index in sorted(range(presence.shape[1]), key=lambda entry: (clusters_with[entry], entry)):
        having = [cluster for cluster in state.open() if presence[cluster, index]]
        for cluster in sorted(having, key=lambda entry: (-presence[entry, index], rank[entry])):
            state.give(cluster, state.neediest(cluster, index))
    for cluster in sorted(state.open(), key=lambda entry: (-sizes[entry], rank[entry])):
        state.give(cluster, int(np.argmax(state.room)))
    state.fill_empty()
    state.exchange()
    return state.part.tolist()


class _Assignment:
    """The clusters assigned so far, and what each part has and still wants."""

    def __init__(self, presence: NDArray[np.int64], sizes: NDArray[np.int64], targets: NDArray[np.float64]) -> None:
        self.presence, self.sizes, self.targets = presence, sizes, targets
        self.part = np.full(len(sizes), -1)
        self.room = np.where(targets > 0, targets, -np.inf)
        self.has = np.zeros((len(targets), presence.shape[1]), np.int64)
        self.wants = np.outer(targets / targets.sum(), presence.sum(axis=0))

    def open(self) -> list[int]:
        """Return the clusters without a part."""
        return np.flatnonzero(self.part < 0).tolist()

    def give(self, cluster: int, part: int) -> None:
        """Assign a cluster to a part."""
        self.part[cluster] = part
        self.room[part] -= self.sizes[cluster]
        self.has[part] += self.presence[cluster]

    def neediest(self, cluster: int, index: int) -> int:
        """Return the part with room that has no image of class `index` (largest first), or else needs it most."""
        fits = self.room >= self.sizes[cluster] / 2
        if not fits.any():
            return int(np.argmax(self.room))
        lacking = fits & (self.has[:, index] == 0)
        if lacking.any():
            return int(np.argmax(np.where(lacking, self.targets, -np.inf)))
        need = self.wants[:, index] - self.has[:, index]
        keys = [(need[part], self.room[part]) if fits[part] else (-np.inf, -np.inf) for part in range(len(self.room))]
        return max(range(len(keys)), key=lambda part: keys[part])

    def fill_empty(self) -> None:
        """Move the smallest cluster of the fullest part into each part that is empty and should not be."""
        for part in np.flatnonzero(self.targets > 0):
            if (self.part == part).any():
                continue
            clusters = np.bincount(self.part, minlength=len(self.targets))
            donors = [other for other in range(len(self.targets)) if clusters[other] > 1]
            if not donors:
                return
            donor = max(donors, key=lambda other: self.has[other].sum() + clusters[other])
            members = np.flatnonzero(self.part == donor)
            moved = int(members[np.argmin(self.sizes[members])])
            self.has[donor] -= self.presence[moved]
            self.room[donor] += self.sizes[moved]
            self.give(moved, int(part))

    def exchange(self) -> None:
        """Exchange clusters of equal size where that gives a part a class that it lacks."""
        for part, index in np.argwhere(self.has == 0).tolist():
            if self.targets[part] > 0 and self.has[part, index] == 0:
                self._exchange(part, index)

    def _exchange(self, part: int, index: int) -> None:
        """Exchange a cluster with the class for one without it, if no part loses a class."""
        here = np.flatnonzero(self.part == part)
        for coming in np.flatnonzero((self.part != part) & (self.presence[:, index] > 0)):
            there = int(self.part[coming])
            going = here[self.sizes[here] == self.sizes[coming]]
            change = self.presence[coming] - self.presence[going]
            kept = ((self.has[part] == 0) | (self.has[part] + change > 0)).all(axis=1)
            kept &= ((self.has[there] == 0) | (self.has[there] - change > 0)).all(axis=1)
            if kept.any():
                leaving = int(going[np.argmax(kept)])
                for cluster, goal in ((leaving, there), (int(coming), part)):
                    self.has[self.part[cluster]] -= self.presence[cluster]
                    self.room[self.part[cluster]] += self.sizes[cluster]
                    self.give(cluster, goal)
                return
