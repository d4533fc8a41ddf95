"""One row a predicted object: its size, place, shape and brightness, as CSV. Knows no network."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.files import write_text
from maskwright.core.pixel_size import PixelSize
from maskwright.data.results import TABLE_HEAD
from maskwright.ops.no_data import with_nan
from maskwright.ops.shape import shape_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.classes import Classes
    from maskwright.core.instances import Instance, Instances

BAND_PIXELS = 1 << 22
"""Pixels of an image that are read at once for the intensities."""


def write_measurements(
    path: Path, image: NDArray[Any], result: Instances, classes: Classes, pixel_size: PixelSize | None = None
) -> None:
    """Write the measurements of an image (H, W, C) as CSV, in pixels or in the unit of `pixel_size`.

    The image may be one that is read by rows (`ops.rows.SlicedRows`). The centroid is always in pixels: it is a place
    in the image, where the centre of the first pixel is (0, 0).
    """
    scale = pixel_size or PixelSize()
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*TABLE_HEAD.strip(",").split(","), "risk", *_columns(scale.unit, image.shape[2])])
    means = _mean_intensities(image, result.objects)
    for number, (entry, mean) in enumerate(zip(result.objects, means, strict=True), start=1):
        named = [number, classes.names[entry.index], f"{entry.score:.4f}", int(entry.reaches_border(result.size))]
        named.append(f"{entry.risk:.4f}")
        table.writerow([*named, *(f"{value:.9g}" for value in (*_measured(entry, scale.length), *mean))])
    write_text(path, text.getvalue())


def _columns(unit: str, channels: int) -> list[str]:
    lengths = ("perimeter", "major_axis", "minor_axis", "equivalent_diameter")
    return [
        f"area_{unit}2",
        "centroid_x_px",
        "centroid_y_px",
        *(f"{length}_{unit}" for length in lengths),
        "orientation_degrees",
        "eccentricity",
        "solidity",
        *(f"mean_intensity_{channel}" for channel in range(1, channels + 1)),
    ]


def _measured(entry: Instance, length: float) -> Iterator[float]:
    """Yield the values of `_columns` up to the mean intensities."""
    shape = shape_of(entry.mask)
    yield shape.area * length**2
    yield entry.left + shape.column
    yield entry.top + shape.row
    yield shape.perimeter * length
    yield shape.major_axis * length
    yield shape.minor_axis * length
    yield math.sqrt(4 * shape.area / math.pi) * length
    yield shape.orientation
    yield shape.eccentricity
    yield shape.solidity


def _mean_intensities(image: NDArray[Any], objects: Sequence[Instance]) -> NDArray[np.float64]:
    """Return the mean (n, C) of each object's pixels in an image (H, W, C), NaN where it has no data.

    The image is read once, from the top to the bottom: one that is read by rows decodes whole rows of tiles, and doing
    so for every object would take hours.
    """
    sums, counts = np.zeros((2, len(objects), image.shape[2]))
    ends = np.array([(entry.rows.start, entry.rows.stop) for entry in objects]).reshape(-1, 2)
    height, width = image.shape[:2]
    step = max(BAND_PIXELS // width, 1)
    for start in range(0, height, step):
        stop = min(start + step, height)
        near = np.flatnonzero((ends[:, 0] < stop) & (ends[:, 1] > start)).tolist()
        if not near:
            continue
        band = image[start:stop, :]
        for number in near:
            entry = objects[number]
            first, last = max(entry.rows.start, start), min(entry.rows.stop, stop)
            part = with_nan(band[first - start : last - start, entry.columns])
            values = part[entry.mask[first - entry.top : last - entry.top]]
            known = ~np.isnan(values)
            sums[number] += np.where(known, values, 0).sum(axis=0, dtype=np.float64)
            counts[number] += known.sum(axis=0)
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
