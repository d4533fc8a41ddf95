"""Scans: label maps of images that are never held, interrupted predictions, and what becomes of bad files."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from tests.data.test_cog import faults
from torch import nn

from maskwright import models
from maskwright.core.classes import Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import DataPlan, ModelPlan, PredictPlan
from maskwright.core.records import ImageRef
from maskwright.data.readers import read_image
from maskwright.data.results import written_by_us
from maskwright.inference import Predictor, streamed
from maskwright.inference.streamed import RowEngine
from maskwright.inference.streaming.panels import Panel, cut
from maskwright.inference.streaming.tracing import NotStreamableError
from maskwright.models import bundle
from maskwright.models.bundle import Card, CardClasses
from maskwright.tasks import Block
from maskwright.workflows.predict import predict
from maskwright.workflows.predict_parts import scan_plan
from maskwright.workflows.predict_parts.bands import LabelBands, PanelBands
from maskwright.workflows.predict_parts.scan_plan import is_scan
from maskwright.workflows.predict_parts.scans import fill
from maskwright.workflows.predict_request import PredictRequest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("one_thread")

CLASSES = Classes(("background", "leaf", "Käfer"), ((0, 0, 0), (20, 200, 40), (250, 120, 10)))
KILLED = """
import os, signal, sys
from maskwright.inference import streamed
from maskwright.workflows.predict_parts import bands, scan_plan
from maskwright.workflows.predict import predict
from maskwright.workflows.predict_request import PredictRequest
import torch
torch.set_num_threads(1)
scan_plan.SCAN_PIXELS = 1000
streamed.TURN_PIXELS = 1 << 18
put = bands.PanelBands.put
def dying(self, labels):
    if self.end > 0:
        os.kill(os.getpid(), signal.SIGKILL)
    put(self, labels)
bands.PanelBands.put = dying
predict(sys.argv[1], [sys.argv[2]], sys.argv[3], PredictRequest(["mask"]))
"""


@pytest.fixture(autouse=True)
def _everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_plan, "SCAN_PIXELS", 1000)
    monkeypatch.setattr(streamed, "TURN_PIXELS", 1 << 18)  # several turns


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    slow = np.random.default_rng(0).integers(0, 256, (60, 45, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(slow).resize((450, 600)))


@pytest.fixture
def scan(tmp_path: Path, pixels: np.ndarray) -> Path:
    path = tmp_path / "in" / "scan.tif"
    path.parent.mkdir()
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(64, 64), compression="zlib")
    return path


def card(scale: float = 1.0, **how: Any) -> Card:
    return Card(
        model=ModelPlan(name="swiftnet"),
        classes=CardClasses.of(CLASSES),
        data=DataPlan(scale=scale),
        predict=PredictPlan(tile=(96, 96), **how),
        decoding={"temperature": 2.0, "offsets": [0.0, 0.1, -0.1]},
    )


@pytest.fixture(scope="module")
def net() -> nn.Module:
    """The class of the colour that is strongest among a pixel and its eight neighbours."""
    found = nn.Conv2d(3, 3, 3, padding=1)
    with torch.no_grad():
        found.weight.zero_()
        found.bias.zero_()
        for channel in range(3):
            found.weight[channel, channel] = 0.3
    return found


@pytest.fixture(scope="module", params=["tiles", "rows"])
def run_folder(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A network that averages over the whole image, and one that does so over windows."""
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("run")
    how = {"window": (64, 96)} if request.param == "rows" else {}
    bundle.save(folder / "model.safetensors", models.create("swiftnet", classes=3), card(**how))
    return folder


