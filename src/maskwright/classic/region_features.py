"""What regions look like, as a table of one row a region. Writes no file."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.classic.planes import LAB_UNIT, colours, slope
from maskwright.classic.regions import region_graph
from maskwright.ops.no_data import no_data, with_nan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def region_features(labels: NDArray[Any], image: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Measure each region.

    Args:
        labels: (H, W), integers, such as superpixels.
        image: (H, W) or (H, W, C), any real dtype.

    Returns:
        Column -> one value a region, in the order of the labels: `label`; `area`, in pixels; `centroid_y` and
        `centroid_x`, in pixels from the centre of the first pixel; `mean_1`, `std_1`, ... for each channel, in its own
        units, over the values that are known (NaN if none is); `gradient`, the mean change of colour over a pixel, in
        the units of `regions.region_graph`; `neighbours`, the number of regions that touch it.

    Raises:
        MaskwrightError: the sizes differ, or `labels` is no label map.
    """
    graph = region_graph(labels, image)
    places = np.searchsorted(graph.labels, labels).ravel()
    rows, columns = np.indices(labels.shape).reshape(2, -1)

    def mean(values: NDArray[Any]) -> NDArray[np.float64]:
        known = np.isfinite(values)
        sums, counts = np.bincount(places, np.where(known, values, 0)), np.bincount(places, known)
        return np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)

    table: dict[str, NDArray[Any]] = {"label": graph.labels, "area": graph.sizes}
    table |= {"centroid_y": mean(rows), "centroid_x": mean(columns)}
    for number, channel in enumerate(with_nan(image).reshape(places.size, -1).T.astype(np.float64), start=1):
        table[f"mean_{number}"] = mean(channel)
        table[f"std_{number}"] = np.sqrt(mean(np.square(channel - table[f"mean_{number}"][places])))
    gone = no_data(image)
    known = LAB_UNIT * slope(colours(image))
    table["gradient"] = mean((known if gone is None else np.where(gone, np.nan, known)).ravel())
    table["neighbours"] = np.bincount(graph.pairs.ravel(), minlength=len(graph.sizes))
    return table


def as_csv(table: Mapping[str, NDArray[Any]]) -> str:
    """Write a table as text, one row a line; a number that is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    for row in zip(*(column.tolist() for column in table.values()), strict=True):
        writer.writerow([_shown(value) for value in row])
    return text.getvalue()


def _shown(value: float) -> str:
    return "" if value != value else f"{value:.6g}" if isinstance(value, float) else str(value)  # noqa: PLR0124
