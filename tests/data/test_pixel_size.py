from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from maskwright.core.pixel_size import PixelSize
from maskwright.core.records import ImageRef
from maskwright.data.readers.pixel_size import pixel_size

if TYPE_CHECKING:
    from pathlib import Path

PIXELS = np.zeros((8, 9), np.uint8)


def written(folder: Path, **options: Any) -> PixelSize | None:
    tifffile.imwrite(folder / "a.tif", PIXELS, **options)
    return pixel_size(ImageRef(folder / "a.tif"))


@pytest.mark.parametrize("unit", ["micron", "um", "\\u00B5m"])
def test_imagej_tells_pixels_a_unit(tmp_path: Path, unit: str) -> None:
    found = written(tmp_path, imagej=True, resolution=(4, 4), metadata={"unit": unit})
    assert found == PixelSize(0.25, "um")


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({"PhysicalSizeX": 0.325, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.325, "PhysicalSizeYUnit": "µm"}, 0.325),
        ({"PhysicalSizeX": 0.325, "PhysicalSizeY": 0.325}, 0.325),
        ({"PhysicalSizeX": 0.325, "PhysicalSizeY": 0.65}, None),
        ({"PhysicalSizeX": 325, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.325, "PhysicalSizeYUnit": "µm"}, None),
        ({"PhysicalSizeX": 0.325}, None),
        ({"PhysicalSizeX": 1, "PhysicalSizeXUnit": "pixel", "PhysicalSizeY": 1, "PhysicalSizeYUnit": "pixel"}, None),
        ({}, None),
    ],
)
def test_ome_tells_the_size(tmp_path: Path, given: dict[str, Any], size: float | None) -> None:
    assert written(tmp_path, ome=True, metadata=given) == (None if size is None else PixelSize(size, "um"))


def test_other_files_do_not_tell(tmp_path: Path) -> None:
    assert written(tmp_path, resolution=(300, 300), resolutionunit="INCH") is None
    assert written(tmp_path, imagej=True, resolution=(4, 4)) is None
    assert written(tmp_path, imagej=True, resolution=(4, 2), metadata={"unit": "um"}) is None
    assert written(tmp_path, imagej=True, resolution=(72, 72), metadata={"unit": "inch"}) is None
    Image.fromarray(PIXELS).save(tmp_path / "a.png", dpi=(300, 300))
    assert pixel_size(ImageRef(tmp_path / "a.png")) is None


def test_damaged_files_do_not_tell(tmp_path: Path) -> None:
    assert written(tmp_path, ome=True, metadata={"PhysicalSizeX": 1, "PhysicalSizeY": 1}) == PixelSize(1, "um")
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(whole.replace(b"</OME>", b"</OMX>"))
    assert pixel_size(ImageRef(tmp_path / "a.tif")) is None
    (tmp_path / "a.tif").write_bytes(whole.replace(b"<Pixels", b"<Pixelz").replace(b"</Pixels", b"</Pixelz"))
    assert pixel_size(ImageRef(tmp_path / "a.tif")) is None
    assert written(tmp_path, imagej=True, resolution=((0, 1), (0, 1)), metadata={"unit": "um"}) is None
    (tmp_path / "a.tif").write_bytes(whole[:20])
    assert pixel_size(ImageRef(tmp_path / "a.tif")) is None
