"""Probabilities of the frames of a video, smoothed along the motion, and how much the labels flicker.

Each frame's probabilities are averaged with the smoothed ones of the frame before, moved by optical flow:
s_t = (1 - a w) p_t + a w warp(s_{t-1}), a = `STRENGTH`. The weight w (`ops.flow.agreement`) is near 1 where the moved
frame looks like this one, and near 0 where something appeared, the flow is wrong, or the scene changed.

Flicker is the share of pixels whose label differs from that of the frame before at the place where they were, among
pixels with w above one half. It is one minus the pixel accuracy of two label maps that Liu et al. 2020, "Efficient
Semantic Video Segmentation with Per-frame Inference", compare by IoU as temporal consistency.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from maskwright.ops.flow import agreement, moved_labels, origins
from maskwright.tasks import Block
from maskwright.tasks.label_map import decide

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray
    from torch import Tensor

STRENGTH = 0.7
CUT = 0.3  # mean weight below which two frames are of different scenes


class Flicker(NamedTuple):
    """Shares of pixels whose label changes along the motion, 0..1: as predicted, and smoothed."""

    before: float
    after: float


class _Seen(NamedTuple):
    """The frame before: RGB (H, W, 3), smoothed maps (C, H, W), labels (H, W) as predicted and smoothed."""

    picture: NDArray[np.uint8]
    maps: Tensor
    raw: NDArray[np.uint8]
    smooth: NDArray[np.uint8]


class Smoother:
    """Smooths the maps of one frame after another.

    Args:
        strength: a, from 0 (as predicted) to below 1.
    """

    def __init__(self, strength: float = STRENGTH) -> None:
        self._strength = strength
        self._before: _Seen | None = None
        self._changed = np.zeros(2, np.int64)
        self._compared = 0

    def smoothed(self, picture: NDArray[np.uint8], blocks: Iterable[Block]) -> Iterator[Block]:
        """Yield one block with the smoothed maps of a frame.

        Args:
            picture: RGB (H, W, 3).
            blocks: of class probabilities, which cover the frame once.
        """
        maps = _whole(blocks, (picture.shape[0], picture.shape[1]))
        raw = decide(maps)[0]
        before = self._before
        places = weights = None
        if before is not None and before.maps.shape == maps.shape:
            places = origins(picture, before.picture)
            weights = agreement(picture, before.picture, places)
            if weights.mean() >= CUT:
                share = torch.from_numpy(weights * np.float32(self._strength)).to(maps.device)
                maps = torch.lerp(maps, moved(before.maps, places), share)
        labels = decide(maps)[0]
        if before is not None and places is not None and weights is not None:
            self._count(weights > 0.5, [before.raw, before.smooth], [raw, labels], places)
        self._before = _Seen(picture, maps, raw, labels)
        yield Block(slice(0, maps.shape[1]), slice(0, maps.shape[2]), maps)

    @property
    def flicker(self) -> Flicker | None:
        """The flicker of all frames so far; None where no two could be compared."""
        if not self._compared:
            return None
        before, after = (self._changed / self._compared).tolist()
        return Flicker(before, after)

    def _count(
        self,
        seen: NDArray[np.bool_],
        before: list[NDArray[np.uint8]],
        now: list[NDArray[np.uint8]],
        places: NDArray[np.float32],
    ) -> None:
        """Count the pixels `seen` in both frames whose label changed, as predicted and smoothed."""
        for kind, (old, new) in enumerate(zip(before, now, strict=True)):
            self._changed[kind] += np.count_nonzero(seen & (moved_labels(old, places) != new))
        self._compared += int(np.count_nonzero(seen))


def moved(maps: Tensor, places: NDArray[np.float32]) -> Tensor:
    """Return maps (C, H, W) at places (H, W, 2) in pixels, linearly between them, and as at the border outside."""
    height, width = maps.shape[1:]
    scale = torch.tensor([2 / max(1, width - 1), 2 / max(1, height - 1)])
    grid = (torch.from_numpy(places) * scale - 1).to(maps)
    return F.grid_sample(maps[None], grid[None], padding_mode="border", align_corners=True)[0]


def _whole(blocks: Iterable[Block], size: tuple[int, int]) -> Tensor:
    """Put blocks together to maps (C, height, width)."""
    maps: Tensor | None = None
    for block in blocks:
        if maps is None:
            maps = block.maps.new_empty((len(block.maps), *size))
        maps[:, block.rows, block.columns] = block.maps
    assert maps is not None
    return maps
