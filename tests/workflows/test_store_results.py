"""Results in an object store, on a store in memory: no result of anyone else is touched, and none of ours is lost."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from tests.data.videos import write_clip
from torch import nn

from maskwright import models
from maskwright.core.classes import Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.paths import check_folder
from maskwright.core.plan import DataPlan, ModelPlan, PredictPlan
from maskwright.inference import Predictor
from maskwright.models import bundle
from maskwright.models.bundle import Card, CardClasses
from maskwright.workflows.predict import predict
from maskwright.workflows.predict_parts import destinations
from maskwright.workflows.predict_parts.object_stores import _listed, explained
from maskwright.workflows.predict_request import PredictRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

memory = pytest.importorskip("fsspec.implementations.memory")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A store in memory, which every `s3://` names."""
    held = memory.MemoryFileSystem()
    monkeypatch.setattr(destinations, "opened_store", lambda url: (held, f"/{url.removeprefix('s3://')}"))
    held.store.clear()
    yield held
    held.store.clear()


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    classes = CardClasses.of(Classes.named(["one", "two"]))
    card = Card(model=ModelPlan(), classes=classes, data=DataPlan(), predict=PredictPlan(tile=(64, 64)))
    return Predictor.of(nn.Conv2d(3, 2, 1), card, "cpu")  # type: ignore[arg-type]


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((20, 30, 3), 40, np.uint8)).save(path)
    return path


def test_a_name_is_no_pattern(tmp_path: Path, store: Any, predictor: Predictor) -> None:
    request, where = PredictRequest(["mask", "zarr"]), "s3://b/o[1]"
    for name in ("a1.png", "a[1].png"):
        predict(predictor, [picture(tmp_path / name)], where, request)
    held = store.find("/b")
    predict(predictor, [tmp_path / "a[1].png"], where, request)
    assert store.find("/b") == held
    assert {"/b/o[1]/masks/a1.zarr/.zgroup", "/b/o[1]/masks/a[1].zarr/.zgroup"} < set(held)


@pytest.mark.parametrize("name", [".hidden.png", ".parts.png", ".a/x.png"])
def test_results_of_hidden_names_get_there(tmp_path: Path, store: Any, predictor: Predictor, name: str) -> None:
    sources = [picture(tmp_path / name), picture(tmp_path / "seen.png")]
    result = predict(predictor, sources, "s3://b/o", PredictRequest(["mask", "zarr"]))
    held = store.find("/b/o")
    assert len(result.outputs) == 4
    for file in result.outputs:
        key = str(file).replace("s3:/", "")
        assert (f"{key}/.zgroup" if key.endswith("zarr") else key) in held


def test_a_result_that_is_not_taken_is_no_result(tmp_path: Path, store: Any, predictor: Predictor) -> None:
    half_written = picture(tmp_path / ".a.0123abcd.png")
    with pytest.raises(MaskwrightError, match=r"s3://b/o/masks/\.a\.0123abcd\.png was not written"):
        predict(predictor, [half_written], "s3://b/o", PredictRequest())


