"""Rejection of scans and of the frames of videos: their risk by hand, over an interruption, and in the table."""

from __future__ import annotations

import csv
import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import torch
from tests.data.videos import write_clip
from torch import nn

from maskwright import models
from maskwright.cli.main import run as terminal
from maskwright.core.classes import Classes
from maskwright.core.plan import CrfPlan, DataPlan, ModelPlan, PredictPlan
from maskwright.core.records import ImageRef
from maskwright.diagnosis.risk import FEW_PIXELS
from maskwright.inference import Predictor
from maskwright.models import bundle
from maskwright.models.bundle import Card, CardClasses
from maskwright.ops.rows import ArrayRows
from maskwright.postprocess import find_postprocessor
from maskwright.workflows.predict import predict
from maskwright.workflows.predict_parts import scan_plan
from maskwright.workflows.predict_parts.bands import PanelBands
from maskwright.workflows.predict_parts.pictures import Picture
from maskwright.workflows.predict_parts.scans import identity
from maskwright.workflows.predict_request import PredictRequest

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

pytestmark = pytest.mark.usefixtures("one_thread")

OFFSETS, TEMPERATURE = [0.0, 0.3, -0.2], 2.5
SIZE = 192, 128
REJECT = PredictRequest(["mask"], reject="0.01")


@pytest.fixture(autouse=True)
def _everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_plan, "SCAN_PIXELS", 1000)


def card(decoding: dict[str, Any], **how: Any) -> Card:
    classes = CardClasses.of(Classes.named(["one", "two", "three"]))
    plan = PredictPlan(tile=(64, 64), **how)
    return Card(model=ModelPlan(name="swiftnet"), classes=classes, data=DataPlan(), predict=plan, decoding=decoding)


def rows_of(decoding: dict[str, Any]) -> Predictor:
    """Return a network that can be computed by rows."""
    torch.manual_seed(3)
    return Predictor.of(models.create("swiftnet", classes=3), card(decoding, window=(64, 96)), "cpu")


def tiles_of(decoding: dict[str, Any]) -> Predictor:
    """Return a network that cannot, and looks at one pixel."""
    torch.manual_seed(3)
    return Predictor.of(nn.Conv2d(3, 3, 1), card(decoding), "cpu")  # type: ignore[arg-type]


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "scan.tif", pixels, photometric="rgb", tile=(64, 64))
    return tmp_path / "scan.tif"


def interrupted(predictor: Predictor, scan: Path, out: Path, request: PredictRequest) -> None:
    """Predict the first rows of a scan."""
    put = PanelBands.put

    def dying(self: PanelBands, labels: np.ndarray) -> None:
        if self.end > 0:
            raise KeyboardInterrupt
        put(self, labels)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PanelBands, "put", dying)
        with pytest.raises(KeyboardInterrupt):
            predict(predictor, [scan], out, request)


def risk_by_hand(raw: NDArray[np.float64], offsets: list[float], temperature: float) -> float:
    """1 - the mean expected IoU of the classes, weighted by the chance that the image shows them."""
    logits = (raw + np.array(offsets)[:, None, None]) / temperature
    shares = np.exp(logits - logits.max(0))
    shares /= shares.sum(0)
    given = shares.argmax(0)
    total = shares.sum((1, 2))
    inside = np.array([shares[number][given == number].sum() for number in range(len(raw))])
    said = np.bincount(given.ravel(), minlength=len(raw))
    weight = 1 - np.exp(-total / (FEW_PIXELS * total.sum()))
    return float(1 - np.sum(weight * inside / (said + total - inside)) / weight.sum())


@pytest.mark.parametrize("made", [rows_of, tiles_of])
@pytest.mark.parametrize("fitted", [True, False])
def test_the_risk_of_a_scan_by_hand(tmp_path: Path, scan: Path, made: Any, fitted: bool) -> None:
    decoding = {"offsets": OFFSETS, "temperature": TEMPERATURE} if fitted else {}
    predictor = made(decoding)
    result = predict(predictor, [scan], tmp_path / "out", REJECT)
    assert any("by rows, without tiles" in note for note in result.notes) is (made is rows_of)
    raw = predictor.engine.forward(tifffile.imread(scan)[None])[0].double().numpy()
    expected = risk_by_hand(raw, OFFSETS, TEMPERATURE) if fitted else risk_by_hand(raw, [0, 0, 0], 1.0)
    assert result.images[0].risk == pytest.approx(expected, abs=1e-4)
    assert result.rejected == result.images
    plain = predict(predictor, [scan], tmp_path / "plain", PredictRequest(["mask"]))
    assert plain.images[0].risk is None, "it takes time, so only `reject` asks for it"
    one, other = ((tmp_path / name / "masks/scan.tif").read_bytes() for name in ("out", "plain"))
    assert one == other, "a rule of rejection changes no label"


