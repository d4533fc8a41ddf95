"""Predict: files, folders and globs in; masks, overlays, probabilities and COCO out; one bad file stops nothing."""

from __future__ import annotations

import json
import tracemalloc
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from pycocotools import mask as coco

from maskwright import models
from maskwright.core.classes import Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.pixel_size import PixelSize
from maskwright.core.plan import DataPlan, ModelPlan, PredictPlan
from maskwright.core.records import ImageRef
from maskwright.data.readers import read_image, read_mask
from maskwright.data.results import MARK
from maskwright.inference import Predictor
from maskwright.models import bundle
from maskwright.models.bundle import Card, CardClasses
from maskwright.tasks.label_files import WRITERS, write_mask
from maskwright.tasks.label_map import LabelMap
from maskwright.tasks.writer import Writer
from maskwright.workflows.predict import predict
from maskwright.workflows.predict_request import PredictRequest

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = Classes(("background", "leaf", "Käfer"), ((0, 0, 0), (20, 200, 40), (250, 120, 10)))


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a small untrained network, whose masks have something of every class."""
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("run")
    segmenter = models.create("swiftnet", classes=3)
    card = Card(
        model=ModelPlan(name="swiftnet"),
        classes=CardClasses.of(CLASSES),
        data=DataPlan(scale=0.5),
        predict=PredictPlan(tile=(64, 64)),
    )
    bundle.save(folder / "model.safetensors", segmenter, card)
    return folder


def write_image(path: Path, size: tuple[int, int] = (60, 90), seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = cv2.GaussianBlur(np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8), (0, 0), 3)
    assert cv2.imwrite(str(path), cv2.normalize(pixels, None, 0, 255, cv2.NORM_MINMAX))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for index, name in enumerate(("a.png", "b.jpg", "deep/er/c.png")):
        write_image(tmp_path / "images" / name, (60 + index, 90), index)
    return tmp_path / "images"


def test_masks_keep_their_place_size_and_colours(run_folder: Path, images: Path, tmp_path: Path) -> None:
    result = predict(run_folder, [images], tmp_path / "out", PredictRequest(device="cpu"))
    assert result.failures == []
    assert result.outputs == tuple(tmp_path / "out" / "masks" / name for name in ("a.png", "b.png", "deep/er/c.png"))
    predictor = Predictor.load(run_folder, "cpu")
    for entry in result.images:
        expected = predictor.predict(entry.source).labels
        picture = Image.open(entry.files["mask"])
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.array(picture), expected)
        np.testing.assert_array_equal(np.array(picture.convert("RGB")), np.array(CLASSES.colors, np.uint8)[expected])
        np.testing.assert_array_equal(read_mask(entry.files["mask"]).array, expected)
        counts = np.bincount(expected.ravel(), minlength=3)
        assert entry.summary == {name: n for name, n in zip(CLASSES.names, counts, strict=True) if n}
    assert json.loads(picture.info["Classes"]) == list(CLASSES.names)


def test_probabilities_and_overlays(run_folder: Path, images: Path, tmp_path: Path) -> None:
    result = predict(
        run_folder,
        [images / "b.jpg"],
        tmp_path / "out",
        PredictRequest(save=("overlay", "probabilities"), device="cpu"),
    )
    assert result.outputs == (tmp_path / "out/overlays/b.jpg", tmp_path / "out/probabilities/b.npz")
    expected = Predictor.load(run_folder, "cpu").predict(images / "b.jpg")
    with np.load(result.outputs[1]) as archive:
        assert archive["probabilities"].dtype == np.float16
        np.testing.assert_allclose(archive["probabilities"], expected.maps, atol=1e-3)
        assert archive["classes"].tolist() == list(CLASSES.names)
    overlay = np.array(Image.open(result.outputs[0]), float)
    assert np.abs(overlay - expected.overlay()).mean() < 6
    assert [path.name for path in (tmp_path / "out/probabilities").iterdir()] == ["b.npz"]


def test_a_stack_leaves_one_mask_a_page(run_folder: Path, images: Path, tmp_path: Path) -> None:
    pages = np.stack([cv2.imread(str(images / "a.png"), cv2.IMREAD_GRAYSCALE)[:, ::step] for step in (1, -1)])
    stack = tmp_path / "stack.tif"
    tifffile.imwrite(stack, pages, photometric="minisblack")
    result = predict(run_folder, [stack], tmp_path / "out", PredictRequest(save=["mask", "coco"], device="cpu"))
    assert result.failures == []
    assert [(entry.source, entry.page) for entry in result.images] == [(stack, 0), (stack, 1)]
    assert result.outputs[:2] == tuple(tmp_path / "out/masks/stack.tif" / name for name in ("0.png", "1.png"))
    predictor = Predictor.load(run_folder, "cpu")
    for page, entry in enumerate(result.images):
        expected = predictor.predict(pages[page]).labels
        np.testing.assert_array_equal(read_mask(entry.files["mask"]).array, expected)
        np.testing.assert_array_equal(predictor.predict(ImageRef(stack, page)).labels, expected)
    content = json.loads((tmp_path / "out/predictions.json").read_text(encoding="utf-8"))
    assert [entry["file_name"] for entry in content["images"]] == ["stack.tif#0", "stack.tif#1"]


def test_a_bad_page_stops_no_other(run_folder: Path, tmp_path: Path) -> None:
    stack = tmp_path / "stack.tif"
    tifffile.imwrite(stack, np.zeros((2, 60, 90, 5), np.uint8), photometric="minisblack", planarconfig="contig")
    result = predict(run_folder, [stack], tmp_path / "out", PredictRequest(device="cpu"))
    assert [failure.path for failure in result.failures] == [stack, stack]
    assert "stack.tif, page 1: the image has 5 channels" in result.failures[1].reason


@pytest.mark.parametrize("kind", ["coco", "coco-polygons"])
def test_coco_says_what_the_masks_say(run_folder: Path, images: Path, tmp_path: Path, kind: str) -> None:
    result = predict(run_folder, [images], tmp_path / "out", PredictRequest(save=["mask", kind], device="cpu"))
    content = json.loads((tmp_path / "out/predictions.json").read_text(encoding="utf-8"))
    assert content["categories"] == [{"id": 1, "name": "leaf"}, {"id": 2, "name": "Käfer"}]
    assert [entry["file_name"] for entry in content["images"]] == ["a.png", "b.jpg", "deep/er/c.png"]
    assert [entry["id"] for entry in content["annotations"]] == list(range(1, len(content["annotations"]) + 1))
    predictor = Predictor.load(run_folder, "cpu")
    for entry, done in zip(content["images"], result.images, strict=True):
        labels = read_mask(done.files["mask"]).array
        probabilities = predictor.predict(done.source).maps
        assert (entry["height"], entry["width"]) == labels.shape
        painted = np.zeros_like(labels)
        for annotation in content["annotations"]:
            if annotation["image_id"] != entry["id"]:
                continue
            mask = decoded(annotation["segmentation"], labels.shape)
            assert not painted[mask].any()
            painted[mask] = annotation["category_id"]
            assert annotation["area"] == mask.sum()
            assert cv2.connectedComponents(mask.astype(np.uint8))[0] == 2
            assert annotation["bbox"] == list(cv2.boundingRect(mask.astype(np.uint8)))
            assert annotation["score"] == pytest.approx(probabilities[annotation["category_id"]][mask].mean(), abs=1e-3)
        np.testing.assert_array_equal(painted, labels)
    shapes = {type(annotation["segmentation"]) for annotation in content["annotations"]}
    assert list in shapes if kind == "coco-polygons" else shapes == {dict}


def decoded(segmentation: list[list[float]] | dict[str, object], size: tuple[int, int]) -> np.ndarray:
    codes = coco.merge(coco.frPyObjects(segmentation, *size)) if isinstance(segmentation, list) else segmentation
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools under NumPy 2
        return coco.decode(codes).astype(bool)


def test_bad_files_are_reported_and_the_rest_goes_on(run_folder: Path, images: Path, tmp_path: Path) -> None:
    (images / "cut.png").write_bytes((images / "a.png").read_bytes()[:300])
    (images / "empty.jpg").write_bytes(b"")
    holes = np.zeros((20, 20), np.float32)
    holes[3, 3] = np.nan
    tifffile.imwrite(images / "holes.tif", holes)
    tifffile.imwrite(images / "bands.tif", np.zeros((20, 20, 7), np.uint8))
    tifffile.imwrite(images / "deep.tif", np.zeros((20, 20), np.uint16))
    save = ("mask", "overlay", "probabilities", "coco")
    result = predict(
        run_folder, [images, tmp_path / "gone.png"], tmp_path / "out", PredictRequest(save=save, device="cpu")
    )
    assert [entry.source.name for entry in result.images] == ["a.png", "b.jpg", "c.png"]
    reasons = {failure.path.name: failure.reason for failure in result.failures}
    assert sorted(reasons) == ["bands.tif", "cut.png", "deep.tif", "empty.jpg", "gone.png", "holes.tif"]
    assert all(name in reason for name, reason in reasons.items())
    assert "7 channels" in reasons["bands.tif"]
    assert all("value_range" in reasons[name] for name in ("holes.tif", "deep.tif"))
    assert len(list((tmp_path / "out").rglob("*.*"))) == 3 * 3 + 1


def test_running_out_of_memory_on_one_image_is_a_failure(
    run_folder: Path, images: Path, tmp_path: Path, monkeypatch
) -> None:
    read = Predictor.read

    def starved(self: Predictor, image: ImageRef) -> np.ndarray:
        if image.name == "b.jpg":
            raise MemoryError("Unable to allocate 9 TiB")
        return read(self, image)

    monkeypatch.setattr(Predictor, "read", starved)
    result = predict(run_folder, [images], tmp_path / "out", PredictRequest(device="cpu"))
    assert [failure.path.name for failure in result.failures] == ["b.jpg"]
    assert "9 TiB" in result.failures[0].reason


@pytest.mark.parametrize(("said", "left_out"), [("[enforce fail] can't allocate memory: 9 TiB", True), ("odd", False)])
def test_torch_out_of_memory_on_one_image_is_a_failure_and_nothing_else_of_its_kind(
    run_folder: Path, images: Path, tmp_path: Path, monkeypatch, said: str, left_out: bool
) -> None:
    whole = Predictor.blocks

    def starved(self: Predictor, image: np.ndarray) -> object:
        if image.shape[0] == read_image(images / "b.jpg").shape[0]:
            raise RuntimeError(said)
        return whole(self, image)

    monkeypatch.setattr(Predictor, "blocks", starved)
    if left_out:
        result = predict(run_folder, [images], tmp_path / "out", PredictRequest(device="cpu"))
        assert "9 TiB" in result.failures[0].reason
        return
    with pytest.raises(RuntimeError, match="odd"):
        predict(run_folder, [images], tmp_path / "out", PredictRequest(device="cpu"))


def test_results_are_not_taken_for_images(run_folder: Path, images: Path) -> None:
    save = ("mask", "overlay", "probabilities")
    first = predict(run_folder, [images], images / "out", PredictRequest(save=save, device="cpu"))
    again = predict(run_folder, [images], images / "out", PredictRequest(save=save, device="cpu"))
    assert again.outputs == first.outputs
    pattern = predict(run_folder, [str(images / "**" / "*.*")], images / "other", PredictRequest(device="cpu"))
    assert len(pattern.outputs) == 3
    with pytest.raises(MaskwrightError, match="written by maskwright"):
        predict(run_folder, [images / "out"], images / "third", PredictRequest(device="cpu"))
    named = predict(run_folder, [images / "out" / "masks" / "a.png"], images / "third", PredictRequest(device="cpu"))
    assert len(named.outputs) == 1


def test_results_beside_the_images_make_no_data_set_of_them(run_folder: Path, images: Path) -> None:
    save = ("mask", "overlay")
    predict(run_folder, [images], images / "out", PredictRequest(save=save, device="cpu"))
    assert predict(run_folder, [images], images / "out", PredictRequest(save=save, device="cpu")).notes == ()


def test_a_name_too_long_for_its_results_fails_alone(run_folder: Path, images: Path, tmp_path: Path) -> None:
    write_image(images / f"{'x' * 251}.png")
    write_image(images / f"{'y' * 251}.bmp")
    write_image(images / f"{'y' * 251}.png")  # its results are called after the whole name
    result = predict(run_folder, [images], tmp_path / "out", PredictRequest(device="cpu"))
    assert {entry.source.name[0] for entry in result.images} == {"a", "b", "c", "x"}
    assert {failure.path.name[0] for failure in result.failures} == {"y"}
    assert "which is too long for a file" in result.failures[0].reason


def test_the_masks_of_a_data_set_are_not_predicted(run_folder: Path, images: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "masks" / "a.png")
    result = predict(run_folder, [tmp_path], tmp_path / "out", PredictRequest(device="cpu"))
    assert [entry.source.name for entry in result.images] == ["a.png", "b.jpg", "c.png"]
    assert "its 3 images are predicted, and 1 other picture" in result.notes[0]


def test_what_is_not_a_result_is_never_overwritten(run_folder: Path, images: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "masks" / "b.png")
    before = (tmp_path / "masks" / "b.png").read_bytes()
    with pytest.raises(MaskwrightError, match=r"masks/b\.png exists"):
        predict(run_folder, [images], tmp_path, PredictRequest(device="cpu"))
    assert (tmp_path / "masks" / "b.png").read_bytes() == before
    assert not (tmp_path / "masks" / "a.png").exists()
    (tmp_path / "predictions.json").write_text("{}")
    with pytest.raises(MaskwrightError, match=r"predictions\.json exists"):
        predict(run_folder, [images / "a.png"], tmp_path, PredictRequest(save=["coco"], device="cpu"))


def test_progress_runs_from_nothing_to_all(run_folder: Path, images: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    predict(
        run_folder,
        [images],
        tmp_path / "out",
        PredictRequest(device="cpu"),
        on_progress=lambda *step: seen.append(step),
    )
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_progress_moves_within_an_image_of_several_tiles(run_folder: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "a.png")
    write_image(tmp_path / "large.png", (500, 400))
    seen: list[tuple[float, int]] = []
    predict(
        run_folder,
        [tmp_path],
        tmp_path / "out",
        PredictRequest(device="cpu"),
        on_progress=lambda *step: seen.append(step),
    )
    assert [step for step in seen if step[0] <= 1] == [(0, 2), (1, 2)]
    within = [done for done, _ in seen if 1 < done < 2]
    assert len(within) > 8
    assert seen == sorted(seen)
    assert seen[-1] == (2, 2)
    assert max(np.diff(within)) < 0.2


def test_a_kind_that_measures_gets_the_pixel_size(run_folder: Path, images: Path, tmp_path: Path, monkeypatch) -> None:
    given = []

    def measure(path: Path, _image: object, _result: object, _classes: object, size: PixelSize | None) -> None:
        given.append(size)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(MARK)

    monkeypatch.setitem(WRITERS, "lengths", Writer("lengths", ".csv", measure=measure))
    request = PredictRequest(save=["mask", "lengths"], device="cpu", pixel_size="0.5um")
    result = predict(run_folder, [images / "b.jpg"], tmp_path / "out", request)
    assert result.images[0].files["lengths"] == tmp_path / "out/lengths/b.csv"
    predict(run_folder, [images / "b.jpg"], tmp_path / "out", replace(request, pixel_size=None))
    tifffile.imwrite(
        tmp_path / "a.tif", cv2.imread(str(images / "b.jpg")), imagej=True, resolution=(4, 4), metadata={"unit": "um"}
    )
    predict(run_folder, [tmp_path / "a.tif"], tmp_path / "out", replace(request, pixel_size=None))
    predict(run_folder, [tmp_path / "a.tif"], tmp_path / "out", request)
    assert given == [PixelSize(0.5, "um"), None, PixelSize(0.25, "um"), PixelSize(0.5, "um")]
    with pytest.raises(MaskwrightError, match="as mask holds no measured lengths: save zarr or lengths too, or"):
        predict(run_folder, [images], tmp_path / "out", replace(request, save=None))


def test_a_folder_that_cannot_be_written_is_named(run_folder: Path, images: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MaskwrightError, match="file is a file: name a folder"):
        predict(run_folder, [images], tmp_path / "file", PredictRequest(device="cpu"))
    with pytest.raises(MaskwrightError, match=r"below cannot be created, because .*file is a file: choose"):
        predict(run_folder, [images], tmp_path / "file" / "below", PredictRequest(device="cpu"))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("maskwright.core.files._new_beside", refuse)
    with pytest.raises(MaskwrightError, match="read-only"):
        predict(run_folder, [images], tmp_path / "out", PredictRequest(device="cpu"))


def test_a_full_disk_stops_the_work_and_leaves_nothing_half(
    run_folder: Path, images: Path, tmp_path: Path, monkeypatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("maskwright.tasks.label_files.os.posix_fallocate", full, raising=False)
    with pytest.raises(MaskwrightError, match="disk is full"):
        predict(run_folder, [images], tmp_path / "out", PredictRequest(save=["probabilities"], device="cpu"))
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_wrong_requests_are_refused_before_any_work(run_folder: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    wrong = (
        (["masks"], "did you mean 'mask'"),
        (["coco", "coco-polygons"], "same file"),
        ([], "`save` is empty, so nothing would be written"),
    )
    with pytest.raises(MaskwrightError, match=r"the pixel size 2nm has no effect, as mask .*: save zarr too, or"):
        predict(run_folder, [images], out, PredictRequest(device="cpu", pixel_size="2nm"))
    for save, words in wrong:
        with pytest.raises(MaskwrightError, match=words):
            predict(run_folder, [images], out, PredictRequest(save=save, device="cpu"))
    for sources, words in (([], "no image"), (["nowhere"], "does not exist"), ([str(images / "*.gif")], "matches no")):
        with pytest.raises(MaskwrightError, match=words):
            predict(run_folder, sources, out, PredictRequest(device="cpu"))
    with pytest.raises(MaskwrightError, match="has no model"):
        predict(tmp_path, [images], out, PredictRequest(device="cpu"))
    assert not out.exists()


def test_kinds_may_come_as_one_text(run_folder: Path, images: Path, tmp_path: Path) -> None:
    result = predict(
        run_folder, [images / "a.png"], tmp_path / "out", PredictRequest(save="mask, overlay", device="cpu")
    )
    assert [path.parent.name for path in result.outputs] == ["masks", "overlays"]


def test_after_the_network_no_result_takes_memory_beyond_a_few_copies(tmp_path: Path) -> None:
    labels = np.zeros((4000, 3000), np.uint8)
    labels[1000:2000, 500:900] = 2
    tracemalloc.start()
    result = LabelMap(labels)
    assert result.pixels(CLASSES) == {"background": 11_600_000, "Käfer": 400_000}
    write_mask(tmp_path / "mask.png", labels, result, CLASSES)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2 * labels.nbytes