def test_what_is_half_written_stays_here(tmp_path: Path, store: Any) -> None:
    names = ["masks/.a.0123abcd.png", "masks/.a.zarr.0123abcd.zarr/.zgroup", ".a.parts/rows.npy"]
    place = destinations.StoreFolder("s3://b/o", tmp_path)
    for name in [*names, destinations.JOURNAL, "masks/.zgroup", "masks/a.png"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    place.take()
    assert store.find("/b/o") == ["/b/o/masks/.zgroup", "/b/o/masks/a.png"]


@pytest.mark.parametrize(
    "name", ["masks/clip.mp4/000000.png", "masks/clip.mp4/000000.zarr/.zattrs", "frames/clip.jsonl"]
)
def test_frames_that_are_not_ours_stay(tmp_path: Path, store: Any, predictor: Predictor, name: str) -> None:
    clip, request = write_clip(tmp_path / "clip.mp4", 2), PredictRequest(["mask", "zarr"])
    predict(predictor, [clip], "s3://b/o", request)
    predict(predictor, [clip], "s3://b/o", request)  # our own are replaced
    store.pipe_file(f"/b/o/{name}", b"theirs")
    with pytest.raises(MaskwrightError, match=rf"s3://b/o/{name.removesuffix('/.zattrs')} exists and was not written"):
        predict(predictor, [clip], "s3://b/o", request)
    assert store.cat_file(f"/b/o/{name}") == b"theirs"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    classes = CardClasses.of(Classes.named(["one", "two"]))
    card = Card(model=ModelPlan(name="swiftnet"), classes=classes, data=DataPlan(), predict=PredictPlan(tile=(64, 64)))
    bundle.save(folder / "model.safetensors", models.create("swiftnet", classes=2), card)
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png"):
        picture(tmp_path / "images" / name)
    return tmp_path / "images"


JOURNAL = f"/b/o/{destinations.JOURNAL}"


def test_the_journal_of_another_prediction_stays(store: Any, run: Path, images: Path) -> None:
    store.pipe_file(JOURNAL, b"theirs")
    predict(run, [images / "a.png"], "s3://b/o", PredictRequest())
    assert store.cat_file(JOURNAL) == b"theirs"
    predict(run, [images], "s3://b/o", PredictRequest())
    assert not store.exists(JOURNAL)


def test_the_journal_stays_until_all_is_there(
    store: Any, run: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = type(store).put_file

    def failing(self: Any, here: str, there: str) -> None:
        if there.endswith("predictions.json"):
            raise OSError("the network is down")
        put(self, here, there)

    monkeypatch.setattr(type(store), "put_file", failing)
    with pytest.raises(MaskwrightError, match="the network is down"):
        predict(run, [images], "s3://b/o", PredictRequest(["mask", "coco"]))
    assert len(store.cat_file(JOURNAL).splitlines()) == 3
    monkeypatch.undo()


def test_errors_name_the_store(store: Any, run: Path, images: Path) -> None:
    store.pipe_file(JOURNAL, b'"another setup"\n')
    with pytest.raises(MaskwrightError, match=r"^s3://b/o holds the results of a prediction with another") as raised:
        predict(run, [images], "s3://b/o/", PredictRequest(resume=True))
    assert raised.value.key == "resume"


def test_an_empty_object_is_not_ours(
    store: Any, predictor: Predictor, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(*_: Any, **__: Any) -> None:
        raise OSError("416 InvalidRange")  # as S3 does where there are no first bytes

    store.pipe_file("/b/o/masks/a.png", b"")
    monkeypatch.setattr(type(store), "cat_file", refusing)
    with pytest.raises(MaskwrightError, match=r"s3://b/o/masks/a\.png exists and was not written by"):
        predict(predictor, [images / "a.png"], "s3://b/o", PredictRequest())


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError("Access Denied"), r"s3://b/o is refused by its store.*list, read and write the bucket"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/here/a"),
            r"^/here/a could not be written: the disk is full",
        ),
        (OSError("no route"), r"s3://b/o cannot be read or written \(no route\): check the network"),
    ],
)
def test_what_errors_of_a_store_mean(error: OSError, words: str) -> None:
    with pytest.raises(MaskwrightError, match=words), explained("s3://b/o"):
        raise error


def test_an_object_whose_name_looks_like_a_pattern(store: Any) -> None:
    for name in ("a1.png", "a[1].png"):
        store.pipe_file(f"/b/{name}", b"x")
    found, folder = _listed(store, "/b/a[1].png")
    assert (list(found), folder) == (["/b/a[1].png"], "/b")
    assert list(_listed(store, "/b/a?.png")[0]) == ["/b/a1.png"]


@pytest.mark.parametrize("out", ["gs://b/o", "S3://b/o", Path("s3://b/o"), "az://b"])
def test_an_address_that_is_no_store_here(tmp_path: Path, predictor: Predictor, images: Path, out: Any) -> None:
    with pytest.raises(MaskwrightError, match=r"://b.* is no folder: only predict writes.*as text, s3://BUCKET/PREFIX"):
        predict(predictor, [images / "a.png"], out, PredictRequest())
    assert not Path(str(out)).exists()


def test_a_colon_in_a_name_is_no_address(tmp_path: Path) -> None:
    for name in ("c:/x", "a:b", "out:"):
        check_folder(Path(name))
    check_folder(tmp_path / "gs:/b")