def test_what_is_said_of_several_scans_is_said_once(scan: Path, run_folder: Path, tmp_path: Path) -> None:
    for name in ("b.tif", "c.tif"):
        (scan.parent / name).write_bytes(scan.read_bytes())
    result = predict(run_folder, [scan.parent], tmp_path / "out", PredictRequest(["mask"]))
    assert len(result.images) == 3
    (note,) = (note for note in result.notes if ": predicted " in note)
    assert note.startswith(f"{scan.parent / 'b.tif'} and 2 other images: predicted ")


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_labels_are_those_of_the_whole_image(
    tmp_path: Path, scan: Path, pixels: np.ndarray, net: nn.Module, scale: float
) -> None:
    predictor = Predictor.of(net, card(scale), "cpu")  # type: ignore[arg-type]
    result = predict(predictor, [scan], tmp_path / "out", PredictRequest(["mask", "overlay"]))
    (image,) = result.images
    assert image.files == {"mask": tmp_path / "out/masks/scan.tif", "overlay": tmp_path / "out/overlays/scan.jpg"}
    labels, whole = tifffile.imread(image.files["mask"]), predictor.result(pixels).labels
    assert len(np.unique(whole)) == 3
    assert (labels == whole).mean() >= 0.999
    counts = np.bincount(labels.ravel(), minlength=3)
    assert image.summary == {name: count for name, count in zip(CLASSES.names, counts, strict=True) if count}
    with tifffile.TiffFile(image.files["mask"]) as tiff:
        page = tiff.pages[0]
        assert (page.is_tiled, page.compression, page.photometric.name) == (True, 8, "PALETTE")
        assert (page.colormap.T[:3] >> 8).tolist() == [list(color) for color in CLASSES.colors]
    with Image.open(image.files["overlay"]) as overlay:
        assert overlay.size == (450, 600)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["masks", "overlays"]
    assert all(written_by_us(path) for path in image.files.values())
    assert "tiles of" in result.notes[0]
    assert "measured on this image" in result.notes[0]


@pytest.mark.parametrize(("scale", "size"), [(1.0, (600, 450)), (1.0, (577, 391)), (0.5, (600, 450))])
def test_by_rows_the_labels_are_those_of_one_pass(
    tmp_path: Path, pixels: np.ndarray, scale: float, size: tuple[int, int]
) -> None:
    torch.manual_seed(3)
    network = models.create("swiftnet", classes=3)
    path = tmp_path / "scan.tif"
    image = np.ascontiguousarray(pixels[: size[0], : size[1]])
    tifffile.imwrite(path, image, photometric="rgb", tile=(64, 64), extratags=PLACE)
    predictor = Predictor.of(network, card(scale, window=(64, 96)), "cpu")
    result = predict(predictor, [path], tmp_path / "out", PredictRequest(["mask"]))
    assert "by rows, without tiles" in result.notes[0]
    whole = card(scale, window=(64, 96))
    whole.predict.tile = size
    labels = Predictor.of(network, whole, "cpu").result(image).labels
    assert len(np.unique(labels)) > 1
    assert (tifffile.imread(result.images[0].files["mask"]) == labels).mean() >= 0.9999


