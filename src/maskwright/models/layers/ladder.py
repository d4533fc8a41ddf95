"""The way up from the coarsest level to the finest: which stride comes next, and what stands beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.models.backbones.base import pyramid_levels

if TYPE_CHECKING:
    from collections.abc import Sequence


def ladder(reductions: Sequence[int], finest: int) -> tuple[int, list[tuple[int, int | None]]]:
    """Plan the steps: one a level of the backbone, then one a halving of the stride, down to `finest`.

    Args:
        reductions: of the backbone, ascending.
        finest: stride to end at, or the next coarser one that halving leads to.

    Returns:
        the deepest level, and for each step its stride and the level beside it, None where there is none.
    """
    *fine, deepest = pyramid_levels(reductions, finest)
    steps: list[tuple[int, int | None]] = [(reductions[level], level) for level in reversed(fine)]
    stride = steps[-1][0] if steps else reductions[deepest]
    while stride >= 2 * finest:
        stride //= 2
        steps.append((stride, None))
    return deepest, steps
