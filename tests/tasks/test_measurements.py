"""Measurements of objects, by hand and against skimage on the whole image."""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from skimage.draw import ellipse
from skimage.measure import regionprops
from tests.tasks.objects import boxes

from maskwright.core.classes import Classes
from maskwright.core.instances import Instance, Instances
from maskwright.core.pixel_size import PixelSize
from maskwright.ops.instance_maps import from_map
from maskwright.ops.rows import ArrayRows, SlicedRows
from maskwright.tasks import measurements
from maskwright.tasks.measurements import write_measurements

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CELLS = Classes.named(["background", "cell", "a, b"])


def rows(
    folder: Path, image: NDArray[Any], objects: Instances, pixel_size: PixelSize | None = None
) -> list[dict[str, str]]:
    path = folder / "a.csv"
    write_measurements(path, image, objects, CELLS, pixel_size)
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def numbers(row: dict[str, str]) -> dict[str, float]:
    return {key: float(value) for key, value in row.items() if key != "class"}


def tilted(degrees: float) -> Instances:
    """One ellipse whose major axis is turned counterclockwise from the x axis, as seen on the screen."""
    mask = np.zeros((81, 81), np.int32)
    mask[ellipse(40, 40, 12, 30, mask.shape, rotation=np.deg2rad(degrees))] = 1
    return from_map(mask, [1])


def test_a_rectangle_by_hand(tmp_path: Path) -> None:
    """4 x 6 pixels: moments give axes of 4 sqrt((n^2 - 1) / 12); the perimeter joins the centres of border pixels."""
    image = np.zeros((20, 30, 2), np.uint8)
    image[2:6, 3:9, 1] = 7
    (entry,) = boxes((20, 30), (2, 6, 3, 9)).objects
    (row,) = rows(tmp_path, image, Instances((20, 30), (replace(entry, score=0.75),)))
    assert [row[name] for name in ("id", "class", "score", "touches_border", "risk")] == [
        "1",
        "cell",
        "0.7500",
        "0",
        "0.2500",
    ]
    found = numbers(row)
    wanted = {
        "area_px2": 24,
        "centroid_x_px": 5.5,
        "centroid_y_px": 3.5,
        "perimeter_px": 16,
        "major_axis_px": 4 * np.sqrt(35 / 12),
        "minor_axis_px": 4 * np.sqrt(15 / 12),
        "equivalent_diameter_px": 2 * np.sqrt(24 / np.pi),
        "orientation_degrees": 0,
        "eccentricity": np.sqrt(1 - 15 / 35),
        "solidity": 1,
        "mean_intensity_1": 0,
        "mean_intensity_2": 7,
    }
    assert {key: found[key] for key in wanted} == pytest.approx(wanted, rel=1e-5)
    assert set(found) - set(wanted) == {"id", "score", "risk", "touches_border"}


def test_lengths_have_the_unit_of_the_pixel_size(tmp_path: Path) -> None:
    image, objects = np.zeros((20, 30, 1), np.uint8), boxes((20, 30), (2, 6, 3, 9))
    (plain,), (real,) = (rows(tmp_path, image, objects, size) for size in (None, PixelSize(0.25, "um")))
    before, after = numbers(plain), numbers(real)
    assert after["area_um2"] == pytest.approx(24 * 0.0625)
    for length in ("perimeter", "major_axis", "minor_axis", "equivalent_diameter"):
        assert after[f"{length}_um"] == pytest.approx(before[f"{length}_px"] / 4, rel=1e-5)
    for same in ("centroid_x_px", "centroid_y_px", "orientation_degrees", "eccentricity", "solidity"):
        assert after[same] == before[same]


@pytest.mark.parametrize("degrees", [0, 30, 45, 90, 120, 179])
def test_the_orientation_is_counterclockwise_from_the_x_axis(tmp_path: Path, degrees: float) -> None:
    (row,) = rows(tmp_path, np.zeros((81, 81, 1), np.uint8), tilted(degrees))
    error = (float(row["orientation_degrees"]) - degrees + 90) % 180 - 90
    assert abs(error) < 0.5


def test_crops_measure_as_the_whole_image_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ids = np.kron(rng.permutation(np.arange(36)).reshape(6, 6), np.ones((9, 11), int))
    ids[rng.random(ids.shape) < 0.2] = 0
    image = rng.integers(0, 60_000, (*ids.shape, 3), dtype=np.uint16)
    found = rows(tmp_path, image, from_map(ids, [1] * 36))
    whole = regionprops(ids, intensity_image=image.astype(float))
    assert len(found) == len(whole) == 35
    for row, region in zip(map(numbers, found), whole, strict=True):
        y, x = region.centroid
        assert [row["centroid_x_px"], row["centroid_y_px"]] == pytest.approx([x, y], rel=1e-5)
        shape = ["perimeter_px", "eccentricity", "solidity", "major_axis_px", "minor_axis_px"]
        judged = [
            region.perimeter,
            region.eccentricity,
            region.solidity,
            region.axis_major_length,
            region.axis_minor_length,
        ]
        assert [row[key] for key in shape] == pytest.approx(judged, rel=1e-5)
        means = [row[f"mean_intensity_{channel}"] for channel in (1, 2, 3)]
        assert means == pytest.approx(region.intensity_mean.tolist(), rel=1e-5)