@pytest.fixture
def three_panels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Panels of columns as if the image were wide: the network sees 600 pixels far, so each computes all columns."""

    def panels(self: RowEngine, size: tuple[int, int]) -> list[Panel]:
        return cut(self.network, -(-size[1] // 32) * 32, 3, 32)

    monkeypatch.setattr(RowEngine, "panels", panels)


@pytest.mark.parametrize(("scale", "size"), [(1.0, (577, 391)), (0.5, (600, 450))])
def test_panels_give_the_labels_of_one_stream(
    tmp_path: Path, pixels: np.ndarray, request: pytest.FixtureRequest, scale: float, size: tuple[int, int]
) -> None:
    torch.manual_seed(3)
    path = tmp_path / "scan.tif"
    image = pixels[: size[0], : size[1]].copy()
    image[100:130, 140:170] = 0
    nodata = [(42113, "s", 0, "0", True)]
    tifffile.imwrite(path, image, photometric="rgb", tile=(64, 64), extratags=[*PLACE, *nodata])
    predictor = Predictor.of(models.create("swiftnet", classes=3), card(scale, window=(64, 96)), "cpu")
    one = predict(predictor, [path], tmp_path / "one", PredictRequest(["mask"]))
    request.getfixturevalue("three_panels")
    three = predict(predictor, [path], tmp_path / "three", PredictRequest(["mask"]))
    assert "computed in 3 panels of columns" in three.notes[0]
    assert "panels of columns" not in one.notes[0]
    first, second = (tifffile.imread(found.images[0].files["mask"]) for found in (one, three))
    assert (first == second).mean() >= 0.9999
    assert (first == 255).sum() >= 900
    np.testing.assert_array_equal(first == 255, second == 255)


def test_there_are_as_few_panels_as_the_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor.of(models.create("swiftnet", classes=3), card(window=(64, 96)), "cpu")
    engine, size = RowEngine(predictor.engine), (40_000, 40_000)
    counts = []
    for most in (1 << 31, 1 << 28, 1 << 27, 1 << 20):
        monkeypatch.setattr(streamed, "MAX_PEAK_BYTES", most)
        if most == 1 << 20:
            with pytest.raises(NotStreamableError, match="MiB of memory, and 1 may be"):
                engine.panels(size)
            continue
        panels = engine.panels(size)
        widest = max(len(panel.outer) for panel in panels)
        assert engine.schedule((size[0], widest)).peak_bytes(widest) <= most
        if len(panels) > 1:
            fewer = max(len(panel.outer) for panel in cut(engine.network, size[1], len(panels) - 1, 32))
            assert engine.schedule((size[0], fewer)).peak_bytes(fewer) > most
        counts.append(len(panels))
    assert counts[0] == 1
    assert counts[0] < counts[1] < counts[2]


def test_turns_are_tall_unless_memory_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = RowEngine(Predictor.of(models.create("swiftnet", classes=3), card(window=(64, 96)), "cpu").engine)
    monkeypatch.setattr(streamed, "TURN_PIXELS", 1 << 19)
    assert [engine.schedule((40_000, width)).rows for width in (2048, 4096, 12_000)] == [256, 128, 64]
    tall = engine.schedule((40_000, 12_000)).peak_bytes(12_000)
    monkeypatch.setattr(streamed, "TALL_PEAK_BYTES", tall - 1)
    short = engine.schedule((40_000, 12_000))
    assert short.rows == 32
    assert short.peak_bytes(12_000) < tall
    assert len(engine.panels((40_000, 12_000))) == 1


@pytest.mark.usefixtures("three_panels")
def test_panels_go_on_where_they_stopped(tmp_path: Path, scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    predictor = Predictor.of(models.create("swiftnet", classes=3), card(window=(64, 96)), "cpu")
    whole = predict(predictor, [scan], tmp_path / "whole", PredictRequest(["mask"]))
    put, left = PanelBands.put, [3]

    def dying(self: PanelBands, labels: np.ndarray) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        put(self, labels)

    monkeypatch.setattr(PanelBands, "put", dying)
    with pytest.raises(KeyboardInterrupt):
        predict(predictor, [scan], tmp_path / "out", PredictRequest(["mask"]))
    monkeypatch.setattr(PanelBands, "put", put)
    again = predict(predictor, [scan], tmp_path / "out", PredictRequest(["mask"]))
    assert any("goes on at row" in note and "in panel 2" in note for note in again.notes), again.notes
    one, other = (found.images[0].files["mask"].read_bytes() for found in (whole, again))
    assert one == other


@pytest.mark.parametrize(
    ("most", "flip", "said"),
    [
        (10**6, None, "because it is averaged with the flipped image"),
        (10**6, False, "by rows, without tiles: the labels are those of the whole image in one pass"),
        (1000, None, "not averaged with the flipped image, because the network sees more than"),
        (1000, True, "because it is averaged with the flipped image"),
    ],
)
def test_large_images_are_flipped_only_when_asked(
    tmp_path: Path, scan: Path, most: int, flip: bool | None, said: str
) -> None:
    torch.manual_seed(3)
    wanted = card(window=(64, 96), flip=True, flip_pixels=most)
    predictor = Predictor.of(models.create("swiftnet", classes=3), wanted, "cpu")
    result = predict(predictor, [scan], tmp_path / "out", PredictRequest(["mask"], flip=flip))
    assert any(said in note for note in result.notes)
    flipped = said.startswith("because")
    labels = tifffile.imread(result.images[0].files["mask"])
    array = predictor.with_flip(flip).result(read_image(ImageRef(scan))).labels
    other = predictor.with_flip(not flipped).result(read_image(ImageRef(scan))).labels
    assert (labels == array).mean() > (labels == other).mean()


def test_what_has_no_data_has_no_class(tmp_path: Path, pixels: np.ndarray, net: nn.Module) -> None:
    pixels = pixels.copy()
    pixels[100:300, 200:] = 0
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(64, 64), extratags=[(42113, "s", 0, "0", True)])
    predict(Predictor.of(net, card(), "cpu"), [path], tmp_path / "out", PredictRequest())  # type: ignore[arg-type]
    labels = tifffile.imread(tmp_path / "out/masks/scan.tif")
    np.testing.assert_array_equal(labels == 255, np.ma.getmaskarray(read_image(path)).all(axis=2))
    assert (labels == 255).any()


def test_a_killed_prediction_goes_on_where_it_stopped(tmp_path: Path, scan: Path, run_folder: Path) -> None:
    predict(run_folder, [scan], tmp_path / "whole", PredictRequest(["mask"]))
    command = [sys.executable, "-c", KILLED, str(run_folder), str(scan), str(tmp_path / "out")]
    killed = subprocess.run(command, check=False, capture_output=True, timeout=300)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "out/masks").exists()
    result = predict(run_folder, [scan], tmp_path / "out", PredictRequest(["mask"]))
    assert any("goes on at row" in note for note in result.notes)
    one, other = ((tmp_path / name / "masks/scan.tif").read_bytes() for name in ("whole", "out"))
    assert one == other
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["masks"]


@pytest.mark.parametrize("changed", ["image", "model"])
def test_rows_of_another_prediction_are_not_taken(
    tmp_path: Path, scan: Path, pixels: np.ndarray, run_folder: Path, changed: str
) -> None:
    command = [sys.executable, "-c", KILLED, str(run_folder), str(scan), str(tmp_path / "out")]
    subprocess.run(command, check=False, capture_output=True, timeout=300)
    assert list((tmp_path / "out/.scan.parts").glob("*.z"))
    run = run_folder
    if changed == "image":
        os.utime(scan, (1, 1))
    else:
        torch.manual_seed(8)
        run = tmp_path / "other"
        run.mkdir()
        bundle.save(run / "model.safetensors", models.create("swiftnet", classes=3), card())
    result = predict(run, [scan], tmp_path / "out", PredictRequest(["mask"]))
    assert not any("goes on" in note for note in result.notes)
    predict(run, [scan], tmp_path / "whole", PredictRequest(["mask"]))
    one, other = ((tmp_path / name / "masks/scan.tif").read_bytes() for name in ("whole", "out"))
    assert one == other


def test_a_broken_scan_stops_nothing(tmp_path: Path, scan: Path, net: nn.Module) -> None:
    broken = scan.with_name("broken.tif")
    shutil.copy(scan, broken)
    with tifffile.TiffFile(broken) as tiff:
        offset = tiff.pages[0].dataoffsets[40]
    with broken.open("r+b") as stream:
        stream.seek(offset)
        stream.write(bytes(200))
    predictor = Predictor.of(net, card(), "cpu")  # type: ignore[arg-type]
    result = predict(predictor, [scan.parent], tmp_path / "out", PredictRequest(["mask"]))
    assert [image.source.name for image in result.images] == ["scan.tif"]
    assert "broken.tif" in result.failures[0].reason
    assert not (tmp_path / "out/masks/broken.tif").exists()


def test_channels_that_do_not_fit(tmp_path: Path, net: nn.Module) -> None:
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, np.zeros((200, 200, 7), np.uint8), photometric="minisblack", planarconfig="contig")
    predictor = Predictor.of(net, card(), "cpu")  # type: ignore[arg-type]
    (failure,) = predict(predictor, [path], tmp_path / "out", PredictRequest(["mask"])).failures
    assert "7 channels" in failure.reason


def test_other_kinds_need_the_whole_image(tmp_path: Path, scan: Path, net: nn.Module) -> None:
    predictor = Predictor.of(net, card(), "cpu")  # type: ignore[arg-type]
    (image,) = predict(predictor, [scan], tmp_path / "out", PredictRequest(["mask", "probabilities"])).images
    assert image.files["mask"].suffix == ".png"


def test_which_images_are_scans(tmp_path: Path, scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_scan(ImageRef(scan))
    assert not is_scan(ImageRef(scan, page=0))
    (tmp_path / "text.tif").write_text("no image")
    assert not is_scan(ImageRef(tmp_path / "text.tif"))
    Image.new("RGB", (400, 400)).save(tmp_path / "a.png")
    assert not is_scan(ImageRef(tmp_path / "a.png"))
    monkeypatch.setattr(scan_plan, "SCAN_PIXELS", 600 * 450)
    assert not is_scan(ImageRef(scan))


def test_bands_by_hand(tmp_path: Path) -> None:
    labels = np.arange(100, dtype=np.uint8).reshape(10, 10)
    panels = [range(4), range(4, 10)]
    bands = LabelBands(tmp_path / "parts", (10, 10), "key", panels)
    for rows in (labels[:3], labels[3:4], labels[4:]):
        bands.panels[0].put(rows[:, :4])
    bands.panels[1].put(labels[:6, 4:])
    assert bands.place() == "row 6 of 10, in panel 2"
    assert bands.done == pytest.approx(0.76)
    bands.panels[1].put(labels[6:, 4:])
    again = LabelBands(tmp_path / "parts", (10, 10), "key", panels)
    for found in (bands, again):
        assert [panel.end for panel in found.panels] == [10, 10]
        np.testing.assert_array_equal(found.rows(0, 10)[..., 0], labels)
        np.testing.assert_array_equal(found.rows(2, 5)[..., 0], labels[2:5])
        np.testing.assert_array_equal(found.counts(), np.bincount(labels.ravel(), minlength=256))
    assert LabelBands(tmp_path / "parts", (10, 10), "another", panels).done == 0


def test_edges_beside_classes_are_no_class(tmp_path: Path) -> None:
    bands = LabelBands(tmp_path / "parts", (1, 3), "key", [range(3)])
    maps = torch.tensor([[[0.6, 0.3, 0.2]], [[0.4, 0.7, 0.8]], [[0.9, 0.9, 0.1]]])  # two classes, and edges
    fill(bands.panels[0], [Block(slice(0, 1), slice(0, 3), maps)], 2, lambda _row: None)
    assert bands.rows(0, 1).ravel().tolist() == [0, 1, 1]


def test_a_folder_of_the_user_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/mine.txt").write_text("mine")
    with pytest.raises(Exception, match="parts could not be written"):
        LabelBands(tmp_path / "parts", (10, 10), "key", [range(10)])
    assert (tmp_path / "parts/mine.txt").read_text() == "mine"


PLACE = [
    (33550, "d", 3, (0.5, 0.5, 0.0), True),
    (33922, "d", 6, (0.0, 0.0, 0.0, 500000.0, 5300000.0, 0.0), True),
    (34735, "H", 16, (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633), True),
    (34737, "s", 0, "WGS 84 / UTM zone 33N|", True),
]
ROTATED = [(34264, "d", 16, (3.0, 4.0, 0.0, 7.0, 4.0, -3.0, 0.0, 8.0, *(0.0,) * 7, 1.0), True), PLACE[2]]


@pytest.mark.parametrize("small", [False, True])
def test_the_mask_lies_where_its_image_does(
    tmp_path: Path, pixels: np.ndarray, net: nn.Module, monkeypatch: pytest.MonkeyPatch, small: bool
) -> None:
    if small:
        monkeypatch.setattr(scan_plan, "SCAN_PIXELS", 10**9)
    path = tmp_path / "map.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(64, 64), extratags=PLACE)
    predictor = Predictor.of(net, card(), "cpu")  # type: ignore[arg-type]
    (image,) = predict(predictor, [path], tmp_path / "out", PredictRequest()).images
    with tifffile.TiffFile(image.files["mask"]) as tiff:
        tags = tiff.pages[0].tags
        for code, _, _, values, _ in PLACE:
            assert tags[code].value == values
        assert tags[42113].value == "255"
    assert faults(image.files["mask"]) == []
    labels = tifffile.imread(image.files["mask"])
    assert (labels == predictor.result(pixels).labels).mean() >= (1 if small else 0.999)


def test_a_rotated_map_stays_rotated_and_says_so(tmp_path: Path, pixels: np.ndarray, net: nn.Module) -> None:
    path = tmp_path / "map.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(64, 64), extratags=ROTATED)
    predictor = Predictor.of(net, card(), "cpu")  # type: ignore[arg-type]
    result = predict(predictor, [path], tmp_path / "out", PredictRequest())
    assert any("is rotated" in note for note in result.notes)
    with tifffile.TiffFile(result.images[0].files["mask"]) as tiff:
        assert tiff.pages[0].tags[34264].value == ROTATED[0][3]


def test_a_level_of_a_pyramid(tmp_path: Path, pixels: np.ndarray, net: nn.Module) -> None:
    path = tmp_path / "slide.tif"
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(pixels, tile=(64, 64), photometric="rgb", subifds=1)
        tiff.write(pixels[::2, ::2], tile=(64, 64), photometric="rgb", subfiletype=1)
    predictor = Predictor.of(net, card(), "cpu")  # type: ignore[arg-type]
    result = predict(predictor, [path], tmp_path / "out", PredictRequest(level=1))
    labels = tifffile.imread(result.images[0].files["mask"])
    assert (labels == predictor.result(pixels[::2, ::2]).labels).mean() >= 0.999
    assert any("level 1 of a pyramid is predicted" in note for note in result.notes)
    (failure,) = predict(predictor, [path], tmp_path / "out", PredictRequest(level=2)).failures
    assert "has no level 2" in failure.reason
    with pytest.raises(MaskwrightError, match="`level` is -1"):
        PredictRequest(level=-1)
