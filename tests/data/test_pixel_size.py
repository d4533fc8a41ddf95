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


def keyed(*keys: int, scale: tuple[float, float] = (0.5, 0.5)) -> list[Any]:
    """Return the tags of a GeoTIFF with pairs of key and value, besides that of projected coordinates."""
    pairs = [(1024, 1), *zip(keys[::2], keys[1::2], strict=True)]
    numbers = [1, 1, 0, len(pairs), *(number for key, value in pairs for number in (key, 0, 1, value))]
    tie = (0.0, 0.0, 0.0, 500000.0, 5300000.0, 0.0)
    return [
        (33550, "d", 3, (*scale, 0.0), True),
        (33922, "d", 6, tie, True),
        (34735, "H", len(numbers), numbers, True),
    ]


@pytest.mark.parametrize(
    ("keys", "metres"),
    [
        ((3072, 32632), True),
        ((3072, 32632, 3076, 9001), True),
        ((3072, 2154, 3076, 9001), True),
        ((3072, 32767, 3076, 9001), True),
        ((3072, 2154), False),
        ((3072, 2225, 3076, 9003), False),
        ((3072, 3857, 3076, 9001), False),
        ((2048, 4326), False),
        ((2048, 4326, 3076, 9001), False),
        ((), False),
    ],
    ids=["UTM", "UTM, m", "France, m", "own, m", "France", "feet", "Web Mercator", "degrees", "degrees, m", "nothing"],
)
def test_a_map_in_metres_tells(tmp_path: Path, keys: tuple[int, ...], metres: bool) -> None:
    assert written(tmp_path, extratags=keyed(*keys)) == (PixelSize(0.5, "m") if metres else None)


def test_a_rotated_map_tells_and_one_of_oblong_pixels_does_not(tmp_path: Path) -> None:
    turned = (3.0, 4.0, 0.0, 7.0, 4.0, -3.0, 0.0, 8.0, *(0.0,) * 7, 1.0)
    tags = [(34264, "d", 16, turned, True), keyed(3072, 32632)[2]]
    assert written(tmp_path, extratags=tags) == PixelSize(5, "m")
    assert written(tmp_path, extratags=keyed(3072, 32632, scale=(0.5, 0.6))) is None


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
