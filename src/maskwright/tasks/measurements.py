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
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.classes import Classes
    from maskwright.core.instances import Instance, Instances


def write_measurements(
    path: Path, image: NDArray[Any], result: Instances, classes: Classes, pixel_size: PixelSize | None = None
) -> None:
    """Write the measurements of an image (H, W, C) as CSV, in pixels or in the unit of `pixel_size`.

    The centroid is always in pixels: it is a place in the image, where the centre of the first pixel is (0, 0).
    """
    scale = pixel_size or PixelSize()
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*TABLE_HEAD.strip(",").split(","), "risk", *_columns(scale.unit, image.shape[2])])
    for number, entry in enumerate(result.objects, start=1):
        named = [number, classes.names[entry.index], f"{entry.score:.4f}", int(entry.reaches_border(result.size))]
        named.append(f"{entry.risk:.4f}")
        table.writerow([*named, *(f"{value:.6g}" for value in _measured(entry, image, scale.length))])
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


def _measured(entry: Instance, image: NDArray[Any], length: float) -> Iterator[float]:
    """Yield the values of `_columns`; a mean intensity is NaN where the image has no data."""
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
    values = with_nan(image[entry.rows, entry.columns])[entry.mask].astype(np.float64)
    known = ~np.isnan(values)
    sums, counts = np.where(known, values, 0).sum(axis=0), known.sum(axis=0)
    yield from np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
