"""From a record's annotation to a label map of class indices: maps values and colours, paints shapes. Knows no format.

Every annotation becomes `uint8` (H, W) of class indices 0..K-1 or `IGNORE`. A value or colour that no table lists is an
error and never a guess; only pixels of JPEG-compressed masks are mapped to the nearest listed value.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import MaskFile, Shapes
from maskwright.data.painting import paint, paint_objects
from maskwright.data.readers import DecodeError, RawMask, read_image, read_mask
from maskwright.ops.no_data import no_data, with_nan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from maskwright.core.records import Dataset, ImageRef, Record

# A pixel of a JPEG mask is ignored if it is farther than this from every known value or colour (0..255 a channel,
# Euclidean); if more than `_JPEG_LOST` of the pixels are, the mask does not show these classes at all.
_JPEG_REACH = 128.0
_JPEG_LOST = 0.05


def read_label(dataset: Dataset, record: Record, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Make the label map of one record.

    Args:
        dataset: defines what values and colours mean.
        record: with an annotation.
        size: (height, width) of its upright image, in pixels.

    Returns:
        (H, W) of class indices and `IGNORE`.

    Raises:
        DecodeError: the mask cannot be read, has another size, or holds an unknown value or colour.
        MaskwrightError: the record has no annotation.
    """
    annotation = record.annotation
    if annotation is None:
        raise MaskwrightError(f"{record.image} has no annotation: add a mask, or use the image for prediction only")
    if isinstance(annotation, Shapes):
        return paint(annotation, size, record.image)
    if annotation.kind == "values":
        known = np.isfinite(read_values(record, size)).any(axis=0)
        return np.where(known, 0, IGNORE).astype(np.uint8)
    return _from_mask(dataset, annotation, _sized_mask(annotation.file, record, size))


def read_values(record: Record, size: tuple[int, int]) -> NDArray[np.float32]:
    """Read the measured values of one record.

    Args:
        record: with an annotation of the kind `values`.
        size: (height, width) of its upright image, in pixels.

    Returns:
        float32 (C, H, W), as stored; NaN where unknown.

    Raises:
        DecodeError: the file cannot be read, or has another size.
        MaskwrightError: the annotation holds classes and no measured values.
    """
    annotation = record.annotation
    if not isinstance(annotation, MaskFile) or annotation.kind != "values":
        raise MaskwrightError(
            f"{record.image}: its annotation holds classes, and this task needs measured values: give images/ and "
            "masks/ with one file of numbers (TIFF, PNG or .npy) for each image"
        )
    values = read_image(annotation.file)
    if values.shape[:2] != size:
        raise _wrong_size(annotation.file, record, (values.shape[0], values.shape[1]), size)
    return with_nan(np.moveaxis(values, -1, 0))


def read_pair(dataset: Dataset, record: Record) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Decode the image (H, W, C) and the label map (H, W) of one record; where the image has no data, it is `IGNORE`.

    Raises:
        DecodeError: either cannot be read, their sizes differ, or the mask holds an unknown value or colour.
        MaskwrightError: the record has no annotation.
    """
    image = read_image(record.image)
    label, gone = read_label(dataset, record, (image.shape[0], image.shape[1])), no_data(image)
    return image, label if gone is None else np.where(gone, np.uint8(IGNORE), label)


def read_objects(dataset: Dataset, record: Record, size: tuple[int, int]) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield each annotated object of one record, cropped to its bounding box and complete even if others cover it.

    Only instance masks, COCO and YOLO annotate objects; other records yield nothing. Ignored objects are skipped.

    Yields:
        (class index, bool (h, w)): the object's pixels within its bounding box, at least one of them set.

    Raises:
        DecodeError: as `read_label`.
    """
    annotation = record.annotation
    if isinstance(annotation, Shapes):
        yield from paint_objects(annotation, size, record.image)
    elif isinstance(annotation, MaskFile) and annotation.kind == "instance":
        yield from _instances(dataset, _values(annotation.file, _sized_mask(annotation.file, record, size)))


def _sized_mask(mask: ImageRef, record: Record, size: tuple[int, int]) -> RawMask:
    raw = read_mask(mask)
    if raw.size == size:
        return raw
    raise _wrong_size(mask, record, raw.size, size)


def _wrong_size(mask: ImageRef, record: Record, found: tuple[int, int], size: tuple[int, int]) -> DecodeError:
    seen, wanted = f"{found[1]}x{found[0]}", f"{size[1]}x{size[0]}"
    message = f"is {seen} pixels, but its image {record.image.name} is {wanted}"
    if found == (size[1], size[0]):
        message += " after its EXIF orientation is applied"
        cure = "rotate the mask too, or save the image upright without the EXIF tag"
    else:
        cure = "save the mask at the size of its image, without interpolation"
    return DecodeError("size-mismatch", mask, message, cure)


def _from_mask(dataset: Dataset, annotation: MaskFile, raw: RawMask) -> NDArray[np.uint8]:
    if annotation.kind == "color":
        return _from_colors(dataset, annotation.file, raw)
    values = _values(annotation.file, raw)
    table = tuple(sorted(dataset.value_to_index.items()))
    if annotation.kind == "instance":
        labels = (values != 0).astype(np.uint8)
        for value, index in table:
            labels[values == value] = index
        return labels
    return _look_up(annotation.file, values, table, lossy=raw.lossy)


