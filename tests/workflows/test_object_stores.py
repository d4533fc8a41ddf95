"""Images in object stores, against a local S3 server: files, folders and globs; and a bucket that refuses."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.data.videos import write_clip
from torch import nn

from maskwright import models
from maskwright.core.classes import Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.paths import check_folder
from maskwright.core.plan import DataPlan, ModelPlan, PredictPlan
from maskwright.data.readers.zarr_store import METADATA
from maskwright.inference import Predictor
from maskwright.models import bundle
from maskwright.models.bundle import Card, CardClasses
from maskwright.workflows.predict import predict
from maskwright.workflows.predict_parts import bands, destinations, object_stores, scan_plan, writing
from maskwright.workflows.predict_request import PredictRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

moto_server = pytest.importorskip("moto.server")
boto3 = pytest.importorskip("boto3")
pytest.importorskip("s3fs")

# The libraries of the store leave sockets to the garbage collector.
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def store(address: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A bucket with images and a text."""
    import s3fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    s3fs.S3FileSystem.clear_instance_cache()
    client = boto3.client("s3")
    client.create_bucket(Bucket="scans")
    for number, key in enumerate(("a.png", "more/b.png", "more/c.png", "more/readme.txt")):
        content = io.BytesIO()
        Image.fromarray(np.full((20, 30, 3), 40 * number, np.uint8)).save(content, "PNG")
        client.put_object(Bucket="scans", Key=key, Body=content.getvalue() if key.endswith("png") else b"text")
    return client


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    classes = CardClasses.of(Classes.named(["one", "two"]))
    card = Card(model=ModelPlan(), classes=classes, data=DataPlan(), predict=PredictPlan(tile=(64, 64)))
    return Predictor.of(nn.Conv2d(3, 2, 1), card, "cpu")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("s3://scans/a.png", ["a"]),
        ("s3://scans/more", ["b", "c"]),
        ("s3://scans/more/*.png", ["b", "c"]),
        ("s3://scans/**/c.png", ["c"]),
    ],
)
def test_sources(tmp_path: Path, store: Any, predictor: Predictor, source: str, names: list[str]) -> None:
    result = predict(predictor, [source], tmp_path, PredictRequest())
    assert [file.stem for file in result.outputs] == names
    assert all(file.is_file() for file in result.outputs)
    assert all(str(image.source).startswith("s3:") for image in result.images)
    assert not result.failures


def test_a_bad_image_is_named_by_its_place_in_the_store(tmp_path: Path, store: Any, predictor: Predictor) -> None:
    store.put_object(Bucket="scans", Key="bad/x.png", Body=b"no image")
    store.put_object(Bucket="scans", Key="bad/y.png", Body=b"no image")
    result = predict(predictor, ["s3://scans/bad"], tmp_path, PredictRequest())
    assert "s3://scans/bad/x.png" in result.failures[0].reason


@pytest.mark.parametrize("source", ["s3://scans/nothing.png", "s3://no-such-bucket/a.png", "s3://scans/none/*.png"])
def test_what_is_not_there(tmp_path: Path, store: Any, predictor: Predictor, source: str) -> None:
    with pytest.raises(MaskwrightError, match=r"does not exist.*check the name of the bucket"):
        predict(predictor, [source], tmp_path, PredictRequest())


@pytest.mark.parametrize("address", ["s3://", "s3:///"])
def test_an_address_without_a_bucket(tmp_path: Path, predictor: Predictor, address: str) -> None:
    with pytest.raises(MaskwrightError, match=r"s3:///? names no bucket: give s3://BUCKET/PREFIX"):
        predict(predictor, [address], tmp_path / "out", PredictRequest())


def test_a_bucket_that_refuses(tmp_path: Path, store: Any, predictor: Predictor, monkeypatch: Any) -> None:
    import s3fs

    def refusing(*_: Any, **__: Any) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(s3fs.S3FileSystem, "isfile", refusing)
    with pytest.raises(MaskwrightError, match=r"s3://scans/a.png is refused by its store.*AWS_ACCESS_KEY_ID"):
        predict(predictor, ["s3://scans/a.png"], tmp_path, PredictRequest())


