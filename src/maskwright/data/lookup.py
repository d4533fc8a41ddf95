"""Values and colours of a mask file to class indices, by table. Knows no record and no format.

A value or colour that no table lists is an error and never a guess; only pixels of JPEG-compressed masks are mapped to
the nearest listed value. A mask that contradicts what the others of its data set mean is an error too.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.text import plural
from maskwright.data.readers import DecodeError, RawMask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

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
# More unknown values than this in one mask were not drawn.
_MOST_DRAWN = 8


def from_values(mask: ImageRef, raw: RawMask, known: Mapping[int, int], white: int | None) -> NDArray[np.uint8]:
    """Map the values of a mask to class indices.

    Args:
        mask: the file, for messages.
        raw: as read.
        known: value -> class index or `IGNORE`.
        white: see `core.records.Dataset.white`.

    Raises:
        DecodeError: the mask holds colours or an unknown value, or it is unclear what its 255 means.
    """
    values = values_of(mask, raw)
    if raw.lossy and white != IGNORE and _is_binary(values):
        values = np.where(values > _WHITE // 2, np.uint8(_WHITE), np.uint8(0))
    table = _with_nodata(known, raw.nodata)
    labels = _look_up(mask, values, table, lossy=raw.lossy)
    if len(known) >= _CUT and not raw.lossy:
        _require_white(mask, values, known)
    if white != IGNORE and np.count_nonzero(values) == np.count_nonzero(shown := values == _WHITE) > 0:
        if white is None:
            raise _unclear_white(mask, int(shown.sum()), [value for value, _ in table if value not in {0, _WHITE}])
        labels[shown] = white
    return labels


def _is_binary(values: NDArray[Any]) -> bool:
    """Tell whether a JPEG-compressed mask is black and white."""
    white = np.count_nonzero(values > _WHITE - _NEAR)
    return bool(white > 0 and white + np.count_nonzero(values < _NEAR) > (1 - _JPEG_LOST) * values.size)


def from_ids(mask: ImageRef, raw: RawMask, known: Mapping[int, int]) -> tuple[NDArray[Any], dict[int, int]]:
    """Return the object ids of a mask (H, W), and the class index or `IGNORE` of those that are no plain object.

    Raises:
        DecodeError: the mask holds colours, or a negative id that nothing explains.
    """
    values, table = values_of(mask, raw), dict(_with_nodata(known, raw.nodata - {0}))
    if values.dtype.kind == "i":
        negative = values[values < 0]
        strange = negative[~np.isin(negative, list(table))]
        if len(strange):
            raise DecodeError(
                "unknown-label",
                mask,
                f"holds the id {strange[0]} ({_pixels(len(strange))}), but an object has an id of 1 or more",
                f"map it with `read.map` {strange[0]}=ignore, or save the background as 0",
            )
    return values, table


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
            "save it like the other masks, or list the colours in classes.csv (name,r,g,b)",
        )
    return values


def require_palette(mask: ImageRef, raw: RawMask, palette: Mapping[int, tuple[int, int, int]]) -> None:
    """Refuse a palette mask that shows a value in another colour than the other masks do.

    Raises:
        DecodeError: it does.
    """
    if raw.palette is None:
        return
    for value, color in palette.items():
        own = tuple(raw.palette[value].tolist())
        if own != color and (raw.array == value).any():
            raise DecodeError(
                "other-convention",
                mask,
                f"shows the value {value} in the colour {_rgb(own)}, but other masks show it in {_rgb(color)}, so it "
                "is unclear whether values or colours tell the class",
                "list the colours in classes.csv (name,r,g,b), or the values in classes.txt (id,name), if these count",
            )


def _with_nodata(known: Mapping[int, int], nodata: AbstractSet[int]) -> Table:
    return tuple(sorted({**dict.fromkeys(nodata, IGNORE), **known}.items()))


def _look_up(mask: ImageRef, values: NDArray[Any], table: Table, *, lossy: bool) -> NDArray[np.uint8]:
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
        raise _unknown_value(mask, np.unique(values[strange.astype(bool)]).tolist(), table, count)
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


def from_colors(mask: ImageRef, raw: RawMask, known: Mapping[tuple[int, int, int], int]) -> NDArray[np.uint8]:
    """Map the colours of a mask to class indices.

    Raises:
        DecodeError: the mask holds an unknown colour.
    """
    colors = raw.colors()
    table = tuple(sorted((red << 16 | green << 8 | blue, index) for (red, green, blue), index in known.items()))
    wide = colors.astype(np.uint32)
    pixels = (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]
    strange, labels = _search(pixels, table)
    if strange.any():
        places = [(code >> 16, code >> 8 & 255, code & 255) for code, _ in table]
        if raw.lossy:
            return _snapped(mask, colors.astype(np.float32), places, table)
        raise _unknown_color(mask, np.unique(pixels[strange]).tolist(), int(strange.sum()), len(places))
    return labels


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
            f"is JPEG-compressed, and {far.mean():.0%} of its pixels are far from every known class",
            "export the mask again as PNG",
        )
    labels[far] = IGNORE
    return labels


def _pixels(count: int) -> str:
    return plural(count, "pixel")


def _rgb(color: Sequence[int]) -> str:
    return ",".join(map(str, color))


def _unclear_white(mask: ImageRef, count: int, others: list[int]) -> DecodeError:
    """Say that nothing tells whether 255 is the foreground or ignored in a mask that holds no other class."""
    first = f", or `read.map` 255={others[0]} if it means what {others[0]} means elsewhere" if others else ""
    if len(others) == 1:
        first += f", or `read.map` {others[0]}=ignore if {others[0]} is an error"
    return DecodeError(
        "other-convention",
        mask,
        f"holds only 0 and 255 ({_pixels(count)}), but the other labels are {_spans(others)}, so it is unclear "
        "whether 255 is a class or ignored",
        f"save it like the other masks, or use `read.ignore` 255 if 255 is to be ignored in all masks{first}",
    )


def _require_white(mask: ImageRef, values: NDArray[Any], known: Mapping[int, int]) -> None:
    """Refuse a mask of two values that are both black among masks with grey edges, such as 0 and 1."""
    high = int(values.max())
    if high > 0 and known[0] == known.get(high) and len(np.unique(values[values >= 0])) <= 2:
        count = int(np.count_nonzero(values == high))
        raise DecodeError(
            "other-convention",
            mask,
            f"holds no value above {high} ({_pixels(count)}), but other masks are black and white with grey edges, "
            f"where {high} is black",
            f"save it as 0 and 255, or use `read.map` {high}=255 if {high} is white in all masks",
        )


def _unknown_value(mask: ImageRef, values: list[int], table: Table, count: int) -> DecodeError:
    known, first = [key for key, _ in table], values[0]
    named, mapped = ", ".join(map(str, values)), " ".join(f"`read.map` {value}=ignore" for value in values)
    cure = f"add a name for {named} to classes.txt, or map it with {mapped}"
    if known == [0, _WHITE] and values == [1]:
        cure = "save it as 0 and 255 like the others, or use `read.map` 1=255 if 1 is the foreground"
    elif len(values) > _MOST_DRAWN:
        cure = "save the mask again without interpolation; if the values are classes, name all of them in classes.txt"
    elif known[:-1] == list(range(len(known) - 1)) and first == len(known) - 1 and known[-1] == _WHITE:
        cure += f". If the masks count from 1, begin each line of classes.txt with its id: 1,NAME to {first},NAME"
    return DecodeError(
        "unknown-label",
        mask,
        f"holds {'label' if len(values) == 1 else f'{len(values)} unknown labels such as'} {first} ({_pixels(count)}), "
        f"but the known labels are {_spans(known)}",
        cure,
    )


def _unknown_color(mask: ImageRef, codes: list[int], count: int, known: int) -> DecodeError:
    first = _rgb((codes[0] >> 16, codes[0] >> 8 & 255, codes[0] & 255))
    held = f"the colour {first}" if len(codes) == 1 else f"{len(codes)} colours such as {first}"
    cure = f"add a line NAME,{first} to the table of colours (such as classes.csv), or "
    return DecodeError(
        "unknown-color",
        mask,
        f"holds {held} ({_pixels(count)}), which {'is' if len(codes) == 1 else 'are'} not one of the {known} known "
        "colours",
        (cure if len(codes) <= _MOST_DRAWN else "") + "save the mask without interpolation",
    )


def _spans(values: list[int]) -> str:
    """Write sorted numbers, with runs of three or more as a range: `0..11, 255`."""
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    parts = [f"{run[0]}..{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return ", ".join(parts[:12]) + (", ..." if len(parts) > 12 else "")
