"""Label images as OME-NGFF: what zarr-python reads of them is what was written, whatever their size."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from maskwright.core.pixel_size import PixelSize
from maskwright.core.records import ImageRef
from maskwright.data import ngff
from maskwright.data.readers.pixel_size import pixel_size
from maskwright.data.results import written_by_us
from maskwright.ops.rows import ArrayRows

zarr = pytest.importorskip("zarr")

if TYPE_CHECKING:
    from pathlib import Path

LABELS = [ngff.Label(0, (1, 2, 3), {"class": "leaf"}), ngff.Label(255, (0, 0, 0, 0), {"class": None})]


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (9, 8), (7, 41), (64, 64), (65, 33), (100, 130)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_every_level_is_every_second_pixel_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], dtype: type
) -> None:
    monkeypatch.setattr(ngff, "CHUNK", 8)
    wanted = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, size, dtype)
    ngff.write_labels(tmp_path / "a.zarr", ArrayRows(wanted), LABELS, None)
    found = zarr.open_group(str(tmp_path / "a.zarr"), mode="r")
    (image,) = found.attrs["multiscales"]
    for entry in image["datasets"]:
        level = found[entry["path"]]
        np.testing.assert_array_equal(level[...], wanted)
        assert level.dtype == dtype
        assert level.chunks == (8, 8)
        wanted = wanted[::2, ::2]
    assert max(level.shape) <= 8
    assert len(image["datasets"]) == 1 or max(found[image["datasets"][-2]["path"]].shape) > 8
    chunks = [path for path in (tmp_path / "a.zarr/0").rglob("*") if path.is_file() and path.name != ".zarray"]
    assert len(chunks) == -(-size[0] // 8) * -(-size[1] // 8)


def test_what_is_said_of_it(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    ngff.write_labels(path, ArrayRows(np.zeros((3000, 20), np.uint8)), LABELS, PixelSize(0.25, "um"))
    said = json.loads((path / ".zattrs").read_text())
    (image,) = said["multiscales"]
    assert image["version"] == "0.4"
    assert image["axes"] == [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx"]
    steps = [entry["coordinateTransformations"] for entry in image["datasets"]]
    assert steps == [[{"type": "scale", "scale": [step, step]}] for step in (0.25, 0.5, 1.0)]
    assert said["image-label"]["colors"] == [
        {"label-value": 0, "rgba": [1, 2, 3, 255]},
        {"label-value": 255, "rgba": [0, 0, 0, 0]},
    ]
    assert said["image-label"]["properties"] == [
        {"label-value": 0, "class": "leaf"},
        {"label-value": 255, "class": None},
    ]
    assert pixel_size(ImageRef(path), 1) == PixelSize(0.5, "um")
    assert written_by_us(path)


def test_rows_are_asked_for_once_and_in_order(tmp_path: Path) -> None:
    class Watched(ArrayRows):
        def rows(self, start: int, stop: int) -> np.ndarray:
            asked.append((start, stop))
            return super().rows(start, stop)

    asked: list[tuple[int, int]] = []
    ngff.write_labels(tmp_path / "a.zarr", Watched(np.zeros((2500, 20), np.uint8)), LABELS, None)
    assert asked == [(0, 1024), (1024, 2048), (2048, 2500)]


def test_what_fails_leaves_the_old_one(tmp_path: Path) -> None:
    class Broken(ArrayRows):
        def rows(self, start: int, stop: int) -> np.ndarray:
            if start:
                raise ValueError
            return super().rows(start, stop)

    path = tmp_path / "a.zarr"
    ngff.write_labels(path, ArrayRows(np.full((5, 5), 7, np.uint8)), LABELS, None)
    with pytest.raises(ValueError, match=r"^$"):
        ngff.write_labels(path, Broken(np.zeros((2000, 20), np.uint8)), LABELS, None)
    assert [file.name for file in tmp_path.iterdir()] == ["a.zarr"]
    assert (zarr.open_array(str(path / "0"), mode="r")[...] == 7).all()
    ngff.write_labels(path, ArrayRows(np.full((5, 5), 8, np.uint8)), LABELS, None)
    assert [file.name for file in tmp_path.iterdir()] == ["a.zarr"]
    assert (zarr.open_array(str(path / "0"), mode="r")[...] == 8).all()
