"""Rasters with pixels without data: declared by the file, or by the user, or by nobody."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.data.tiff_by_hand import write_tiff

from maskwright.core.classes import IGNORE
from maskwright.core.fingerprint import Fingerprint
from maskwright.core.plan import DataPlan
from maskwright.core.records import ImageRef, Reading
from maskwright.data.cache import DecodedCache
from maskwright.data.fingerprint import fingerprint
from maskwright.data.formats import ReadOptions, read_dataset
from maskwright.data.labels import read_pair
from maskwright.data.readers import read_image
from maskwright.data.survey import survey
from maskwright.data.undeclared import Undeclared, undeclared
from maskwright.ops.no_data import no_data
from maskwright.tasks import find_task

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.records import Dataset

SIZE = (48, 64)
HOLE = slice(0, 6)  # rows: an eighth of the pixels


def elevation(seed: int, empty: float = np.nan) -> np.ndarray:
    values = np.random.default_rng(seed).normal(30, 2, SIZE).astype(np.float32)
    values[HOLE] = empty
    return values


def dataset(
    root: Path, empty: float, declared: str | None = None, options: ReadOptions | None = None, images: int = 4
) -> Dataset:
    """Masks show class 1 in the left half, also where the image has no data."""
    mask = np.zeros(SIZE, np.uint8)
    mask[:, :32] = 1
    for number in range(images):
        for folder in ("images", "masks"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        tags = [] if declared is None else [(42113, "s", 0, declared, True)]
        tifffile.imwrite(root / f"images/{number}.tif", elevation(number, empty), extratags=tags)
        Image.fromarray(mask).save(root / f"masks/{number}.png")
    (root / "classes.txt").write_text("ground\nwater\n")
    return read_dataset(root, options or ReadOptions())


def measured(data: Dataset) -> Fingerprint:
    return fingerprint(survey(data))


WAYS = {
    "declared": (-9999, "-9999", None),
    "declared with decimals": (np.finfo(np.float32).min, "-3.4028234663852886e+38", None),
    "NaN": (np.nan, None, None),
    "infinity": (np.inf, None, None),
    "by the user": (-9999, None, ReadOptions(nodata=-9999)),
    "by the user, beside a file's own": (-9999, "-1", ReadOptions(nodata=-9999)),
}


@pytest.mark.parametrize("way", WAYS)
def test_pixels_without_data_count_nowhere(tmp_path: Path, way: str) -> None:
    data = dataset(tmp_path, *WAYS[way])
    found = measured(data)
    assert not [fault for fault in found.faults if fault.severity != "note"]
    assert found.no_data_share == found.ignore_share == 1 / 8
    assert Fingerprint.from_json(found.to_json()).no_data_share == 1 / 8
    known = np.concatenate([elevation(number)[6:].ravel() for number in range(4)]).astype(np.float64)
    (stats,) = found.intensity
    assert (stats.minimum, stats.maximum) == (known.min(), known.max())
    assert stats.mean == pytest.approx(known.mean())
    assert stats.std == pytest.approx(known.std())
    assert [entry.pixels for entry in found.class_stats] == [4 * 42 * 32, 4 * 42 * 32]
    _, label = read_pair(data, data.records[0])
    assert (label[HOLE] == IGNORE).all()
    assert set(np.unique(label[6:]).tolist()) == {0, 1}


def test_the_network_sees_the_mean_and_the_loss_nothing(tmp_path: Path) -> None:
    data = dataset(tmp_path, -9999, "-9999")
    plan = DataPlan(channels=1, value_range=[(20, 40)], mean=[127.4], std=[60.0])
    pixels, target = DecodedCache(data, data.records, plan, 1 << 20, find_task("semantic").target).get(0)
    assert (pixels[HOLE] == 127).all()
    assert (target.labels[HOLE] == IGNORE).all()
    assert not (target.labels[6:] == IGNORE).any()


def test_integers_keep_their_type(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.uint16).reshape(3, 4)
    write_tiff(tmp_path / "a.tif", values.astype("<u2").tobytes(), (3, 4), {258: 16, 42113: "5"})
    seen = read_image(tmp_path / "a.tif")
    assert seen.dtype == np.uint16
    assert no_data(seen).sum() == 1
    assert no_data(seen)[1, 1]
    write_tiff(tmp_path / "b.tif", values.astype("<u2").tobytes(), (3, 4), {258: 16, 42113: "-9999"})
    assert type(read_image(tmp_path / "b.tif")) is np.ndarray
    negative = (values.astype(np.int16) - 5).astype("<i2")
    write_tiff(tmp_path / "c.tif", negative.tobytes(), (3, 4), {258: 16, 339: 2, 42113: "-5"})
    assert np.isnan(read_image(tmp_path / "c.tif")[..., 0]).tolist() == (values == 0).tolist()
    inverted = {258: 16, 262: 0, 42113: "0"}
    write_tiff(tmp_path / "d.tif", values.astype("<u2").tobytes(), (3, 4), inverted)
    assert no_data(read_image(tmp_path / "d.tif")).tolist() == (values == 0).tolist()


def test_the_option_speaks_of_other_formats_too(tmp_path: Path) -> None:
    values = np.array([[65535, 7]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    ref = ImageRef(tmp_path / "a.png", reading=Reading(nodata=65535))
    assert no_data(read_image(ref)).tolist() == [[True, False]]
    assert no_data(read_image(replace(ref, reading=Reading()))) is None


def test_an_image_without_any_data_is_a_fault(tmp_path: Path) -> None:
    dataset(tmp_path, np.nan)
    tifffile.imwrite(tmp_path / "images/2.tif", np.full(SIZE, np.nan, np.float32))
    (fault,) = [fault for fault in measured(read_dataset(tmp_path)).faults if fault.severity == "error"]
    assert (fault.kind, fault.path.name) == ("no-data", "2.tif")
    assert fault.message == "2.tif has no data in any pixel"


def test_a_value_that_nobody_declared_is_named_and_the_cure_works(tmp_path: Path) -> None:
    found = measured(dataset(tmp_path, -9999))
    (fault,) = [fault for fault in found.faults if fault.severity == "warning"]
    assert fault.kind == "undeclared-nodata"
    assert "4 of 4 images hold the value -9999 in 12.5% of their pixels" in fault.message
    assert "`read.nodata=-9999`" in fault.cure
    cured = measured(read_dataset(tmp_path, ReadOptions(nodata=-9999)))
    assert not [fault for fault in cured.faults if fault.severity == "warning"]


@pytest.mark.parametrize("value", [-9999, -32768, -999, 1e20, 65535, 3.4e38, 0])
def test_values_far_from_all_others_are_suspected(value: float) -> None:
    image = (10 * elevation(0) + 3000)[..., None]
    image[HOLE] = value
    assert undeclared(image) == Undeclared(float(np.float32(value)), 1 / 8)
    if 0 <= value <= 65535:
        assert undeclared(image.astype(np.uint16)) == Undeclared(value, 1 / 8)


def test_ordinary_images_are_not_suspected() -> None:
    rng = np.random.default_rng(3)
    plain = rng.normal(30, 2, (64, 64, 1)).astype(np.float32)
    assert undeclared(plain) is None
    outlier = plain.copy()
    outlier[0, 0] = -9999  # one hot pixel
    assert undeclared(outlier) is None
    clipped = np.clip(plain, 28, 32)  # saturated at both ends
    assert undeclared(clipped) is None
    assert undeclared(np.where(plain > 30, np.float32(1), np.float32(0))) is None  # a drawing
    dark = np.abs(plain - 30)
    dark[:20] = 0  # a black border beside values that begin at 0
    assert undeclared(dark) is None
    assert undeclared(np.zeros((9, 9, 3), np.uint8)) is None
