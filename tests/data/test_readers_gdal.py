"""What GDAL keeps apart from the pixels: a value for no data in NAME.aux.xml, and a mask of valid pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image

from maskwright.core.classes import IGNORE
from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_pair
from maskwright.data.readers import DecodeError, read_image, read_mask
from maskwright.ops.no_data import no_data

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (20, 30)
VALID = np.ones(SIZE, bool)
VALID[:5, 4:9] = False
HOLES = ~VALID


def sidecar(image: Path, *values: str) -> None:
    bands = "".join(
        f'<PAMRasterBand band="{band}"><NoDataValue>{value}</NoDataValue></PAMRasterBand>'
        for band, value in enumerate(values, 1)
    )
    image.with_name(f"{image.name}.aux.xml").write_text(f"<PAMDataset>{bands}</PAMDataset>")


def masked(path: Path, pixels: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(pixels, **options)
        tiff.write(VALID, photometric="mask", subfiletype=4, compression=options.get("compression"))
    return path


def gone(path: Path) -> list[list[bool]]:
    found = no_data(read_image(path))
    assert found is not None
    return found.tolist()


@pytest.mark.parametrize("text", ["-9999", "-9.99900000000000E+03"])
def test_a_value_beside_a_tiff(tmp_path, text):
    pixels = np.where(HOLES, -9999, 12).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    assert no_data(read_image(tmp_path / "a.tif")) is None
    sidecar(tmp_path / "a.tif", text)
    assert gone(tmp_path / "a.tif") == HOLES.tolist()
    assert read_image(tmp_path / "a.tif")[VALID].tolist() == [[12.0]] * int(VALID.sum())


def test_the_value_in_the_file_comes_first(tmp_path):
    pixels = np.where(HOLES, -9999, 12).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tif", pixels, extratags=[(42113, "s", 0, "-9999", True)])
    sidecar(tmp_path / "a.tif", "12")
    assert gone(tmp_path / "a.tif") == HOLES.tolist()


@pytest.mark.parametrize("bands", [1, 3])
def test_a_value_beside_a_png(tmp_path, bands):
    pixels = np.where(HOLES, 0, 200).astype(np.uint8)
    Image.fromarray(pixels if bands == 1 else np.dstack([pixels] * bands)).save(tmp_path / "a.png")
    sidecar(tmp_path / "a.png", *["0"] * bands)
    assert gone(tmp_path / "a.png") == HOLES.tolist()


def test_bands_that_disagree_and_damage_are_errors(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros(SIZE, np.float32))
    sidecar(tmp_path / "a.tif", "0", "1")
    with pytest.raises(DecodeError, match=r"has several values for no data in a\.tif\.aux\.xml"):
        read_image(tmp_path / "a.tif")
    (tmp_path / "a.tif.aux.xml").write_text("<PAM")
    with pytest.raises(DecodeError, match=r"has a file a\.tif\.aux\.xml that cannot be read"):
        read_image(tmp_path / "a.tif")
    (tmp_path / "a.tif.aux.xml").write_text("<PAMDataset><Metadata/></PAMDataset>")
    assert no_data(read_image(tmp_path / "a.tif")) is None


@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("bands", [1, 3])
def test_a_mask_of_valid_pixels_inside(tmp_path, dtype, bands, compression):
    pixels = np.full((*SIZE, bands), 7, dtype)
    photometric = "rgb" if bands == 3 else "minisblack"
    path = masked(tmp_path / "a.tif", pixels.squeeze(), photometric=photometric, compression=compression)
    assert gone(path) == HOLES.tolist()
    assert np.asarray(read_image(path))[VALID].tolist() == [[7] * bands] * int(VALID.sum())


def test_a_thumbnail_is_no_mask_of_valid_pixels(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(np.full(SIZE, 7, np.uint8))
        tiff.write(np.zeros((10, 15), bool), photometric="mask", subfiletype=5)
    assert no_data(read_image(tmp_path / "a.tif")) is None


@pytest.mark.parametrize("way", ["sidecar", "inside"])
def test_labels_without_data_are_ignored(tmp_path, way):
    label = np.zeros(SIZE, np.uint8)
    label[10:15, 10:20] = 1
    label[10:15, 22:25] = 2
    label[HOLES] = 9 if way == "sidecar" else 0
    for number in range(4):
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "masks").mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (*SIZE, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
        path = tmp_path / "masks" / f"{number}.tif"
        if way == "inside":
            masked(path, label)
        else:
            tifffile.imwrite(path, label)
            sidecar(path, "9")
    dataset = read_dataset(tmp_path)
    expected = np.where(HOLES, IGNORE, label)
    assert read_pair(dataset, dataset.records[0])[1].tolist() == expected.tolist()
    assert dataset.classes.names == ("class-0", "class-1", "class-2")


def test_a_value_beside_a_png_of_labels(tmp_path):
    Image.fromarray(np.where(HOLES, 9, 1).astype(np.uint8)).save(tmp_path / "m.png")
    sidecar(tmp_path / "m.png", "9")
    assert read_mask(tmp_path / "m.png").nodata == {9}
    sidecar(tmp_path / "m.png", "nan")
    assert read_mask(tmp_path / "m.png").nodata == frozenset()


def mark_beside(image: Path, valid: np.ndarray = VALID, mode: str = "L", **options: object) -> None:
    """Write NAME.msk as GDAL does: a TIFF of one band, 255 where the image is valid."""
    picture = Image.fromarray(valid.astype(np.uint8) * 255).convert(mode)
    picture.save(image.with_name(f"{image.name}.msk"), "TIFF", **options)


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg", "a.npy"])
@pytest.mark.parametrize(
    "options", [{}, {"compression": "tiff_adobe_deflate"}, {"compression": "tiff_lzw", "mode": "1"}, {"mode": "RGB"}]
)
def test_a_mask_of_valid_pixels_beside_an_image(tmp_path, name, options):
    pixels = np.full((*SIZE, 3), 90, np.uint8)
    path = tmp_path / name
    if name == "a.npy":
        np.save(path, pixels)
    elif name == "a.tif":
        tifffile.imwrite(path, pixels, photometric="rgb")
    else:
        Image.fromarray(pixels).save(path)
    mark_beside(path, np.ones(SIZE, bool), **options)
    assert no_data(read_image(path)) is None
    mark_beside(path, **options)
    assert gone(path) == HOLES.tolist()
    assert int(np.ma.getdata(read_image(path))[VALID].min()) >= 88


def test_a_mask_beside_a_turned_image_is_turned_with_it(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.full((*SIZE, 3), 90, np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    mark_beside(tmp_path / "a.jpg")
    assert gone(tmp_path / "a.jpg") == np.rot90(HOLES, -1).tolist()


def test_a_mask_beside_a_mask_of_classes(tmp_path):
    for number in range(4):
        Image.fromarray(np.full((*SIZE, 3), 40 * number, np.uint8)).save(tmp_path / f"images_{number}.png")
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "masks").mkdir(exist_ok=True)
        (tmp_path / f"images_{number}.png").rename(tmp_path / "images" / f"{number}.png")
        labels = np.zeros(SIZE, np.uint8)
        labels[:, :6] = 1
        tifffile.imwrite(tmp_path / "masks" / f"{number}.tif", labels)
        mark_beside(tmp_path / "masks" / f"{number}.tif")
    dataset = read_dataset(tmp_path)
    label = read_pair(dataset, dataset.records[0])[1]
    expected = np.zeros(SIZE, np.uint8)
    expected[:, :6] = 1
    expected[HOLES] = IGNORE
    assert label.tolist() == expected.tolist()


def test_a_mask_beside_an_image_that_is_damaged_or_of_another_size(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros(SIZE, np.uint8))
    mark_beside(tmp_path / "a.tif", VALID[:7])
    with pytest.raises(DecodeError, match=r"is 30x20 pixels, but a\.tif\.msk is 30x7"):
        read_image(tmp_path / "a.tif")
    (tmp_path / "a.tif.msk").write_bytes(b"II*\0")
    with pytest.raises(DecodeError, match=r"has a file a\.tif\.msk that cannot be read"):
        read_image(tmp_path / "a.tif")
    (tmp_path / "a.tif.msk").unlink()
    assert no_data(read_image(tmp_path / "a.tif")) is None


def test_a_palette_cannot_leave_pixels_out(tmp_path):
    picture = Image.fromarray(np.zeros(SIZE, np.uint8)).convert("P")
    picture.putpalette([0, 0, 0, 255, 0, 0])
    picture.save(tmp_path / "a.png")
    mark_beside(tmp_path / "a.png")
    with pytest.raises(DecodeError, match=r"has a mask of valid pixels \(25 are not\), but colours"):
        read_mask(tmp_path / "a.png")
    mark_beside(tmp_path / "a.png", np.ones(SIZE, bool))
    assert read_mask(tmp_path / "a.png").array.tolist() == np.zeros(SIZE).tolist()
