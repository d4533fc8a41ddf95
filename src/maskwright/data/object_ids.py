"""Pictures of object ids to objects, and of the segments of COCO's panoptic format to classes. Opens no file.

0 is background, and every other value is the id of one object. Where such a picture has colours, each colour is an id,
and black is background.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.instances import Instance
from maskwright.core.text import plural
from maskwright.data.interpolation import interpolated
from maskwright.data.readers import DecodeError
from maskwright.ops.instance_maps import pieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from maskwright.core.records import ImageRef, MaskFile
    from maskwright.data.readers import RawMask

# Larger ids are numbered anew: the time to find objects grows with the largest number.
_DENSE = 65535
# The background fills this share of a map, or is this many times as large as any other id.
_SHARE, _TIMES = 0.5, 4
# Lines have at most this share of pixels with all their neighbours.
_INNER = 0.05
# Masks of one object may hold a second value that is ignored.
_FEWEST_IDS = 3
# What binary masks hold where objects are.
_WHITES = (255, 65535, 0xFFFFFF)


def from_ids(mask: ImageRef, raw: RawMask, known: Mapping[int, int]) -> tuple[NDArray[Any], dict[int, int]]:
    """Return the object ids of a mask (H, W), and the class index or `IGNORE` of those that are no plain object.

    Raises:
        DecodeError: the mask is lossily compressed, it was interpolated, or it holds a negative id that
            nothing explains.
    """
    if raw.lossy:
        message = "is lossily compressed, which changes the ids of objects at every edge"
        cure = "export the map again as PNG or TIFF; converting this file does not correct it"
        raise DecodeError("jpeg-mask", mask, message, cure)
    if raw.soft:
        message = "holds fractions from 0 to 1, but a map of objects holds one id for each object"
        raise DecodeError("unreadable", mask, message, "save it as whole numbers, such as uint16")
    values = plain_ids(raw)
    if values is None:
        # What plain values ignore says nothing of colours; the number of a dark or pure red is below 256 too.
        table = {key: index for key, index in known.items() if key > 255 or index != IGNORE}
        numbers = numbers_of(raw)
        _require_drawn(mask, numbers, colors=True)
        return numbers, table
    _require_drawn(mask, values, colors=False)
    table = {**dict.fromkeys(raw.nodata - {0}, IGNORE), **known}
    if values.dtype.kind == "i":
        negative = values[values < 0]
        strange = negative[~np.isin(negative, list(table))]
        if len(strange):
            raise DecodeError(
                "unknown-label",
                mask,
                f"holds the id {strange[0]} ({plural(len(strange), 'pixel')}), but an object has an id of 1 or more",
                f"use `read.map` {strange[0]}=ignore, or `read.map` {strange[0]}=0 if it is the background",
            )
    return values, table


def plain_ids(raw: RawMask) -> NDArray[Any] | None:
    """Return the values (H, W) of a map of ids; None if its colours are the ids.

    Those of a palette are if they differ and black, the background, is not at index 0.
    """
    if raw.palette is not None and raw.palette[0].any():
        colors = raw.palette[np.unique(raw.array)]
        if not colors.any(axis=1).all() and len(np.unique(colors, axis=0)) == len(colors):
            return None
    return raw.indices()


def numbers_of(raw: RawMask) -> NDArray[np.uint32]:
    """Return R + 256 G + 65536 B of every pixel (H, W)."""
    red, green, blue = np.moveaxis(raw.colors().astype(np.uint32), 2, 0)
    return np.asarray(red | green << 8 | blue << 16)


def _require_drawn(mask: ImageRef, ids: NDArray[Any], *, colors: bool) -> None:
    """Refuse ids (H, W) of which interpolation made most.

    Raises:
        DecodeError: such ids.
    """
    if interpolated(ids, colors=colors):
        what, nothing = ("colour", "black") if colors else ("id", "0")
        message = f"holds {len(np.unique(ids)):,} {what}s, most of them only at edges, as interpolation makes"
        cure = (
            "save it without interpolation and anti-aliasing, and resize it by the nearest neighbour only: each "
            f"{what} is one object, and {nothing} is background"
        )
        raise DecodeError("other-convention", mask, message, cure)


def from_segments(mask: ImageRef, raw: RawMask, known: Mapping[int, int]) -> NDArray[np.uint8]:
    """Map the segments of COCO's panoptic format to class indices (H, W); 0, which is no segment, is ignored.

    Raises:
        DecodeError: the mask is lossily compressed, holds a segment that the JSON file does not list, or lacks one that
            it lists.
    """
    if raw.lossy:
        message = "is lossily compressed, which changes the ids of segments"
        raise DecodeError("jpeg-mask", mask, message, "export the map again as PNG")
    table = {**known, 0: IGNORE}
    ids, places = np.unique(numbers_of(raw), return_inverse=True)
    strange = [value for value in ids.tolist() if value not in table]
    if strange:
        raise DecodeError(
            "unknown-label",
            mask,
            f"holds the segment {strange[0]} (R + 256 G + 65536 B), which segments_info in the JSON file does not list",
            "export it again, without interpolation and with its JSON file",
        )
    lacking = sorted(known.keys() - set(ids.tolist()))
    if lacking:
        raise DecodeError(
            "unknown-label",
            mask,
            f"holds no pixel of the segment {lacking[0]}, which segments_info in the JSON file lists",
            "export it again with its JSON file, or remove the segment there",
        )
    return np.array([table[value] for value in ids.tolist()], np.uint8)[places].reshape(raw.size)


def objects_of(
    mask: MaskFile, raw: RawMask, known: Mapping[int, int], under: NDArray[np.uint8] | None, nothing: int | None
) -> Iterator[Instance]:
    """Yield each object of a map of ids (H, W): all pixels of one id, connected or not.

    Args:
        mask: the file, and how to read it.
        raw: as read.
        known: id -> class index or `IGNORE`.
        under: label map (H, W), which tells the class of the other ids; None if they are all of class 1.
        nothing: class index of the background, which is no class of an object.

    Raises:
        DecodeError: as `from_ids`.
    """
    special = known
    values = numbers_of(raw)
    if mask.kind != "segment":
        values, special = from_ids(mask.file, raw, known)
    if mask.kind == "instance":
        require_objects(mask.file, values, special)
    if mask.kind == "regions":
        none = [key for key, index in special.items() if index in (IGNORE, nothing)]
        shown = (values != 0) & ~np.isin(values, none)
        values, special = cv2.connectedComponents(shown.view(np.uint8), connectivity=8)[1], {}
    ids, values = _numbered(values)
    for number, top, left, pixels in pieces(values):
        key = number if ids is None else int(ids[number - 1])
        index = special.get(key)
        if index is None:
            window = None if under is None else under[top : top + pixels.shape[0], left : left + pixels.shape[1]]
            index = 1 if window is None else _commonest(window[pixels], nothing)
        if index != IGNORE:
            yield Instance(index, top, left, pixels, crowd=key in mask.crowds)


def require_objects(mask: ImageRef, values: NDArray[Any], special: Mapping[int, int]) -> None:
    """Refuse a map whose ids cannot all be those of objects, unlike the ids of the other maps.

    Raises:
        DecodeError: it is white where objects are, as binary masks are, or has no background but an id that surrounds
            the others.
    """
    white = int(values.max())
    if white in _WHITES and white not in special and not np.any((values != 0) & (values != white)):
        regions = cv2.connectedComponents((values != 0).view(np.uint8), connectivity=8)[0] - 1
        if regions > 1:
            message = f"holds one value, {white}, for {regions} separate regions, but other maps hold ids of objects"
            cure = "save it like the other maps, with an id of its own for each object"
            raise DecodeError("other-convention", mask, message, cure)
    if np.all(values != 0) and not np.isin(values[0, 0], list(special)):
        counts = counted(values)
        ground = next(iter(surrounding(values, counts)), None)
        if ground is not None and len(counts) > 1 and special.keys().isdisjoint(counts):
            message = f"holds no background, 0, and its id {ground} surrounds the others, as a background does"
            raise DecodeError("other-convention", mask, message, "save the background as 0, as in the other maps")


def require_one_object(mask: ImageRef, raw: RawMask) -> None:
    """Refuse a map of ids 1, 2, 3, ... among files that show one object each.

    Raises:
        DecodeError: such a map.
    """
    values = raw.indices()
    if raw.soft or raw.lossy or values is None or not _FEWEST_IDS <= int(values.max()) < _WHITES[0]:
        return
    ids = np.unique(values).tolist()
    if ids in (list(range(ids[-1] + 1)), list(range(1, ids[-1] + 1))):
        message = f"holds the ids 1 to {ids[-1]}, but a mask file shows one object, as the other files do"
        raise DecodeError("other-convention", mask, message, "save a file for each of them, with 0 and 255")


def counted(ids: NDArray[Any]) -> dict[int, int]:
    """Return id -> number of pixels."""
    values, pixels = np.unique(ids, return_counts=True)
    return dict(zip(values.tolist(), pixels.tolist(), strict=True))


def surrounding(ids: NDArray[Any], counts: Mapping[int, int]) -> set[int]:
    """Return the ids above or below 0 that touch all four sides of a map (H, W) and are much larger than all others.

    Args:
        ids: the map.
        counts: id -> number of pixels, of the ids that count.
    """
    sides = (ids[0], ids[-1], ids[:, 0], ids[:, -1])
    found = set.intersection(*(set(side.tolist()) for side in sides)) & counts.keys() - {0}
    return {key for key in found if _large(counts, key)}


def divided_by_lines(ids: NDArray[Any], counts: Mapping[int, int]) -> set[tuple[int, int]]:
    """Return an id of a map (H, W) that is much larger than all others, with the negative id that lies on lines only.

    Args:
        ids: the map.
        counts: id -> number of pixels, of the ids that count.
    """
    objects = {key: pixels for key, pixels in counts.items() if key >= 0}
    largest = max(objects, key=lambda key: objects[key], default=0)
    if len(objects) < 2 or not _large(objects, largest):
        return set()
    return {(largest, key) for key in counts if key < 0 and _thin(ids == key)}


def _thin(pixels: NDArray[np.bool_]) -> bool:
    """Tell whether hardly any of the pixels (H, W) has all its neighbours among them."""
    inner = cv2.erode(np.pad(pixels, 1).view(np.uint8), np.ones((3, 3), np.uint8))
    return bool(np.count_nonzero(inner) <= _INNER * np.count_nonzero(pixels))


def _large(counts: Mapping[int, int], key: int) -> bool:
    others = max((pixels for other, pixels in counts.items() if other not in (0, key)), default=0)
    return counts[key] >= min(_SHARE * sum(counts.values()), _TIMES * others)


def _numbered(values: NDArray[Any]) -> tuple[NDArray[Any] | None, NDArray[Any]]:
    """Number ids (H, W) from 1 if they may be large and far apart; returns the id of each number, or None."""
    if values.max() <= _DENSE:
        return None, values
    ids, places = np.unique(values, return_inverse=True)
    numbers = np.where(ids <= 0, 0, np.arange(1, len(ids) + 1))
    return ids, numbers[places].reshape(values.shape)


def _commonest(labels: NDArray[np.uint8], nothing: int | None) -> int:
    """Return the class index of most labels (n,), which is not the background; `IGNORE` if there is none."""
    counts = np.bincount(labels, minlength=IGNORE + 1)
    counts[[IGNORE] if nothing is None else [IGNORE, nothing]] = 0
    return int(counts.argmax()) if counts.any() else IGNORE
