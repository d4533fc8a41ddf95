"""COCO run-length codes of masks, encoded by pycocotools. Knows no file and no class.

A code is `{"size": [height, width], "counts": text}`: the lengths of alternating runs of 0 and 1, column by column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools import mask as coco

from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

LARGEST = 2**32 - 1
"""Most pixels of a mask: runs are 32-bit numbers in pycocotools."""


def encode(mask: NDArray[Any], size: tuple[int, int] | None = None, origin: tuple[int, int] = (0, 0)) -> dict[str, Any]:
    """Encode a mask (h, w), in which every value but 0 is inside, or a part of a larger mask.

    Args:
        mask: the mask, or the part of it around one object.
        size: (H, W) of the whole mask, which is outside beyond `mask`; None for that of `mask`.
        origin: (row, column) of `mask` in the whole mask. The time depends on the size of `mask` only.

    Returns:
        `{"size": [H, W], "counts": str}`, of types that JSON can hold.

    Raises:
        MaskwrightError: a run could be longer than pycocotools can hold.
    """
    height, width = size or mask.shape[:2]
    if height * width > LARGEST:
        raise MaskwrightError(
            f"a mask of {width}x{height} = {height * width:,} pixels has no run-length code, since pycocotools reads "
            f"codes of up to {LARGEST:,} pixels: save outlines, as geojson or gpkg"
        )
    top, left = origin
    assert top + mask.shape[0] <= height, (origin, mask.shape, size)
    assert left + mask.shape[1] <= width, (origin, mask.shape, size)
    padded = np.zeros((mask.shape[1], mask.shape[0] + 2), np.int8)
    padded[:, 1:-1] = (mask != 0).T
    column, row = np.nonzero(np.diff(padded, axis=1))
    edges = (column + left).astype(np.int64) * height + row + top
    # A run that reaches the bottom of a column continues at the top of the next, where its two edges cancel out.
    places, times = np.unique(edges, return_counts=True)
    places = places[times == 1]
    places = np.concatenate([[0], places[places < height * width], [height * width]])
    code = coco.frPyObjects({"size": [height, width], "counts": np.diff(places).tolist()}, height, width)
    return {"size": [int(height), int(width)], "counts": code["counts"].decode("ascii")}


def decode(code: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Decode a run-length code with compressed (str, bytes) or plain (list of int) counts.

    Returns:
        The mask (H, W).

    Raises:
        MaskwrightError: the runs do not fill the given size, or are not valid runs.
    """
    height, width = _size(code)
    runs = _filling_runs(code)
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def area(code: Mapping[str, Any]) -> int:
    """Return the number of pixels inside the mask.

    Raises:
        MaskwrightError: as `decode`.
    """
    return sum(_filling_runs(code)[1::2])


def box(code: Mapping[str, Any]) -> tuple[int, int, int, int] | None:
    """Return (left, top, right, bottom) of the pixels inside the mask, the last two exclusive; None without any.

    Raises:
        MaskwrightError: as `decode`.
    """
    height, _ = _size(code)
    ends = np.cumsum(_filling_runs(code))
    first, last = ends[: len(ends) // 2 * 2 : 2], ends[1::2] - 1
    first, last = first[first <= last], last[first <= last]
    if not len(first):
        return None
    whole = first // height != last // height
    top = 0 if whole.any() else int((first % height).min())
    bottom = height if whole.any() else int((last % height).max()) + 1
    return int(first[0] // height), top, int(last[-1] // height) + 1, bottom


def tears(code: Mapping[str, Any]) -> tuple[int, int]:
    """Count the runs inside the mask that seem torn off, if the runs follow columns and if they follow rows.

    A run is torn if it goes on at the other side of the image, from the lower end of a column to the upper end of the
    next, or if no run beside it touches it, not even at a corner. Runs as long as a side or longer are not counted.

    Returns:
        The counts for columns and for rows.

    Raises:
        MaskwrightError: as `decode`.
    """
    sides = _size(code)
    ends = np.cumsum(_filling_runs(code))
    starts, stops = ends[: len(ends) // 2 * 2 : 2], ends[1::2]
    filled = stops > starts
    starts, stops = starts[filled], stops[filled]
    short = stops - starts < min(sides)
    down, along = (int((_torn(starts, stops, side) & short).sum()) for side in sides)
    return down, along


def _torn(starts: NDArray[np.int64], stops: NDArray[np.int64], side: int) -> NDArray[np.bool_]:
    """Tell which runs are torn, if a line of the image is `side` pixels long."""
    alone = np.ones(len(starts), bool)
    for step in (-side, side):  # the run at the same place in the line before, or in the next
        other = np.searchsorted(stops, starts + step - 1, side="right").clip(max=len(starts) - 1)
        alone &= (stops[other] <= starts + step - 1) | (starts[other] >= stops + step + 1)
    return alone | ((stops - 1) // side > starts // side)


def transposed(code: Mapping[str, Any]) -> dict[str, Any]:
    """Return the code of the transposed mask, for a code whose runs follow rows.

    Raises:
        MaskwrightError: it has no size.
    """
    height, width = _size(code)
    return {**code, "size": [width, height]}


def _filling_runs(code: Mapping[str, Any]) -> list[int]:
    """Return the runs, which fill the mask."""
    height, width = _size(code)
    runs = _runs(code["counts"])
    if min(runs, default=0) < 0:
        raise MaskwrightError(
            f"a run-length code holds a run of {min(runs)} pixels, but a run has 0 or more: it is damaged"
        )
    if sum(runs) != height * width:
        raise MaskwrightError(
            f"a run-length code of {sum(runs)} pixels does not fill {width}x{height} = {height * width}: "
            "it is truncated, or its size is [width, height] instead of [height, width]"
        )
    return runs


def _size(code: Mapping[str, Any]) -> tuple[int, int]:
    try:
        height, width = (int(side) for side in code["size"])
        _ = code["counts"]
    except (KeyError, TypeError, ValueError):
        raise MaskwrightError(f'{dict(code)} is not a run-length code: it needs "size": [h, w] and "counts"') from None
    if height < 1 or width < 1:
        raise MaskwrightError(f"a run-length code has the size {width}x{height}, but both sides must be at least 1")
    return height, width


def _runs(counts: object) -> list[int]:
    """Return the runs; compressed ones are decoded here because pycocotools does not check its input."""
    if isinstance(counts, str):
        counts = counts.encode()
    if isinstance(counts, bytes):
        return _decompress(counts)
    if isinstance(counts, list) and all(isinstance(run, int) for run in counts):
        return counts
    raise MaskwrightError(
        f"the counts of a run-length code are {type(counts).__name__}: give text or a list of integers"
    )


def _decompress(counts: bytes) -> list[int]:
    """Decode COCO's variable-length numbers: 5 bits a byte, bit 6 for "more", from the third on as differences."""
    runs: list[int] = []
    value = shift = 0
    for byte in counts:
        bits = byte - 48
        if not 0 <= bits < 64:
            raise MaskwrightError(f"the counts of a run-length code hold the byte {byte}, but only 48..111 are valid")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise MaskwrightError("the counts of a run-length code end in the middle of a number: the text is truncated")
    return runs
