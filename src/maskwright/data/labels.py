"""From a record's annotation to a label map of class indices: maps values and colours, paints shapes. Knows no format.

Every annotation becomes `uint8` (H, W) of class indices 0..K-1 or `IGNORE`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import ID_KINDS, EdgeFiles, MaskEdges, MaskFile, MaskLayers, Shapes
from maskwright.data.edges import DrawnEdges, edge_labels, edges_of_masks, read_drawn
from maskwright.data.layers import layer_objects, paint_layers
from maskwright.data.lookup import by_palette, from_colors, from_values
from maskwright.data.object_ids import from_ids, from_segments, objects_of, require_objects, require_one_object
from maskwright.data.painting import paint, paint_objects
from maskwright.data.readers import DecodeError, image_orientation, read_alpha, read_image, read_mask
from maskwright.ops.no_data import no_data, with_nan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from maskwright.core.instances import Instance
    from maskwright.core.records import Annotation, Dataset, ImageRef, Record
    from maskwright.data.readers import RawMask


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
    labels = _labels(dataset, record, annotation, size)
    if dataset.merged is None:
        return labels
    table = np.full(IGNORE + 1, IGNORE, np.uint8)
    table[: len(dataset.merged)] = dataset.merged
    return table[labels]


def _labels(dataset: Dataset, record: Record, annotation: Annotation, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Make the label map (H, W) of the classes that the files tell."""
    if isinstance(annotation, Shapes):
        return paint(annotation, size, record.image)
    if isinstance(annotation, MaskLayers):
        return paint_layers(annotation, layer_reader(dataset, record, size))
    if isinstance(annotation, EdgeFiles | MaskEdges):
        return edge_labels(read_edges(dataset, record, size))
    if annotation.kind == "values":
        known = np.isfinite(read_values(record, size)).any(axis=0)
        return np.where(known, 0, IGNORE).astype(np.uint8)
    return _from_mask(dataset, annotation, _sized_mask(annotation, record, size))


def read_edges(dataset: Dataset, record: Record, size: tuple[int, int]) -> DrawnEdges:
    """Read the edges of one record, or find them in its masks.

    Raises:
        DecodeError: as `read_label`.
        MaskwrightError: the annotation tells no edges.
    """
    annotation = record.annotation
    if isinstance(annotation, EdgeFiles):
        return read_drawn(annotation, record, size)
    if not isinstance(annotation, MaskEdges) or dataset.masks is None:
        raise MaskwrightError(
            f"{record.image}: its annotation was read as classes, and this task needs edges: read the data with `task` "
            "edges"
        )
    regions = replace(record, annotation=annotation.masks, objects=annotation.objects)
    labels = read_label(dataset.masks, regions, size)
    objects = list(read_objects(dataset.masks, regions, size)) if annotation.between != "classes" else []
    return edges_of_masks(labels, objects, annotation.between)


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


def read_objects(dataset: Dataset, record: Record, size: tuple[int, int]) -> Iterator[Instance]:
    """Yield each annotated object of one record, complete even if others cover it.

    Masks of object ids, a mask file an object, and drawn shapes tell objects. Ignored ones are left out, and so is what
    lies on background only; crowds are marked.

    Raises:
        DecodeError: as `read_label`; or the objects of this record are unknown, but those of others are known.
    """
    found: Iterable[Instance] = ()
    annotation = record.objects or record.annotation
    if isinstance(annotation, EdgeFiles | MaskEdges):
        return iter(())
    if isinstance(annotation, Shapes):
        found = paint_objects(annotation, size, record.image)
    elif isinstance(annotation, MaskFile) and record.tells_objects:
        found = _from_object_ids(dataset, annotation, record, size)
    elif isinstance(annotation, MaskLayers) and annotation.objects:
        found = layer_objects(annotation, layer_reader(dataset, record, size))
    elif annotation is not None and dataset.tells_objects:
        message = "has a mask of classes, but no map of objects, as other images of this data set have"
        raise DecodeError("other-convention", record.image, message, "add the map, or remove the image")
    nothing = dataset.classes.background
    if dataset.merged is not None:
        found = (replace(entry, index=dataset.merged[entry.index]) for entry in found)
    return (entry for entry in found if entry.index != nothing)


def _from_object_ids(
    dataset: Dataset, annotation: MaskFile, record: Record, size: tuple[int, int]
) -> Iterator[Instance]:
    """Read a map of object ids; beside another annotation, that one tells the class of each object."""
    under = None
    if record.objects is not None and record.annotation is not None:
        under = _labels(dataset, record, record.annotation, size)
    known = dataset.value_to_index if annotation.values is None else dict(annotation.values)
    nothing = dataset.classes.background if dataset.merged is None else dataset.ground
    return objects_of(annotation, _sized_mask(annotation, record, size), known, under, nothing)


def layer_reader(dataset: Dataset, record: Record, size: tuple[int, int]) -> Callable[[MaskFile], NDArray[np.uint8]]:
    """Return what reads one of several mask files of a record; it raises what `read_label` raises."""
    one = isinstance(record.annotation, MaskLayers) and record.annotation.objects

    def read(mask: MaskFile) -> NDArray[np.uint8]:
        raw = _sized_mask(mask, record, size)
        if one:
            require_one_object(mask.file, raw)
        return _from_mask(dataset, mask, raw)

    return read


def _sized_mask(mask: MaskFile, record: Record, size: tuple[int, int]) -> RawMask:
    raw = read_alpha(mask.file) if mask.alpha else read_mask(mask.file)
    if raw.size == size:
        return raw
    raise _wrong_size(mask.file, record, raw.size, size)


def _wrong_size(mask: ImageRef, record: Record, found: tuple[int, int], size: tuple[int, int]) -> DecodeError:
    seen, wanted = f"{found[1]}x{found[0]}", f"{size[1]}x{size[0]}"
    message = f"is {seen} pixels, but its image {record.image.name} is {wanted}"
    if found == (size[1], size[0]) and image_orientation(record.image) != 1:
        message += " after its EXIF orientation is applied"
        cure = "rotate the mask too, or remove the EXIF orientation without turning the pixels of the image"
    elif found == (size[1], size[0]):
        cure = "transpose or rotate the mask so that it fits its image; if it belongs to another image, rename it"
    else:
        cure = "save the mask at the size of its image, without interpolation"
    return DecodeError("size-mismatch", mask, message, cure)


def _from_mask(dataset: Dataset, annotation: MaskFile, raw: RawMask) -> NDArray[np.uint8]:
    if annotation.kind == "color":
        return from_colors(annotation.file, raw, dataset.color_to_index, dataset.naming)
    if annotation.kind == "segment":
        return from_segments(annotation.file, raw, dict(annotation.values or ()))
    if annotation.kind in ID_KINDS:
        ids, special = from_ids(annotation.file, raw, dataset.value_to_index)
        if annotation.kind == "instance":
            require_objects(annotation.file, ids, special)
        labels = (ids != 0).astype(np.uint8)
        for value, index in special.items():
            labels[ids == value] = index
        return labels
    if annotation.values is not None:
        raw = by_palette(annotation.file, raw, dict(annotation.palette), dataset.naming)
        return from_values(annotation.file, raw, dict(annotation.values), annotation.white, dataset.naming)
    raw = by_palette(annotation.file, raw, dataset.palette, dataset.naming)
    return from_values(annotation.file, raw, dataset.value_to_index, dataset.white, dataset.naming)
