"""Raw maps to activated maps, group by group, and the effect of flips and resizing on vectors. Knows no network."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from maskwright.core.channels import places
from maskwright.ops.instance_maps import kept

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from maskwright.core.channels import Activation, Channels
    from maskwright.core.instances import Instance
    from maskwright.tasks import Block


def activated(raw: Tensor, groups: Sequence[Channels]) -> Tensor:
    """Apply each group's activation to raw maps (N, C, h, w); float32."""
    if len(groups) == 1:
        return _activated(raw, groups[0].activation)
    parts = raw.split([group.count for group in groups], dim=1)
    return torch.cat([_activated(part, group.activation) for part, group in zip(parts, groups, strict=True)], dim=1)


def flipped(maps: Tensor, groups: Sequence[Channels]) -> Tensor:
    """Flip maps (N, C, h, w) left to right; the x component of a vector changes its sign."""
    maps = maps.flip(-1)
    for group in groups:
        if group.vector:
            maps[:, places(groups)[group.name].start].neg_()
    return maps


def rescaled(maps: Tensor, groups: Sequence[Channels], working: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Bring vectors of maps (C, h, w), in pixels of the working resolution, to pixels of the image.

    Args:
        maps: changed in place.
        groups: of the maps.
        working: (height, width) that the network saw.
        size: (height, width) of the image.
    """
    if working != size:
        for group in groups:
            if group.vector:
                x = places(groups)[group.name].start
                maps[x].mul_(size[1] / working[1])
                maps[x + 1].mul_(size[0] / working[0])
    return maps


def blanked(block: Block, gone: Callable[[slice, slice], NDArray[np.bool_] | None]) -> Block:
    """Set the maps of the pixels without data to NaN, and cut them out of objects: nothing is known there.

    Args:
        block: changed in place.
        gone: (rows, columns) -> the pixels (h, w) there that have no data; None where all have some.
    """
    if block.objects is not None:
        return replace(block, objects=kept(block.objects, lambda entry: _known(entry, gone)))
    holes = gone(block.rows, block.columns)
    if holes is not None:
        block.maps[:, torch.from_numpy(holes).to(block.maps.device)] = torch.nan
    return block


def _known(entry: Instance, gone: Callable[[slice, slice], NDArray[np.bool_] | None]) -> NDArray[np.bool_]:
    holes = gone(entry.rows, entry.columns)
    return entry.mask if holes is None else entry.mask & ~holes


def _activated(raw: Tensor, activation: Activation) -> Tensor:
    if activation == "softmax":
        return raw.softmax(dim=1)
    return raw.sigmoid() if activation == "sigmoid" else raw.clone()
