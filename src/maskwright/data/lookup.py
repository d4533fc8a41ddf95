"""Values and colours of a mask file to class indices, by table. Knows no record and no format.

A value or colour that no table lists is an error and never a guess; only pixels of lossily compressed masks are mapped
to the nearest listed value. A mask that contradicts what the others of its data set mean is an error too.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.data.readers import DecodeError, RawMask
from maskwright.data.unknown import pixels as counted
from maskwright.data.unknown import rgb, unclear_white, unknown_color, unknown_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    from maskwright.core.naming import Naming
    from maskwright.core.records import ImageRef

    Table = tuple[tuple[int, int], ...]

# A pixel of a JPEG mask is ignored if it is farther than this from every known value or colour (0..255 a channel,
# Euclidean); if more than `_JPEG_LOST` of the pixels are, the mask does not show these classes at all.
_JPEG_REACH = 128.0
_JPEG_LOST = 0.05
_WHITE = 255
_NEAR = 16
# A table of so many values says where to cut masks with grey edges.
_CUT = 256


def from_values(
    mask: ImageRef, raw: RawMask, known: Mapping[int, int], white: int | None, naming: Naming
) -> NDArray[np.uint8]:
    """Map the values of a mask to class indices.

    Args:
        mask: the file, for messages.
        raw: as read.
        known: value -> class index or `IGNORE`.
        white: see `core.records.Dataset.white`.
        naming: where the classes get their names, for cures.

    Raises:
        DecodeError: the mask holds colours or an unknown value, it is unclear what its 255 means, or it is lossily
            compressed and the ids of classes are near each other.
    """
    values = values_of(mask, raw)
    if raw.lossy and white != IGNORE and _is_binary(values):
        values = np.where(values > _WHITE // 2, np.uint8(_WHITE), np.uint8(0))
    elif raw.lossy and _are_near(known) and values.min() < values.max():
        message = "is lossily compressed (JPEG or WebP), which changes one id into another"
        cure = "export it again as PNG from the annotation tool; converting this file does not correct it"
        raise DecodeError("jpeg-mask", mask, message, cure)
    if raw.soft and (len(set(known.values()) - {IGNORE}) > 2 or 1 not in known):
        message = "holds fractions from 0 to 1, but the masks of this data set hold class ids"
        raise DecodeError("other-convention", mask, message, "save it as uint8 class ids, like the other masks")
    table = _with_nodata(known, raw.nodata)
    labels = _look_up(mask, values, table, naming, lossy=raw.lossy)
    if len(known) >= _CUT and not raw.lossy:
        _require_white(mask, values, known)
    if white != IGNORE and np.count_nonzero(values) == np.count_nonzero(shown := values == _WHITE) > 0:
        if white is None:
            raise unclear_white(mask, int(shown.sum()), [value for value, _ in table if value not in {0, _WHITE}])
        labels[shown] = white
    return labels


def _is_binary(values: NDArray[Any]) -> bool:
    """Tell whether a lossily compressed mask is black and white."""
    white = np.count_nonzero(values > _WHITE - _NEAR)
    return bool(white > 0 and white + np.count_nonzero(values < _NEAR) > (1 - _JPEG_LOST) * values.size)


def _are_near(known: Mapping[int, int]) -> bool:
    """Tell whether values of two classes lie so near each other that JPEG changes one into another."""
    pairs = pairwise(sorted(known)) if len(known) < _CUT else ()
    return any(high - low < _NEAR and known[low] != known[high] for low, high in pairs)


def values_of(mask: ImageRef, raw: RawMask) -> NDArray[Any]:
    """Return the values (H, W).

    Raises:
        DecodeError: the mask holds colours.
    """
    values = raw.indices()
    if values is None:
        raise DecodeError(
            "unknown-label",
            mask,
            "is a colour image, but the masks of this data set hold class ids",
            "save it like the other masks",
        )
    return values


def by_palette(mask: ImageRef, raw: RawMask, palette: Mapping[int, tuple[int, int, int]], naming: Naming) -> RawMask:
    """Turn a mask of colours into the values that other masks show in them; return any other mask as it is.

    Raises:
        DecodeError: a palette mask shows a value in another colour than the other masks do.
    """
    if raw.palette is None:
        return _unpainted(raw, palette)
    for value, color in palette.items():
        own = tuple(raw.palette[value].tolist())
        if own != color and (raw.array == value).any():
            raise DecodeError(
                "other-convention",
                mask,
                f"shows the value {value} in the colour {rgb(own)}, but other masks show it in {rgb(color)}, so it "
                "is unclear whether values or colours define the class",
                naming.advice or f"{naming.with_colors()}, or the values in classes.txt (id,name), if those define it",
            )
    return raw


def _unpainted(raw: RawMask, palette: Mapping[int, tuple[int, int, int]]) -> RawMask:
    """Return the values of colours (H, W, 3), if each is the colour of exactly one value."""
    shown = list(palette.values())
    known = sorted((_code(color), value) for value, color in palette.items() if shown.count(color) == 1)
    if raw.array.ndim == 2 or not known:
        return raw
    codes, values = np.array(known).T
    pixels = _codes(raw.array)
    found = np.searchsorted(codes, pixels).clip(max=len(codes) - 1)
    return replace(raw, array=values[found]) if (codes[found] == pixels).all() else raw


def _with_nodata(known: Mapping[int, int], nodata: AbstractSet[int]) -> Table:
    return tuple(sorted({**dict.fromkeys(nodata, IGNORE), **known}.items()))


def _look_up(mask: ImageRef, values: NDArray[Any], table: Table, naming: Naming, *, lossy: bool) -> NDArray[np.uint8]:
    """Map values (H, W) to class indices by table; an unknown one is an error, or becomes the nearest if `lossy`."""
    if values.dtype not in (np.uint8, np.uint16) and values.min() >= 0 and values.max() < 65536:
        values = values.astype(np.uint16)
    if values.dtype == np.uint8:
        indices, known = _tables(table, 1)
        strange, labels = cv2.LUT(values, 1 - known), np.asarray(cv2.LUT(values, indices), np.uint8)
    elif values.dtype == np.uint16:
        indices, known = _tables(table, 2)
        strange, labels = 1 - known[values], indices[values]
    else:
        strange, labels = _search(values, table)
    count = int(np.count_nonzero(strange))
    if count and lossy:
        return _snapped(mask, values[..., None].astype(np.float32), [(key,) for key, _ in table], table)
    if count:
        unknown = np.unique(values[strange.astype(bool)]).tolist()
        raise unknown_value(mask, unknown, int(values.min()), table, count, naming)
    return labels


@lru_cache(maxsize=16)
def _tables(table: Table, itemsize: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the class index of every value of an integer type, and whether it has one: two arrays (256^itemsize,)."""
    indices = np.zeros(256**itemsize, np.uint8)
    known = np.zeros(256**itemsize, np.uint8)
    for value, index in table:
        if 0 <= value < len(indices):
            indices[value], known[value] = index, 1
    return indices, known