def test_no_server(tmp_path: Path, store: Any, predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(MaskwrightError, match=r"s3://scans/a.png cannot be read or written"):
        predict(predictor, ["s3://scans/a.png"], tmp_path, PredictRequest())


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("s3://scans/z/x.zarr", ["x"]),
        ("s3://scans/z/x.zarr/", ["x"]),
        ("s3://scans/z/plain", ["plain"]),
        ("s3://scans/z", ["a", "plain", "x"]),
        ("s3://scans/z/*.zarr", ["x"]),
    ],
)
def test_stores_in_a_store(tmp_path: Path, store: Any, predictor: Predictor, source: str, names: list[str]) -> None:
    pytest.importorskip("zarr")
    from tests.data.stores import array

    pixels = np.random.default_rng(0).integers(0, 255, (90, 70, 3), dtype=np.uint8)
    for name in ("x.zarr", "plain"):
        place = array(tmp_path / name, pixels)
        for file in filter(Path.is_file, place.rglob("*")):
            store.upload_file(str(file), "scans", f"z/{file.relative_to(tmp_path).as_posix()}")
    store.copy_object(Bucket="scans", Key="z/a.png", CopySource="scans/a.png")
    result = predict(predictor, [source], tmp_path / "out", PredictRequest())
    assert not result.failures
    assert [file.stem for file in result.outputs] == names
    if "x" in names:
        found = next(image for image in result.images if image.files["mask"].stem == "x")
        assert str(found.source) == "s3://scans/z/x.zarr"
        np.testing.assert_array_equal(np.asarray(Image.open(found.files["mask"])), predictor.result(pixels).labels)


@pytest.mark.parametrize("level", [None, 1])
@pytest.mark.parametrize("version", [2, 3])
def test_only_the_level_that_is_predicted_is_copied(
    tmp_path: Path, store: Any, predictor: Predictor, level: int | None, version: int
) -> None:
    pytest.importorskip("zarr")
    from tests.data.stores import array, group, ome_image

    pixels = np.random.default_rng(0).integers(0, 255, (90, 70, 3), dtype=np.uint8)
    levels = [pixels, pixels[::2, ::2]]
    plate = group(tmp_path / "plate.zarr", {"plate": {"wells": [{"path": "A/1"}]}}, version)
    group(plate / "A/1", {"well": {"images": [{"path": "0"}]}}, version)
    for place in (tmp_path / "x.zarr", plate / "A/1/0"):
        ome_image(place, levels, "yxc", version)
        array(place / "labels/0", pixels[..., 0], version)
    (tmp_path / "empty.zarr").mkdir()
    (tmp_path / "empty.zarr/0.0").write_bytes(b"of nothing")
    for name in ("x.zarr", "plate.zarr", "empty.zarr"):
        for file in filter(Path.is_file, (tmp_path / name).rglob("*")):
            store.upload_file(str(file), "scans", f"levels{version}/{file.relative_to(tmp_path).as_posix()}")
    with object_stores.local_copies([f"s3://scans/levels{version}"], level) as copies:
        (folder,) = copies.sources
        assert isinstance(folder, Path)
        copied = {file.relative_to(folder) for file in folder.rglob("*") if file.is_file()}
    here = [file.relative_to(tmp_path) for file in tmp_path.rglob("*") if file.is_file()]
    assert copied == {file for file in here if file.name in METADATA or f"s{level or 0}" in file.parts}
    result = predict(predictor, [f"s3://scans/levels{version}"], tmp_path / "out", PredictRequest(level=level))
    (failure,) = result.failures
    assert f"s3://scans/levels{version}/empty.zarr has no Zarr metadata" in failure.reason
    wanted = predictor.result(levels[level or 0]).labels
    for image in result.images:
        np.testing.assert_array_equal(np.asarray(Image.open(image.files["mask"])), wanted)


def keys(store: Any, prefix: str) -> list[str]:
    listed = store.list_objects_v2(Bucket="scans", Prefix=prefix)
    return sorted(entry["Key"].removeprefix(f"{prefix}/") for entry in listed.get("Contents", []))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    classes = CardClasses.of(Classes.named(["one", "two"]))
    plan = PredictPlan(tile=(64, 64))
    card = Card(model=ModelPlan(name="swiftnet"), classes=classes, data=DataPlan(), predict=plan)
    bundle.save(tmp_path / "run/model.safetensors", models.create("swiftnet", classes=2), card)
    return tmp_path / "run"


