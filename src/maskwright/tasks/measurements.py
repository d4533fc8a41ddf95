"""One row a predicted object: its size, place, shape and brightness, as CSV. Knows no network."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.files import write_text
from maskwright.core.pixel_size import PixelSize
from maskwright.ops.no_data import with_nan
from maskwright.tasks.files import TABLE_HEAD

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
    table.writerow([*TABLE_HEAD.strip(",").split(","), *_columns(scale.unit, image.shape[2])])
    for number, entry in enumerate(result.objects, start=1):
        named = [number, classes.names[entry.index], f"{entry.score:.4f}", int(_touches_border(entry, result.size))]
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
    """Yield the values of `_columns`; a mean intensity is NaN where the image has no data.

    The orientation is that of the major axis against the x axis, counterclockwise on the screen, from 0 to 180 degrees.
    """
    from skimage.measure import regionprops

    (found,) = regionprops(entry.mask.view(np.uint8))
    row, column = found.centroid
    yield float(found.area) * length**2
    yield entry.left + column
    yield entry.top + row
    yield found.perimeter * length
    yield found.axis_major_length * length
    yield found.axis_minor_length * length
    yield found.equivalent_diameter_area * length
    yield (90 + math.degrees(found.orientation)) % 180
    yield found.eccentricity
    yield found.solidity
    values = with_nan(image[entry.rows, entry.columns])[entry.mask].astype(np.float64)
    known = ~np.isnan(values)
    sums, counts = np.where(known, values, 0).sum(axis=0), known.sum(axis=0)
    yield from np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)


def _touches_border(entry: Instance, size: tuple[int, int]) -> bool:
    return entry.top == 0 or entry.left == 0 or entry.rows.stop == size[0] or entry.columns.stop == size[1]