def _values(mask: ImageRef, raw: RawMask) -> NDArray[Any]:
    values = raw.indices()
    if values is None:
        raise DecodeError(
            "unknown-label",
            mask,
            "is a colour image, but the masks of this data set hold class ids",
            "save it like the other masks, or list the colours in classes.csv (name,r,g,b)",
        )
    return values


def _look_up(
    mask: ImageRef, values: NDArray[Any], table: tuple[tuple[int, int], ...], *, lossy: bool
) -> NDArray[np.uint8]:
    """Map values (H, W) to class indices by table; an unknown one is an error, or becomes the nearest if `lossy`."""
    if values.dtype not in (np.uint8, np.uint16):
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > 65535:
            raise _unknown_value(mask, low if low < 0 else high, table, int(((values < 0) | (values > 65535)).sum()))
        values = values.astype(np.uint16)
    indices, known = _tables(table, values.dtype.itemsize)
    if values.dtype == np.uint8:
        strange = cv2.LUT(values, 1 - known)
        labels = np.asarray(cv2.LUT(values, indices), np.uint8)
    else:
        strange, labels = 1 - known[values], indices[values]
    count = int(np.count_nonzero(strange))
    if count and lossy:
        return _snapped(mask, values[..., None].astype(np.float32), [(key,) for key, _ in table], table)
    if count:
        raise _unknown_value(mask, int(values[strange.astype(bool)][0]), table, count)
    return labels


@lru_cache(maxsize=16)
def _tables(table: tuple[tuple[int, int], ...], itemsize: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the class index of every value of an integer type, and whether it has one: two arrays (256^itemsize,)."""
    indices = np.zeros(256**itemsize, np.uint8)
    known = np.zeros(256**itemsize, np.uint8)
    for value, index in table:
        if 0 <= value < len(indices):
            indices[value], known[value] = index, 1
    return indices, known


def _from_colors(dataset: Dataset, mask: ImageRef, raw: RawMask) -> NDArray[np.uint8]:
    colors = raw.colors()
    table = tuple(sorted((_packed(color), index) for color, index in dataset.color_to_index.items()))
    codes = np.array([code for code, _ in table], np.uint32)
    wide = colors.astype(np.uint32)
    pixels = (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]
    found = np.searchsorted(codes, pixels).clip(max=len(codes) - 1)
    strange = codes[found] != pixels
    if strange.any():
        known = [(code >> 16, code >> 8 & 255, code & 255) for code, _ in table]
        if raw.lossy:
            return _snapped(mask, colors.astype(np.float32), known, table)
        raise _unknown_color(mask, int(pixels[strange][0]), int(strange.sum()), len(known))
    return np.array([index for _, index in table], np.uint8)[found]


def _packed(color: tuple[int, int, int]) -> int:
    return color[0] << 16 | color[1] << 8 | color[2]


def _snapped(
    mask: ImageRef,
    pixels: NDArray[np.float32],
    known: Sequence[tuple[int, ...]],
    table: tuple[tuple[int, int], ...],
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
    return "1 pixel" if count == 1 else f"{count:,} pixels"


def _unknown_value(mask: ImageRef, value: int, table: tuple[tuple[int, int], ...], count: int) -> DecodeError:
    return DecodeError(
        "unknown-label",
        mask,
        f"holds label {value} ({_pixels(count)}), but the known labels are {_spans([key for key, _ in table])}",
        f"add a name for {value} to classes.txt, or map it with `read.map` {value}=ignore",
    )


def _unknown_color(mask: ImageRef, code: int, count: int, known: int) -> DecodeError:
    red, green, blue = code >> 16, code >> 8 & 255, code & 255
    return DecodeError(
        "unknown-color",
        mask,
        f"holds the colour {red},{green},{blue} ({_pixels(count)}), which is not one of the {known} known colours",
        f"add a line NAME,{red},{green},{blue} to the table of colours (such as classes.csv), or save the mask "
        "without interpolation",
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


def _instances(dataset: Dataset, values: NDArray[Any]) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield each object of an instance mask (H, W): all pixels of one id, connected or not."""
    ids, marks = np.unique(values, return_inverse=True)
    marks = marks.reshape(values.shape).astype(np.int32)
    rows, columns = np.nonzero(values)
    boxes = _boxes(marks[rows, columns], rows, columns, len(ids))
    for mark, value in enumerate(ids.tolist()):
        index = dataset.value_to_index.get(value, 1)
        if value == 0 or index == IGNORE:
            continue
        top, left, bottom, right = boxes[mark]
        yield index, marks[top : bottom + 1, left : right + 1] == mark


def _boxes(marks: NDArray[Any], rows: NDArray[Any], columns: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Return (top, left, bottom, right), inclusive, of each mark: (count, 4), in one pass over the pixels."""
    boxes = np.empty((count, 4), np.int64)
    boxes[:, :2], boxes[:, 2:] = np.iinfo(np.int64).max, -1
    np.minimum.at(boxes[:, 0], marks, rows)
    np.minimum.at(boxes[:, 1], marks, columns)
    np.maximum.at(boxes[:, 2], marks, rows)
    np.maximum.at(boxes[:, 3], marks, columns)
    return boxes