def test_a_video_is_named_by_its_place_in_the_store(tmp_path: Path, store: Any, predictor: Predictor) -> None:
    store.upload_file(str(write_clip(tmp_path / "clip.mp4", 2)), "scans", "films/clip.mp4")
    result = predict(predictor, ["s3://scans/films/clip.mp4"], tmp_path / "out", PredictRequest())
    first = (tmp_path / "out/frames/clip.jsonl").read_text(encoding="utf-8").splitlines()[0]
    assert json.loads(first)["video"] == "s3://scans/films/clip.mp4"
    assert str(result.videos[0].source) == "s3://scans/films/clip.mp4"


@pytest.mark.parametrize("out", ["s3://scans/large", "here"])
def test_a_large_image_goes_on(
    tmp_path: Path, store: Any, predictor: Predictor, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 100, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "scan.tif", pixels, photometric="rgb", tile=(64, 64))
    store.upload_file(str(tmp_path / "scan.tif"), "scans", "in/scan.tif")
    monkeypatch.setattr(scan_plan, "SCAN_PIXELS", 1000)
    put, place = bands.PanelBands.put, out if out.startswith("s3:") else tmp_path / out

    def dying(self: bands.PanelBands, labels: np.ndarray) -> None:
        if self.end > 0:
            raise KeyboardInterrupt
        put(self, labels)

    with monkeypatch.context() as patch:
        patch.setattr(bands.PanelBands, "put", dying)
        with pytest.raises(KeyboardInterrupt):
            predict(predictor, ["s3://scans/in/scan.tif"], place, PredictRequest())
    result = predict(predictor, ["s3://scans/in/scan.tif"], place, PredictRequest())
    assert any(note.startswith("s3://scans/in/scan.tif: the prediction goes on at row") for note in result.notes)
    if out.startswith("s3:"):
        assert keys(store, "large") == ["masks/scan.tif"]
    else:
        labels = tifffile.imread(tmp_path / "here/masks/scan.tif")
        np.testing.assert_array_equal(labels, predictor.result(pixels).labels)


KINDS = ["mask", "zarr", "coco"]


def test_results_in_a_store(tmp_path: Path, store: Any, run: Path) -> None:
    request = PredictRequest(KINDS, reject=0.9)
    result = predict(run, ["s3://scans/more"], "s3://scans/one", request)
    here = predict(run, ["s3://scans/more"], tmp_path / "out", request)
    wanted = {path.relative_to(tmp_path / "out").as_posix(): path for path in (tmp_path / "out").rglob("*")}
    wanted = {name: path for name, path in wanted.items() if path.is_file()}
    assert keys(store, "one") == sorted(wanted)
    for name, path in wanted.items():
        assert store.get_object(Bucket="scans", Key=f"one/{name}")["Body"].read() == path.read_bytes(), name
    listed = (tmp_path / "out/risk.csv").read_text().splitlines()[1:]
    assert sorted(row.partition(",")[0] for row in listed) == ["s3://scans/more/b.png", "s3://scans/more/c.png"]
    assert "s3://scans/one/masks/b.png" in list(map(str, result.outputs))
    assert str(result.images[0].files["zarr"]) == "s3://scans/one/masks/b.zarr"
    assert len(result.outputs) == len(here.outputs)
    again = predict(run, ["s3://scans/more"], "s3://scans/one/", request)  # results of ours may be replaced
    assert len(again.outputs) == len(here.outputs)
    assert keys(store, "one") == sorted(wanted)