@pytest.mark.parametrize("made", [rows_of, tiles_of])
def test_an_interrupted_scan_ends_with_the_same_risk(
    tmp_path: Path, scan: Path, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskwright.inference.streamed.TURN_PIXELS", 4096)
    predictor = made({"offsets": OFFSETS, "temperature": TEMPERATURE})
    whole = predict(predictor, [scan], tmp_path / "whole", REJECT)
    interrupted(predictor, scan, tmp_path / "out", REJECT)
    again = predict(predictor, [scan], tmp_path / "out", REJECT)
    assert any("goes on at row" in note for note in again.notes)
    assert again.images[0].risk == whole.images[0].risk
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["masks", "risk.csv"]


def test_rows_without_sums_are_not_taken_for_a_risk(tmp_path: Path, scan: Path) -> None:
    predictor = tiles_of({"offsets": OFFSETS, "temperature": TEMPERATURE})
    interrupted(predictor, scan, tmp_path / "out", PredictRequest(["mask"]))
    again = predict(predictor, [scan], tmp_path / "out", REJECT)
    assert not any("goes on" in note for note in again.notes)
    assert again.images[0].risk is not None


def test_rows_behind_a_postprocessor_belong_to_one_of_the_two(scan: Path) -> None:
    """Their decoding is the same with and without a rule, and only one of them has sums."""
    predictor, source = tiles_of({}), ArrayRows(tifffile.imread(scan))
    picture = Picture(ImageRef(scan), PurePosixPath("scan.tif"), PurePosixPath("scan"))
    assert identity(predictor, picture, source) != identity(predictor, picture, source, judged=True)


def test_a_scan_behind_a_postprocessor_equals_the_image_read_whole(
    tmp_path: Path, scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The postprocessor is fitted on calibrated probabilities, so it needs the temperature in a scan too."""
    plain = tiles_of({"offsets": OFFSETS, "temperature": TEMPERATURE})
    predictor = plain.with_postprocessor(find_postprocessor("crf")(CrfPlan()))
    rows = predict(predictor, [scan], tmp_path / "rows", REJECT).images[0]
    monkeypatch.setattr(scan_plan, "SCAN_PIXELS", 10**9)
    whole = predict(predictor, [scan], tmp_path / "whole", REJECT).images[0]
    assert [image.files["mask"].suffix for image in (rows, whole)] == [".tif", ".png"]
    assert rows.summary == whole.summary
    assert rows.risk == pytest.approx(whole.risk)


def test_frames_of_a_video_are_rejected_like_images(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(3)
    bundle.save(tmp_path / "run/model.safetensors", models.create("swiftnet", classes=3), card({}))
    clip = write_clip(tmp_path / "in" / "a.mp4", 5)
    line = ["predict", str(tmp_path / "run"), str(clip), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert terminal([*line, "--reject", "40%"]) == 0
    assert "2 of 5 frames rejected: see risk.csv" in capfd.readouterr().out
    text = (tmp_path / "out/frames/a.jsonl").read_text(encoding="utf-8")
    risks = {entry["frame"]: entry["risk"] for entry in map(json.loads, text.splitlines()[1:])}
    ranked = sorted(risks, key=lambda number: -risks[number])
    with (tmp_path / "out/risk.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["page"]) for row in rows] == ranked
    assert [float(row["risk"]) for row in rows] == [risks[number] for number in ranked]
    assert [row["rejected"] for row in rows] == ["1", "1", "0", "0", "0"]
    assert {row["image"] for row in rows} == {str(clip)}
    assert terminal([*line, "--reject", "40%", "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["videos"][0]["rejected"] == sorted(ranked[:2])
    assert document["notes"] == []
    assert terminal([*line, "--json"]) == 0
    assert "rejected" not in json.loads(capfd.readouterr().out)["videos"][0]
    assert not predict(tmp_path / "run", [clip], tmp_path / "out", PredictRequest(["mask"])).videos[0].risks
