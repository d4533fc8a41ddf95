"""A training on rasters with pixels without data: finite losses, a fair score, and a model that knows on its own."""

from __future__ import annotations

import csv
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.workflows import toy_data as toy

from maskwright.core.classes import IGNORE
from maskwright.core.read_options import ReadOptions
from maskwright.data.readers import image_size
from maskwright.postprocess.superpixel_filter import SuperpixelFilter
from maskwright.workflows.predict import predict
from maskwright.workflows.predict_request import PredictRequest
from maskwright.workflows.train import train

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("quiet_machine")
EMPTY = -9999


def raster(seed: int) -> tuple[np.ndarray, np.ndarray]:
    image, mask = toy.picture(seed)
    values = image.mean(axis=2).astype(np.float32)
    values[:6] = EMPTY
    return values, mask


def test_nothing_but_the_bundle_is_needed_to_leave_them_out_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, fit = [], SuperpixelFilter.fit
    monkeypatch.setattr(SuperpixelFilter, "fit", lambda given, *rest: samples.extend(given) or fit(given, *rest))
    data = tmp_path / "data"
    for folder in ("images", "masks"):
        (data / folder).mkdir(parents=True)
    for number in range(12):
        values, mask = raster(number)
        tifffile.imwrite(data / f"images/{number}.tif", values)
        Image.fromarray(mask).save(data / f"masks/{number}.png")
    asked = toy.request("postprocess.superpixels={side: 6}", steps=4, read=ReadOptions(nodata=EMPTY))
    result = train(data, asked, tmp_path / "run")
    with (tmp_path / "run/history.csv").open(encoding="utf-8", newline="") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file) if row.get("loss")]
    assert samples, "the plan asks for a postprocessor"
    assert all(np.isfinite(sample.maps).all() for sample in samples)
    assert losses
    assert np.isfinite(losses).all()
    assert result.scores is not None
    assert result.scores.score.value is not None
    ((low, high),) = toy.plan_of(tmp_path / "run").data.value_range
    assert 0 <= low < high <= 255
    (tmp_path / "alone").mkdir()
    shutil.copy(tmp_path / "run/model.safetensors", tmp_path / "alone/model.safetensors")
    done = predict(
        tmp_path / "alone",
        [data / "images"],
        tmp_path / "out",
        PredictRequest(["mask", "coco", "probabilities"], "cpu"),
    )
    assert not done.failures
    for number in range(12):
        labels = np.asarray(Image.open(tmp_path / f"out/masks/{number}.png"))
        assert (labels[:6] == IGNORE).all()
        assert (labels[6:] != IGNORE).all()
        probabilities = np.load(tmp_path / f"out/probabilities/{number}.npz")["probabilities"]
        assert np.isnan(probabilities[:, :6]).all()
        assert np.isfinite(probabilities[:, 6:]).all()


def test_a_model_of_stored_pixels_predicts_stored_pixels(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for folder in ("images", "masks"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    for number in range(12):
        image, mask = toy.picture(number)
        Image.fromarray(image).save(tmp_path / f"data/images/{number}.jpg", exif=exif, quality=95)
        Image.fromarray(mask).save(tmp_path / f"data/masks/{number}.png")
    train(tmp_path / "data", toy.request(steps=2), tmp_path / "run")
    (tmp_path / "alone").mkdir()
    shutil.copy(tmp_path / "run/model.safetensors", tmp_path / "alone/model.safetensors")
    done = predict(tmp_path / "alone", [tmp_path / "data/images"], tmp_path / "out", PredictRequest(device="cpu"))
    assert any("as pixels are stored" in note for note in done.notes)
    assert image_size(tmp_path / "out/masks/0.png") == toy.SIZE
