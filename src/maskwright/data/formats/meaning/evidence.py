"""What the shapes in masks tell about their values: were edges interpolated, does 255 outline regions or fill them?

Reads again some of the masks that the scan chose. Knows no names of classes.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

from maskwright.data.readers import read_mask
from maskwright.ops.instance_maps import pieces

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from maskwright.data.formats.meaning.scan import Held, Scan

_MOST_MASKS = 8
# Interpolation gives at least so many values, and more than half of all values, that lie on edges alone.
_FEWEST_THIN = 5
# Colours that lie between two others in all three channels are rarer than such values.
_FEWEST_THIN_COLORS = 3
# Ids that count from 0 to at most so much were drawn, thin as they may be: layers lie in the order of their ids.
_COUNTED = set(range(16))
_THIN_FLAT = 0.02
_THIN_BETWEEN = 0.9
_DRAWN = 0.2
# Flat areas of values other than the two that a mask of two classes was drawn with are at most so large: a share of
# those of the higher one, or of all.
_OTHERS_TO_HIGH = 0.1
_OTHERS_TO_ALL = 0.001
# The higher of the two has at least so many pixels for each pixel between them: a map of distances has fewer.
_HIGH_SHARE = 0.25
_MOST_SIDE = 2048
# Values are like ids of objects if there are so many, so many in a mask, and this share of them is one region each.
_FEWEST_IDS, _FEWEST_OBJECTS, _ONE_REGION = 8, 4, 0.95
_FEWEST_RUNS = 5
# Fewer values in each mask are like ids if they number its regions from 1, in at least so many masks, and lie elsewhere
# from mask to mask: the standard deviation of their places is at least this share of the side.
_FEWEST_NUMBERED, _ROAMING = 3, 0.15
# A value fills regions if so much of it is left when its regions lose their outermost pixels.
_FILLING = 0.4


class Interpolation(NamedTuple):
    """Masks whose edges were interpolated.

    Attributes:
        values: number of values that lie on edges alone.
        ends: the two values that were drawn; None if there were others.
        drawn: whether there are areas of one value at all, unlike in a photograph.
    """

    values: int
    ends: tuple[int, int] | None
    drawn: bool


def interpolation(scan: Scan, named: Collection[int]) -> Interpolation | None:
    """Tell whether the values that nothing names come from interpolation, as when a mask is resized or anti-aliased.

    Such a value forms no area of its own, and lies between a lower and a higher value. The tail of rare classes, and
    object ids, do not: they lie in the midst of one other value.
    """
    strange = set(scan.values) - set(named)
    if len(strange) < _FEWEST_THIN or scan.values.keys() == set(range(len(scan.values))) <= _COUNTED:
        return None
    pixels: Counter[int] = Counter()
    flat: Counter[int] = Counter()
    between: Counter[int] = Counter()
    for values in _values(sorted(scan.held, key=lambda held: -len(strange & held.values.keys()))[:_MOST_MASKS]):
        low, high = _extremes(values, 5)
        near_low, near_high = _extremes(values, 3)
        pixels.update(_counted(values))
        flat.update(_counted(values[near_low == near_high]))
        between.update(_counted(values[(low < values) & (values < high)]))
    thin = {
        value
        for value, count in pixels.items()
        if value in strange and flat[value] <= _THIN_FLAT * count and between[value] >= _THIN_BETWEEN * count
    }
    if len(thin) < _FEWEST_THIN or 2 * len(thin) <= len(pixels):
        return None
    return Interpolation(len(thin), _ends(pixels, flat), flat.total() > _DRAWN * pixels.total())


def _ends(pixels: Counter[int], flat: Counter[int]) -> tuple[int, int] | None:
    """Return the two values that nearly all flat pixels have, give or take the soft tails of an edge, or None."""
    low, high = min(pixels), max(pixels)
    tail = (high - low) // 8
    drawn = [value for value, _ in flat.most_common()]
    ends = [next((v for v in drawn if abs(v - end) <= tail), end) for end in (low, high)]
    others = sum(count for value, count in flat.items() if min(value - low, high - value) > tail)
    most = _OTHERS_TO_HIGH * sum(count for value, count in flat.items() if high - value <= tail)
    upper = sum(count for value, count in pixels.items() if high - value <= tail)
    middle = sum(count for value, count in pixels.items() if min(value - low, high - value) > tail)
    drawn_with_two = others <= most + _OTHERS_TO_ALL * flat.total() and upper >= _HIGH_SHARE * middle
    return (ends[0], ends[1]) if drawn_with_two else None


def fills_regions(masks: Sequence[Held], value: int) -> bool:
    """Tell whether a value fills regions, and does not only outline those of other values."""
    inner = total = 0
    for values in _values(_spread(masks)):
        shown = (values == value).astype(np.uint8)
        width = 2 * int(np.clip(min(shown.shape) // 100, 1, 3)) + 1
        total += int(shown.sum())
        inner += int(cv2.erode(shown, np.ones((width, width), np.uint8)).sum())
    return inner > _FILLING * total


def like_ids(scan: Scan) -> bool:
    """Tell whether nearly each value but 0 and 255 is one region in its mask, and there are many: as ids of objects.

    There may be few in each mask if they run on from mask to mask.
    """
    shown = [sorted(held.values.keys() - {0, 255}) for held in scan.held]
    many = sum(map(len, shown)) >= _FEWEST_OBJECTS * len(shown) > 0
    if len(scan.values) < _FEWEST_IDS or not (many or _run_on(shown)):
        return False
    regions = [
        cv2.connectedComponents(shown.view(np.uint8), connectivity=8)[0] - 1
        for values in _values(_spread(scan.held))
        for number, _, _, shown in pieces(values)
        if number != 255
    ]
    return regions.count(1) >= _ONE_REGION * max(len(regions), 1)


def like_few_ids(scan: Scan) -> bool:
    """Tell whether a few values number the regions on 0 of nearly each mask, at other places in each, as ids do.

    As classes may do so too, the masks must have more than 8 bits, or as many values as regions, which differ from mask
    to mask, or regions apart from each other and numbered row by row.
    """
    shown = [held.values.keys() for held in scan.held if held.values.keys() - {0}]
    numbered = [len(values) - 1 for values in shown if values == set(range(len(values)))]
    if len(shown) < _FEWEST_NUMBERED or len(numbered) < _ONE_REGION * len(shown) or max(numbered) < 2:
        return False
    wide, differ = scan.wide == scan.indexed, numbered.count(numbered[0]) < _ONE_REGION * len(numbered)
    if max(numbered) < 3 and not (wide and differ):
        return False
    seen = [_numbered_regions(values) for values in _values(_spread(scan.held))]
    whole = [one for regions in seen for one in regions.whole]
    if sum(whole) < _ONE_REGION * max(len(whole), 1) or not _roam([place for one in seen for place in one.places]):
        return False
    return wide or differ or sum(regions.in_rows for regions in seen) >= _ONE_REGION * len(seen)


class _Regions(NamedTuple):
    """The values of a mask: is each one region without a hole, where do they lie, are they numbered row by row?

    `places` are the value and its middle as shares of the sides.
    """

    whole: list[bool]
    places: list[tuple[int, float, float]]
    in_rows: bool


def _numbered_regions(values: NDArray[Any]) -> _Regions:
    whole, places, tops = [], [], []
    for number, top, left, shown in pieces(values):
        inside = np.pad(shown, 1).view(np.uint8)
        whole.append(_count_regions(inside, 8) == _count_regions(1 - inside, 4) == 1)
        rows, columns = np.nonzero(shown)
        places.append((number, (top + rows.mean()) / values.shape[0], (left + columns.mean()) / values.shape[1]))
        tops.append((top, left + columns[0]))
    apart = _count_regions((values > 0).view(np.uint8), 8) == len(whole)
    return _Regions(whole, places, apart and tops == sorted(tops))


def _count_regions(shown: NDArray[np.uint8], connectivity: int) -> int:
    return int(cv2.connectedComponents(shown, connectivity=connectivity)[0]) - 1


def _roam(places: Sequence[tuple[int, float, float]]) -> bool:
    """Tell whether values lie at other places from mask to mask, unlike organs in pictures of one view."""
    numbers, middles = np.array([place[0] for place in places]), np.array([place[1:] for place in places])
    for number in np.unique(numbers):
        middles[numbers == number] -= middles[numbers == number].mean(axis=0)
    return bool(len(middles) and middles.std(axis=0).max() >= _ROAMING)


def _run_on(shown: Sequence[list[int]]) -> bool:
    """Tell whether nearly all masks hold several values without a gap, and most begin at a value of their own."""
    runs = [values for values in shown if len(values) > 1 and values[-1] - values[0] == len(values) - 1]
    return len(runs) >= max(_FEWEST_RUNS, _ONE_REGION * sum(map(bool, shown))) and 2 * len(
        {values[0] for values in runs}
    ) > len(runs)


def has_thin_colors(scan: Scan) -> bool:
    """Tell whether most colours lie on edges alone, between the colours on both sides: they were interpolated."""
    pixels: Counter[int] = Counter()
    flat: Counter[int] = Counter()
    between: Counter[int] = Counter()
    for mask in _spread(scan.painted) if len(scan.colors) > _FEWEST_THIN_COLORS else ():
        colors = read_mask(mask).colors()[:_MOST_SIDE, :_MOST_SIDE]
        codes = colors.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
        low, high = _extremes(colors, 5)
        near_low, near_high = _extremes(colors, 3)
        pixels.update(_tally(codes))
        flat.update(_tally(codes[(near_low == near_high).all(axis=2)]))
        # Every pixel lies within the extremes around it; an interpolated one lies strictly within in some channel and
        # is an extreme only in channels that do not change.
        inside = ((low < colors) & (colors < high)) | (low == high)
        between.update(_tally(codes[inside.all(axis=2) & (low != high).any(axis=2)]))
    thin = [c for c, n in pixels.items() if flat[c] <= _THIN_FLAT * n and between[c] >= _THIN_BETWEEN * n]
    return len(thin) >= _FEWEST_THIN_COLORS and 2 * len(thin) > len(pixels)


def _tally(codes: NDArray[np.int64]) -> dict[int, int]:
    found, counts = np.unique(codes, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def _spread(masks: Sequence[Any]) -> Sequence[Any]:
    return masks[:: -(-len(masks) // _MOST_MASKS)] if masks else masks


def _values(masks: Iterable[Held]) -> Iterator[NDArray[Any]]:
    """Read the masks again whose values OpenCV can filter: of 8 or 16 bits, or other integers in that range."""
    for held in masks:
        values = held.read()
        if values is not None and held.values and min(held.values) >= 0 and max(held.values) < 1 << 16:
            top, left = (max(0, (side - _MOST_SIDE) // 2) for side in values.shape)
            part = values[top : top + _MOST_SIDE, left : left + _MOST_SIDE]
            yield np.ascontiguousarray(part, np.uint8 if part.dtype == np.uint8 else np.uint16)


def _extremes(values: NDArray[Any], width: int) -> tuple[NDArray[Any], NDArray[Any]]:
    kernel = np.ones((width, width), np.uint8)
    return np.asarray(cv2.erode(values, kernel)), np.asarray(cv2.dilate(values, kernel))


def _counted(values: NDArray[Any]) -> dict[int, int]:
    counts = np.bincount(values.ravel())
    present = np.flatnonzero(counts)
    return dict(zip(present.tolist(), counts[present].tolist(), strict=True))
