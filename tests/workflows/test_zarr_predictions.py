"""Predictions of Zarr stores: the masks of the same image as TIFF, bit for bit; and label maps written as stores."""

from __future__ import annotations

import json
import shutil
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from tests.data.stores import array, group, ome_image
from torch import nn

from maskwright import models
from maskwright.core.classes import Classes
from maskwright.core.plan import DataPlan, ModelPlan, PredictPlan
from maskwright.core.records import ImageRef
from maskwright.data.readers.zarr_image import ZarrRows
from maskwright.inference import Predictor
from maskwright.models import bundle
from maskwright.models.bundle import Card, CardClasses
from maskwright.workflows.predict import predict
from maskwright.workflows.predict_parts import bands, scan_plan
from maskwright.workflows.predict_parts.pictures import Picture
from maskwright.workflows.predict_parts.sources import find_images
from maskwright.workflows.predict_parts.writing import _whole
from maskwright.workflows.predict_request import PredictRequest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("one_thread")

CLASSES = Classes(("background", "leaf", "Käfer"), ((0, 0, 0), (20, 200, 40), (250, 120, 10)))


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    slow = np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(slow).resize((210, 300)))


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """The class of the colour that is strongest among a pixel and its eight neighbours."""
    found = nn.Conv2d(3, 3, 3, padding=1)
    with torch.no_grad():
        found.weight.zero_()
        found.bias.zero_()
        for channel in range(3):
            found.weight[channel, channel] = 0.3
    return Predictor.of(found, card(), "cpu")  # type: ignore[arg-type]


def card() -> Card:
    classes = CardClasses.of(CLASSES)
    return Card(model=ModelPlan(name="swiftnet"), classes=classes, data=DataPlan(), predict=PredictPlan(tile=(96, 96)))


def labels_of(path: Path, level: int = 0) -> Any:
    import zarr

    return zarr.open_group(str(path), mode="r")[str(level)][...]


def names(found: Any) -> list[str]:
    return [str(picture.name) for picture in found.pictures]


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("version", [2, 3])
def test_the_masks_are_those_of_the_same_tiff(
    tmp_path: Path, pixels: np.ndarray, predictor: Predictor, large: bool, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large:
        monkeypatch.setattr(scan_plan, "SCAN_PIXELS", 1000)
    tiff = tmp_path / "a.tif"
    tifffile.imwrite(tiff, pixels, photometric="rgb", tile=(64, 64))
    store = ome_image(
        tmp_path / "b.zarr", [np.moveaxis(pixels, 2, 0)], "cyx", version, scales=[[1, 2, 2]], unit="meter"
    )
    result = predict(predictor, [tiff, store], tmp_path / "out", PredictRequest(["mask", "overlay", "zarr"]))
    one, other = result.images
    suffix = "tif" if large else "png"
    assert other.files["mask"] == tmp_path / f"out/masks/b.{suffix}"
    assert one.files["mask"].read_bytes() == other.files["mask"].read_bytes()
    assert one.files["overlay"].read_bytes() == other.files["overlay"].read_bytes()
    assert one.summary == other.summary
    wanted = predictor.result(pixels).labels
    if large:  # tiles differ from the whole image in a few pixels
        assert (labels_of(other.files["zarr"]) == wanted).mean() >= 0.999
        wanted = tifffile.imread(other.files["mask"])
    np.testing.assert_array_equal(labels_of(other.files["zarr"]), wanted)
    np.testing.assert_array_equal(labels_of(one.files["zarr"]), wanted)
    said = json.loads((other.files["zarr"] / ".zattrs").read_text())
    (axes,) = {(axis["type"], axis["unit"]) for axis in said["multiscales"][0]["axes"]}
    assert axes == ("space", "meter")
    assert said["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"] == [2, 2]
    assert [entry["class"] for entry in said["image-label"]["properties"]] == [*CLASSES.names, None]
    again = predict(predictor, [tmp_path], tmp_path / "out", PredictRequest(["mask", "overlay", "zarr"]))
    assert [image.source for image in again.images] == [tiff, store]  # results are no sources, and may be replaced
    assert not again.failures


def test_a_store_is_one_image_of_its_folder(tmp_path: Path, pixels: np.ndarray) -> None:
    inside = tmp_path / "in"
    ome_image(inside / "x.zarr", [np.moveaxis(pixels, 2, 0), np.moveaxis(pixels[::2, ::2], 2, 0)], "cyx")
    array(inside / "deep/plain", pixels, 2)
    Image.fromarray(pixels).save(inside / "a.png")
    Image.fromarray(pixels).save(inside / "x.zarr/thumbnail.png")
    assert names(find_images([inside])) == ["a", "deep/plain", "x"]
    assert names(find_images([f"{inside}/**"])) == ["a", "deep/plain", "x"]
    assert names(find_images([f"{inside}/*.zarr"])) == ["x"]
    assert names(find_images([inside / "x.zarr"])) == ["x"]
    assert names(find_images([inside / "x.zarr/s1"])) == ["s1"]
    (inside / "list.txt").write_text("x.zarr\ndeep/plain\n")
    assert names(find_images([inside / "list.txt"])) == ["x", "deep/plain"]


def test_pages_get_names_of_their_own(tmp_path: Path, pixels: np.ndarray) -> None:
    ome_image(tmp_path / "x.zarr", [np.stack([pixels, pixels])], "zyxc")
    (tmp_path / "x").mkdir()
    Image.fromarray(pixels).save(tmp_path / "x/1.png")
    assert sorted(names(find_images([tmp_path]))) == ["x/0", "x/1", "x/1.2"]


def test_the_images_of_a_plate_and_the_pages_of_a_stack(
    tmp_path: Path, pixels: np.ndarray, predictor: Predictor
) -> None:
    plate = group(tmp_path / "in/p.zarr", {"plate": {"wells": [{"path": "A/1"}]}}, 2)
    group(plate / "A/1", {"well": {"images": [{"path": "0"}, {"path": "1"}]}}, 2)
    ome_image(plate / "A/1/0", [np.moveaxis(pixels, 2, 0)], "cyx", 2)
    ome_image(plate / "A/1/1", [np.stack([pixels, 255 - pixels])], "zyxc", 2)
    result = predict(predictor, [tmp_path / "in"], tmp_path / "out", PredictRequest(["mask"]))
    assert not result.failures
    places = [file.relative_to(tmp_path / "out/masks").as_posix() for file in result.outputs]
    assert places == ["p/A/1/0.png", "p/A/1/1/0.png", "p/A/1/1/1.png"]
    assert [image.page for image in result.images] == [None, 0, 1]
    for image, wanted in zip(result.images, [pixels, pixels, 255 - pixels], strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(image.files["mask"])), predictor.result(wanted).labels)


