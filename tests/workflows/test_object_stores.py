"""Images in object stores, against a local S3 server: files, folders and globs; and a bucket that refuses."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from torch import nn

from maskwright.core.classes import Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import DataPlan, ModelPlan, PredictPlan
from maskwright.inference import Predictor
from maskwright.models.bundle import Card, CardClasses
from maskwright.workflows.predict import predict
from maskwright.workflows.predict_parts import object_stores
from maskwright.workflows.predict_request import PredictRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
    with pytest.raises(MaskwrightError, match=r"s3://scans/a.png cannot be read"):
        predict(predictor, ["s3://scans/a.png"], tmp_path, PredictRequest())


def test_a_missing_package(tmp_path: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(object_stores._PACKAGES, "s3", ("no_such_package", "s3"))
    with pytest.raises(MaskwrightError, match=r'pip install "maskwright\[s3\]"'):
        predict(predictor, ["s3://scans/a.png"], tmp_path, PredictRequest())