def test_no_more_than_one_image_lies_here(store: Any, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = []
    take = destinations.StoreFolder.take

    def watching(place: destinations.StoreFolder) -> None:
        held.append(len(list(place._whole())))
        take(place)

    monkeypatch.setattr(destinations.StoreFolder, "take", watching)
    predict(run, ["s3://scans/more"], "s3://scans/few", PredictRequest(["mask"]))
    assert held == [1, 1, 0]


@pytest.mark.parametrize("changed", [False, True])
def test_a_prediction_into_a_store_goes_on(
    store: Any, run: Path, monkeypatch: pytest.MonkeyPatch, changed: bool
) -> None:
    predicted = []
    predict_one = writing.Writing.run

    def dying(self: writing.Writing, picture: Any, on_share: Any) -> Any:
        if predicted:
            raise KeyboardInterrupt
        predicted.append(str(picture.name))
        return predict_one(self, picture, on_share)

    monkeypatch.setattr(writing.Writing, "run", dying)
    where = f"goes-on-{changed}"
    with pytest.raises(KeyboardInterrupt):
        predict(run, ["s3://scans/more"], f"s3://scans/{where}", PredictRequest(KINDS))
    there = keys(store, where)
    assert ".maskwright-progress.jsonl" in there
    assert "masks/b.png" in there
    assert "masks/c.png" not in there
    if changed:
        store.delete_object(Bucket="scans", Key=f"{where}/masks/b.zarr/.zgroup")

    def counted(self: writing.Writing, picture: Any, on_share: Any) -> Any:
        predicted.append(str(picture.name))
        return predict_one(self, picture, on_share)

    monkeypatch.setattr(writing.Writing, "run", counted)
    result = predict(run, ["s3://scans/more"], f"s3://scans/{where}", PredictRequest(KINDS, resume=True))
    assert predicted == (["b", "b", "c"] if changed else ["b", "c"])
    assert len(result.images) == 2
    there = keys(store, where)
    assert ".maskwright-progress.jsonl" not in there
    assert {"masks/b.png", "masks/c.png", "masks/b.zarr/.zgroup", "predictions.json"} < set(there)


def test_the_journal_goes_there_now_and_then(store: Any, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destinations, "JOURNAL_SECONDS", 0.0)
    seen = []
    monkeypatch.setattr(destinations.StoreFolder, "take_journal", lambda place: seen.append(1))
    predict(run, ["s3://scans/more"], "s3://scans/often", PredictRequest(["mask"]))
    assert len(seen) == 3


@pytest.mark.parametrize("key", ["masks/b.png", "masks/b.zarr/.zattrs", "masks/b.zarr/0/0/0"])
def test_what_is_not_ours_in_a_store_stays(store: Any, run: Path, key: str) -> None:
    where = f"theirs-{key.replace('/', '-')}"
    store.put_object(Bucket="scans", Key=f"{where}/{key}", Body=b"theirs")
    name = "b.png" if key.endswith("png") else "b.zarr"
    with pytest.raises(MaskwrightError, match=rf"s3://scans/{where}/masks/{name} exists and was not written by"):
        predict(run, ["s3://scans/more"], f"s3://scans/{where}", PredictRequest(["mask", "zarr"]))
    assert keys(store, where) == [key]


def test_a_bucket_that_takes_nothing(store: Any, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    with pytest.raises(MaskwrightError, match=r"s3://no-such-bucket/x does not exist"):
        predict(run, ["s3://scans/a.png"], "s3://no-such-bucket/x", PredictRequest())

    async def refusing(*_: Any, **__: Any) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(s3fs.S3FileSystem, "_put_file", refusing)
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(MaskwrightError, match=r"s3://scans/x is refused by its store.*AWS_ACCESS_KEY_ID"):
        predict(run, ["s3://scans/a.png"], "s3://scans/x", PredictRequest())


def test_what_cannot_go_to_a_store(tmp_path: Path, store: Any, run: Path) -> None:
    with pytest.raises(MaskwrightError, match=r"`out` s3://scans/x lies in a store: name a folder"):
        predict(run, ["s3://scans/a.png"], "s3://scans/x", PredictRequest(on="ray"))
    with pytest.raises(MaskwrightError, match=r"s3://scans/x is no folder: only predict writes to an object store"):
        check_folder(Path("s3://scans/x"))


def test_a_missing_package(tmp_path: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(object_stores._PACKAGES, "s3", ("no_such_package", "s3"))
    with pytest.raises(MaskwrightError, match=r'pip install "maskwright\[s3\]"'):
        predict(predictor, ["s3://scans/a.png"], tmp_path, PredictRequest())
