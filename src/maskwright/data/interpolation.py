"""Whether a map of object ids was interpolated: resized with smoothing, or drawn with soft edges. Opens no file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# After interpolation 0.28 to 0.75 of the steps between pixels go on to the next pixel; in maps of nuclei and of people
# at most 0.007.
_SHARE = 0.2
# It makes most of the ids of such a map. The lines that some tools draw around objects have one id.
_IDS = 0.5


def interpolated(ids: NDArray[Any], *, colors: bool) -> bool:
    """Tell whether most edges of a map pass through ids that lie between those on both sides.

    Args:
        ids: integers (H, W).
        colors: they are R + 256 G + 65536 B, and each channel of a colour lies between.
    """
    steps = passed = 0
    made: list[NDArray[Any]] = []
    for lines in (ids, ids.T):
        changes = lines[:, 1:] != lines[:, :-1]
        steps += int(np.count_nonzero(changes))
        rows, columns = np.nonzero(changes[:, 1:] & changes[:, :-1])
        before, at, after = (_channels(lines[rows, columns + place], colors=colors) for place in range(3))
        between = ((np.minimum(before, after) <= at) & (at <= np.maximum(before, after))).all(axis=0)
        passed += int(np.count_nonzero(between))
        made.append(lines[rows, columns + 1][between])
    if passed <= _SHARE * steps or steps > ids.size:  # random ids, where most neighbours differ, step alike
        return False
    return len(np.unique(np.concatenate(made))) > _IDS * len(np.unique(ids))


def _channels(ids: NDArray[Any], *, colors: bool) -> NDArray[Any]:
    """Return (1, n) of ids (n,), or (3, n) of colours."""
    return np.stack([ids >> shift & 0xFF for shift in (0, 8, 16)]) if colors else ids[None]