def _search(values: NDArray[Any], table: Table) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    """Return which values (H, W) of any size have no entry in the sorted table, and the class indices."""
    keys = np.array([key for key, _ in table], np.int64)
    found = np.searchsorted(keys, values).clip(max=len(keys) - 1)
    return keys[found] != values, np.array([index for _, index in table], np.uint8)[found]


def from_colors(
    mask: ImageRef, raw: RawMask, known: Mapping[tuple[int, int, int], int], naming: Naming
) -> NDArray[np.uint8]:
    """Map the colours of a mask to class indices.

    Raises:
        DecodeError: the mask holds an unknown colour.
    """
    colors = raw.colors()
    table = tuple(sorted((_code(color), index) for color, index in known.items()))
    pixels = _codes(colors)
    strange, labels = _search(pixels, table)
    if strange.any():
        places = [(code >> 16, code >> 8 & 255, code & 255) for code, _ in table]
        if raw.lossy:
            return _snapped(mask, colors.astype(np.float32), places, table)
        raise unknown_color(mask, np.unique(pixels[strange]).tolist(), int(strange.sum()), places, naming)
    return labels


def _code(color: tuple[int, int, int]) -> int:
    red, green, blue = color
    return red << 16 | green << 8 | blue


def _codes(colors: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return 0xRRGGBB (H, W) of colours (H, W, 3)."""
    wide = colors.astype(np.uint32)
    return np.asarray((wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2], np.uint32)


def _snapped(
    mask: ImageRef, pixels: NDArray[np.float32], known: Sequence[tuple[int, ...]], table: Table
) -> NDArray[np.uint8]:
    """Map each pixel (H, W, C) of a JPEG mask to the class of the nearest known value or colour."""
    best = np.full(pixels.shape[:2], np.inf, np.float32)
    labels = np.full(pixels.shape[:2], IGNORE, np.uint8)
    for place, (_, index) in zip(known, table, strict=True):
        distance = np.square(pixels - np.array(place, np.float32)).sum(axis=2)
        nearer = distance < best
        best[nearer], labels[nearer] = distance[nearer], index
    far = best > _JPEG_REACH**2
    if far.mean() > _JPEG_LOST:
        raise DecodeError(
            "unknown-color" if pixels.shape[2] == 3 else "unknown-label",
            mask,
            f"is lossily compressed, and {far.mean():.0%} of its pixels are far from every known class",
            "export the mask again as PNG",
        )
    labels[far] = IGNORE
    return labels


def _require_white(mask: ImageRef, values: NDArray[Any], known: Mapping[int, int]) -> None:
    """Refuse a mask of two values that are both black among masks with grey edges, such as 0 and 1."""
    high = int(values.max())
    if high > 0 and known[0] == known.get(high) and len(np.unique(values[values >= 0])) <= 2:
        count = int(np.count_nonzero(values == high))
        raise DecodeError(
            "other-convention",
            mask,
            f"holds no value above {high} ({counted(count)}), but other masks are black and white with grey edges, "
            f"where {high} is black",
            f"save it as 0 and 255, or use `read.map` {high}=255 if {high} is white in all masks",
        )
