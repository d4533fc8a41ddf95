"""Large images whose results go to an object store: an interrupted prediction goes on there, in a store in memory."""

from __future__ import annotations

import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from torch import nn

from maskwright.core.classes import Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import DataPlan, ModelPlan, PredictPlan
from maskwright.inference import Predictor
from maskwright.models.bundle import Card, CardClasses
from maskwright.workflows.predict import predict
from maskwright.workflows.predict_parts import destinations, scan_plan
from maskwright.workflows.predict_parts.bands import PanelBands
from maskwright.workflows.predict_request import PredictRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

memory = pytest.importorskip("fsspec.implementations.memory")

pytestmark = pytest.mark.usefixtures("one_thread")

OUT = "s3://b/o[1]"
REQUEST = PredictRequest(["mask"])


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A store in memory, which every `s3://` names; and every image is large."""
    held = memory.MemoryFileSystem()
    monkeypatch.setattr(destinations, "opened_store", lambda url: (held, f"/{url.removeprefix('s3://')}"))
    monkeypatch.setattr(scan_plan, "SCAN_PIXELS", 1000)
    held.store.clear()
    yield held
    held.store.clear()


def predictor_of(weight: float) -> Predictor:
    """Return the model of a network that compares red with green."""
    network = nn.Conv2d(3, 2, 1)
    nn.init.zeros_(network.weight)
    nn.init.zeros_(network.bias)
    network.weight.data[0, 0], network.weight.data[1, 1] = 1.0, weight
    classes = CardClasses.of(Classes.named(["one", "two"]))
    plan = PredictPlan(tile=(64, 64))
    return Predictor.of(network, Card(model=ModelPlan(), classes=classes, data=DataPlan(), predict=plan), "cpu")  # type: ignore[arg-type]


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 100, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "scan.tif", pixels, photometric="rgb", tile=(64, 64))
    return tmp_path / "scan.tif"


def interrupted(scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Predict the first two bands of a scan."""
    put = PanelBands.put

    def dying(self: PanelBands, labels: np.ndarray) -> None:
        if len(self._edges) > 2:
            raise KeyboardInterrupt
        put(self, labels)

    with monkeypatch.context() as patch:
        patch.setattr(PanelBands, "put", dying)
        with pytest.raises(KeyboardInterrupt):
            predict(predictor_of(1.0), [scan], OUT, REQUEST)


def names(store: Any) -> list[str]:
    return sorted(name.removeprefix("/b/o[1]/") for name in store.find("/b/o[1]"))


def test_it_goes_on_where_it_stopped(tmp_path: Path, scan: Path, store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(scan, monkeypatch)
    assert names(store) == [".scan.parts/000000.zip"]
    with store.open("/b/o[1]/.scan.parts/000000.zip") as stream, zipfile.ZipFile(stream) as archive:
        edges = [PurePosixPath(name).stem.split("-")[1:] for name in archive.namelist() if name.endswith(".z")]
    assert len(edges) == 2
    row = int(edges[-1][1])
    result = predict(predictor_of(1.0), [scan], OUT, REQUEST)
    assert str(result.outputs[0]) == "s3://b/o[1]/masks/scan.tif"
    assert [note for note in result.notes if note.endswith(f"goes on at row {row} of 300")]
    assert names(store) == ["masks/scan.tif"]
    predict(predictor_of(1.0), [scan], tmp_path / "here", REQUEST)
    assert store.cat_file("/b/o[1]/masks/scan.tif") == (tmp_path / "here/masks/scan.tif").read_bytes()


@pytest.mark.parametrize("changed", ["model", "image"])
def test_rows_of_another_prediction_are_removed(
    tmp_path: Path, scan: Path, store: Any, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    interrupted(scan, monkeypatch)
    if changed == "image":
        tifffile.imwrite(scan, tifffile.imread(scan)[::-1], photometric="rgb", tile=(64, 64))
    predictor = predictor_of(0.5 if changed == "model" else 1.0)
    monkeypatch.setattr(destinations, "JOURNAL_SECONDS", 0.0)
    before = []
    put_file = store.put_file

    def watched(file: str, name: str, **options: Any) -> None:
        if name.endswith(".zip"):
            before.append([each for each in names(store) if each.endswith(".zip")])
        put_file(file, name, **options)

    monkeypatch.setattr(memory.MemoryFileSystem, "put_file", lambda _, *names, **options: watched(*names, **options))
    result = predict(predictor, [scan], OUT, REQUEST)
    assert not any("goes on" in note for note in result.notes)
    assert before[0] == []  # nothing of the other prediction was there when the first archive of this one came
    assert names(store) == ["masks/scan.tif"]
    predict(predictor, [scan], tmp_path / "here", REQUEST)
    assert store.cat_file("/b/o[1]/masks/scan.tif") == (tmp_path / "here/masks/scan.tif").read_bytes()


def test_rows_go_there_once(scan: Path, store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destinations, "JOURNAL_SECONDS", 0.0)
    bands = []
    put_file = store.put_file

    def watched(file: str, name: str, **options: Any) -> None:
        if name.endswith(".zip"):
            with zipfile.ZipFile(file) as archive:
                bands.append([each for each in archive.namelist() if each.endswith(".z")])
        put_file(file, name, **options)

    monkeypatch.setattr(memory.MemoryFileSystem, "put_file", lambda _, *names, **options: watched(*names, **options))
    predict(predictor_of(1.0), [scan], OUT, REQUEST)
    taken = [name for archive in bands for name in archive]
    assert len(bands) > 1
    assert len(taken) == len(set(taken))


def test_rows_of_a_later_scan_stay_until_it_is_predicted(
    tmp_path: Path, scan: Path, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(scan, monkeypatch)
    first = scan.with_name("a.tif")
    first.write_bytes(scan.read_bytes())
    result = predict(predictor_of(1.0), [first, scan], OUT, REQUEST)
    assert [note for note in result.notes if "scan.tif: the prediction goes on at row" in note]
    assert names(store) == ["masks/a.tif", "masks/scan.tif"]


@pytest.mark.parametrize("content", [b"no archive", b""])
def test_a_damaged_archive_is_named(scan: Path, store: Any, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    interrupted(scan, monkeypatch)
    store.pipe_file("/b/o[1]/.scan.parts/000001.zip", content)
    with pytest.raises(MaskwrightError, match=r"000001\.zip should hold finished rows .* is damaged .*: remove it"):
        predict(predictor_of(1.0), [scan], OUT, REQUEST)
    assert names(store) == [".scan.parts/000000.zip", ".scan.parts/000001.zip"]