class Recorded:
    """The rows of an image, which remember what was asked for."""

    def __init__(self, image: NDArray[Any]) -> None:
        self._rows = ArrayRows(image)
        self.size, self.channels, self.dtype = self._rows.size, self._rows.channels, self._rows.dtype
        self.asked: list[int] = []

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        self.asked += range(start, stop)
        return self._rows.rows(start, stop)


def test_an_image_by_rows_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects come by score, and each would otherwise decode all tiles beside it."""
    rng = np.random.default_rng(0)
    image = rng.random((40, 30, 2), np.float32)
    image[5:9, :20] = np.nan
    corners = [(20, 33, 2, 9), (0, 7, 0, 30), (3, 40, 11, 12), (25, 26, 3, 4), (21, 30, 20, 29)]
    objects = boxes((40, 30), *corners)
    monkeypatch.setattr(measurements, "BAND_PIXELS", 30 * 8)
    read = Recorded(image)
    (found, whole) = (rows(tmp_path, given, objects) for given in (SlicedRows(read), image))  # type: ignore[arg-type]
    assert read.asked == list(range(40))
    assert found == whole
    for (top, bottom, left, right), row in zip(corners, found, strict=True):
        means = np.nanmean(image[top:bottom, left:right].astype(float), axis=(0, 1))
        assert [float(row[f"mean_intensity_{channel}"]) for channel in (1, 2)] == pytest.approx(means.tolist(), 1e-5)


def test_rows_without_objects_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurements, "BAND_PIXELS", 30 * 8)
    read = Recorded(np.zeros((40, 30, 1), np.uint8))
    rows(tmp_path, SlicedRows(read), boxes((40, 30), (10, 12, 0, 5)))  # type: ignore[arg-type]
    assert read.asked == list(range(8, 16))


def test_which_objects_touch_the_border(tmp_path: Path) -> None:
    corners = [(0, 2, 3, 5), (3, 5, 0, 2), (8, 10, 4, 6), (4, 6, 10, 12), (1, 9, 1, 11)]
    found = rows(tmp_path, np.zeros((10, 12, 1), np.uint8), boxes((10, 12), *corners))
    assert [row["touches_border"] for row in found] == ["1", "1", "1", "1", "0"]


def test_thin_and_tiny_objects(tmp_path: Path) -> None:
    corners = [(3, 4, 3, 4), (3, 4, 2, 8), (1, 9, 5, 6)]
    point, across, down = map(numbers, rows(tmp_path, np.ones((10, 12, 1), np.uint8), boxes((10, 12), *corners)))
    assert (point["area_px2"], point["perimeter_px"], point["eccentricity"], point["solidity"]) == (1, 0, 0, 1)
    assert (across["orientation_degrees"], down["orientation_degrees"]) == (0, 90)
    assert (across["minor_axis_px"], across["eccentricity"]) == (0, 1)


def test_large_areas_and_far_places_are_exact(tmp_path: Path) -> None:
    objects = Instances((1201, 130_000), (Instance(1, 1, 123_456, np.ones((1200, 1101), bool)),))
    (row,) = rows(tmp_path, np.broadcast_to(np.uint8(0), (1201, 130_000, 1)), objects)
    assert (row["area_px2"], row["centroid_x_px"], row["centroid_y_px"]) == ("1321200", "124006", "600.5")
    assert row["perimeter_px"] == "4598"


def test_overlapping_objects_are_measured_whole(tmp_path: Path) -> None:
    found = rows(tmp_path, np.ones((10, 12, 1), np.uint8), boxes((10, 12), (1, 5, 1, 5), (1, 5, 1, 5), (2, 9, 2, 9)))
    assert [row["area_px2"] for row in found] == ["16", "16", "49"]


@pytest.mark.filterwarnings("error")
def test_missing_values_do_not_count(tmp_path: Path) -> None:
    objects = boxes((4, 4), (0, 2, 0, 2), (2, 4, 2, 4))
    image = np.full((4, 4, 1), 8, np.float32)
    image[0, 0] = np.nan
    image[2:, 2:] = np.nan
    image[1, 1] = 2
    assert [row["mean_intensity_1"] for row in rows(tmp_path, image, objects)] == ["6", "nan"]
    masked = np.ma.masked_array(np.full((4, 4, 1), 9, np.uint8), np.isnan(image))
    assert [row["mean_intensity_1"] for row in rows(tmp_path, masked, objects)] == ["9", "nan"]


def test_a_class_with_a_comma_is_quoted(tmp_path: Path) -> None:
    objects = Instances((2, 2), (Instance(2, 0, 0, np.ones((1, 1), bool), 0.123456),))
    (row,) = rows(tmp_path, np.zeros((2, 2, 1), np.uint8), objects)
    assert (row["class"], row["score"]) == ("a, b", "0.1235")