@pytest.mark.parametrize("kinds", [["mask"], ["zarr"], ["mask", "probabilities"]])
def test_a_level_of_a_pyramid(tmp_path: Path, pixels: np.ndarray, predictor: Predictor, kinds: list[str]) -> None:
    levels, scales = [pixels, pixels[::2, ::2]], [[0.5, 0.5, 1], [1, 1, 1]]
    path = ome_image(tmp_path / "x.zarr", levels, "yxc", scales=scales, unit="micrometer")
    result = predict(predictor, [path], tmp_path / "out", PredictRequest(kinds, level=1))
    (file, *_) = result.images[0].files.values()
    read = {".zarr": labels_of, ".tif": tifffile.imread, ".png": lambda path: np.asarray(Image.open(path))}
    np.testing.assert_array_equal(read[file.suffix](file), predictor.result(pixels[::2, ::2]).labels)
    if kinds == ["zarr"]:
        assert json.loads((file / ".zattrs").read_text())["multiscales"][0]["datasets"][0][
            "coordinateTransformations"
        ] == [{"type": "scale", "scale": [1.0, 1.0]}]
    (failure,) = predict(predictor, [path], tmp_path / "out", PredictRequest(kinds, level=2)).failures
    assert "has no level 2" in failure.reason


@pytest.mark.parametrize("change", ["nothing", "a chunk"])
def test_an_interrupted_scan(tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    monkeypatch.setattr(scan_plan, "SCAN_PIXELS", 1000)
    torch.manual_seed(3)
    (tmp_path / "run").mkdir()
    bundle.save(tmp_path / "run/model.safetensors", models.create("swiftnet", classes=3), card())
    path = array(tmp_path / "x.zarr", pixels)
    put = bands.PanelBands.put

    def dying(self: bands.PanelBands, labels: np.ndarray) -> None:
        if self.end > 0:
            raise KeyboardInterrupt
        put(self, labels)

    monkeypatch.setattr(bands.PanelBands, "put", dying)
    with pytest.raises(KeyboardInterrupt):
        predict(tmp_path / "run", [path], tmp_path / "out", PredictRequest(["zarr"]))
    assert not (tmp_path / "out/masks").exists()
    monkeypatch.setattr(bands.PanelBands, "put", put)
    if change == "a chunk":
        chunk = path / "c/4/0/0"
        chunk.write_bytes((path / "c/3/0/0").read_bytes())
    result = predict(tmp_path / "run", [path], tmp_path / "out", PredictRequest(["zarr"]))
    assert any("goes on at row" in note for note in result.notes) == (change == "nothing")
    predict(tmp_path / "run", [path], tmp_path / "whole", PredictRequest(["zarr"]))
    one, other = (labels_of(tmp_path / name / "masks/x.zarr") for name in ("whole", "out"))
    np.testing.assert_array_equal(one, other)


def test_a_prediction_that_goes_on(tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    (tmp_path / "run").mkdir()
    bundle.save(tmp_path / "run/model.safetensors", models.create("swiftnet", classes=3), card())
    for name in "ab":
        array(tmp_path / f"in/{name}.zarr", pixels)
    from maskwright.workflows.predict_parts import writing

    run = writing.Writing.run
    monkeypatch.setattr(writing.Writing, "run", lambda self, picture, on: _interrupt(picture) or run(self, picture, on))
    with pytest.raises(KeyboardInterrupt):
        predict(tmp_path / "run", [tmp_path / "in"], tmp_path / "out", PredictRequest(["zarr"]))
    done: list[str] = []
    monkeypatch.setattr(
        writing.Writing, "run", lambda self, picture, on: done.append(str(picture.name)) or run(self, picture, on)
    )
    (tmp_path / "out/masks/.b.zarr.0123abcd.zarr/0").mkdir(parents=True)
    predict(tmp_path / "run", [tmp_path / "in"], tmp_path / "out", PredictRequest(["zarr"], resume=True))
    assert done == ["b"]
    assert sorted(path.name for path in (tmp_path / "out/masks").iterdir()) == ["a.zarr", "b.zarr"]


def _interrupt(picture: Any) -> None:
    if str(picture.name) == "b":
        raise KeyboardInterrupt


def test_a_bad_store_stops_nothing(tmp_path: Path, pixels: np.ndarray, predictor: Predictor) -> None:
    array(tmp_path / "good.zarr", pixels)
    array(tmp_path / "cut.zarr", pixels)
    (tmp_path / "cut.zarr/c/1/1/0").write_bytes(b"nothing")
    (tmp_path / "empty.zarr").mkdir()
    group(tmp_path / "plate.zarr", {"plate": {"wells": []}}, 3)
    plate = group(tmp_path / "well.zarr", {"plate": {"wells": [{"path": "A"}, {"path": "B"}]}}, 3)
    group(plate / "A", {"well": {"images": [{"path": "0"}]}}, 3)
    array(plate / "A/0", pixels)
    result = predict(predictor, [tmp_path], tmp_path / "out", PredictRequest(["mask"]))
    assert [image.source.name for image in result.images] == ["good.zarr", "0"]
    reasons = {failure.path.name: failure.reason for failure in result.failures}
    assert sorted(reasons) == ["cut.zarr", "empty.zarr", "plate.zarr", "well.zarr"]
    assert "is a collection that lists no wells" in reasons["plate.zarr"]
    assert "has no Zarr metadata in B" in reasons["well.zarr"]


def test_a_store_of_somebody_else_is_not_overwritten(tmp_path: Path, pixels: np.ndarray, predictor: Predictor) -> None:
    path = array(tmp_path / "x.zarr", pixels)
    array(tmp_path / "out/masks/x.zarr", pixels)
    with pytest.raises(Exception, match=r"x.zarr exists and was not written by maskwright"):
        predict(predictor, [path], tmp_path / "out", PredictRequest(["zarr"]))
    shutil.rmtree(tmp_path / "out")
    (image,) = predict(predictor, [path], tmp_path / "out", PredictRequest(["zarr"], pixel_size="3mm")).images
    said = json.loads((image.files["zarr"] / ".zattrs").read_text())["multiscales"][0]
    assert (said["axes"][0]["unit"], said["datasets"][0]["coordinateTransformations"][0]["scale"]) == (
        "millimeter",
        [3, 3],
    )


def test_an_image_that_is_read_whole_is_closed(tmp_path: Path, pixels: np.ndarray) -> None:
    image = ImageRef(array(tmp_path / "a.zarr", pixels))
    rows, closed = ZarrRows(image), []
    rows.close = lambda: closed.append(True)  # type: ignore[method-assign]
    np.testing.assert_array_equal(_whole(Picture(image, PurePosixPath("a"), PurePosixPath("a")), rows), pixels)
    assert closed
