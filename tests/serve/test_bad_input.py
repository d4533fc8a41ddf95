"""What clients send by mistake or in malice is answered with a cure, and harms nobody else."""

from __future__ import annotations

import json
import random
import socket
import struct
import threading
import zlib
from io import BytesIO
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.serve.conftest import picture, png, serving, until

from maskwright.core.errors import MaskwrightError
from maskwright.inference import Predictor

pytest.importorskip("fastapi")

if TYPE_CHECKING:
    from pathlib import Path

    from tests.serve.conftest import Reply, Running


def problem(answer: Reply) -> dict:
    assert answer.headers["Content-Type"] == "application/problem+json"
    said = json.loads(answer.body)
    assert said["status"] == answer.status
    assert all(said[part] for part in ("title", "detail", "value", "rule", "cure"))
    return said


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size, with one byte of pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 422, "0 bytes"),
        (b"a text named .png\n", 422, "is not an image"),
        (b"<!doctype html><p>404", 422, "is a web page"),
        (png(picture())[:-40], 422, "truncated"),
        (png_header(60_000, 60_000), 413, "60000 x 60000 pixels"),
        (png_header(60_000, 1), 422, "cannot be decoded"),
        (b"\0" * 1_000_001, 413, "1,000,001 bytes"),
        (b"\x93NUMPY\x01\x00v\x00{'descr': '|O'", 422, ""),
    ],
    ids=["empty", "text", "page", "truncated", "bomb", "wide", "large", "objects"],
)
def test_an_upload_that_is_no_image_is_refused(served: Running, body: bytes, status: int, said: str) -> None:
    answer = served.predict(body)
    assert answer.status == status, answer.body
    assert said in problem(answer)["detail"]
    assert "maskwright-" not in answer.body.decode(), "the path of a temporary file is nobody's business"


def test_a_bomb_is_not_decoded(served: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_arguments: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(Predictor, "read", never)
    assert served.predict(png_header(30_000, 30_000)).status == 413


def test_images_of_all_kinds_are_read_as_predict_reads_them(served: Running, run: Path, tmp_path: Path) -> None:
    pixels = picture((40, 70))
    alpha = np.dstack([pixels, np.full((40, 70), 9, np.uint8)])
    turned = Image.Exif()
    turned[0x0112] = 6
    kinds = {"rgba.png": Image.fromarray(alpha), "cmyk.jpg": Image.fromarray(pixels).convert("CMYK")}
    for name, image in kinds.items():
        image.save(tmp_path / name)
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=turned)
    cv2.imwrite(str(tmp_path / "deep.png"), pixels.astype(np.uint16) * 257)
    tifffile.imwrite(tmp_path / "grey.tif", pixels[..., 0])
    np.save(tmp_path / "floats.npy", pixels.astype(np.float32) / 255)
    predictor = Predictor.load(run, "cpu")
    for path in sorted(tmp_path.iterdir()):
        answer = served.predict(path.read_bytes())
        if path.name in {"deep.png", "floats.npy"}:  # the model was trained on 8 bits
            with pytest.raises(MaskwrightError) as error:
                predictor.predict(path)
            assert answer.status == 422
            assert problem(answer)["detail"] == str(error.value)
            continue
        expected = predictor.predict(path).labels
        assert answer.status == 200, (path.name, answer.body)
        assert np.array_equal(np.asarray(Image.open(BytesIO(answer.body))), expected), path.name
        assert expected.shape == ((70, 40) if path.name == "turned.jpg" else (40, 70))


def test_channels_that_the_model_does_not_have_are_named(served: Running) -> None:
    file = BytesIO()
    np.save(file, np.zeros((20, 30, 7), np.uint8))
    answer = served.predict(file.getvalue())
    assert answer.status == 422
    assert "7" in problem(answer)["detail"]


@pytest.mark.parametrize(
    ("form", "kind", "status"),
    [
        (b"no form", "multipart/form-data; boundary=xx", 400),
        (b"--xx\r\ncut", "multipart/form-data; boundary=xx", 400),
        (b"--xx\r\n\r\n--xx--", "multipart/form-data", 400),
        (b"--xxno line\r\n\r\n1\r\n--xx--", "multipart/form-data; boundary=xx", 400),
        (
            b'--xx\r\nContent-Disposition: form-data; name="file"\r\n\r\n1\r\n--xx--',
            "multipart/form-data; boundary=xx",
            422,
        ),
        (
            b'--xx\r\nContent-Disposition: form-data; name="image"\r\n\r\n\r\n--xx--',
            "multipart/form-data; boundary=xx",
            422,
        ),
    ],
)
def test_damaged_forms_are_refused(served: Running, form: bytes, kind: str, status: int) -> None:
    answer = served.predict(form, **{"Content-Type": kind})
    assert answer.status == status, answer.body
    problem(answer)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?model=nobody", 404),
        ("?output=sql", 422),
        ("?output=", 422),
        ("?image=perhaps", 422),
        ("?model=../leaves", 404),
    ],
)
def test_wrong_queries_are_refused(served: Running, query: str, status: int) -> None:
    answer = served.predict(png(picture()), query)
    assert answer.status == status
    problem(answer)


def test_a_compressed_upload_is_refused(served: Running) -> None:
    assert served.predict(b"\x1f\x8b", **{"Content-Encoding": "gzip"}).status == 415


@pytest.mark.parametrize("path", ["/nothing", "/v1", "/docs", "/v1/gallery/../../etc/passwd", "/page/%2e%2e/app.py"])
def test_other_paths_are_not_there(served: Running, path: str) -> None:
    answer = served.ask("GET", path)
    assert answer.status == 404
    problem(answer)
    assert served.ask("DELETE", "/v1/model").status == 405


def test_a_thousand_malformed_uploads_are_all_refused_or_read(served: Running) -> None:
    """Cut, flipped, glued and overwritten files of all formats: never a status of 500 or more, and never a crash."""
    made = random.Random(7)
    pixels = picture((12, 16))
    suffixes = (".png", ".jpg", ".bmp", ".tif", ".webp", ".ppm")
    seeds = [cv2.imencode(suffix, pixels)[1].tobytes() for suffix in suffixes]
    for image, options in (
        (Image.fromarray(pixels).convert("P"), {"format": "GIF"}),
        (Image.fromarray(pixels), {"format": "TIFF", "compression": "tiff_lzw"}),
        (Image.fromarray(pixels[..., 0]), {"format": "PNG"}),
    ):
        file = BytesIO()
        image.save(file, **options)
        seeds.append(file.getvalue())
    file = BytesIO()
    np.save(file, pixels)
    seeds.append(file.getvalue())
    statuses: dict[int, int] = {}
    for _ in range(1000):
        body = bytearray(made.choice(seeds))
        for _ in range(made.randint(1, 4)):
            kind, place = made.randrange(4), made.randrange(len(body))
            if kind == 0:
                del body[place:]
            elif kind == 1:
                body[place] = made.randrange(256)
            elif kind == 2:
                body[place : place + 4] = made.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"])
            else:
                body[place:place] = made.randbytes(made.randint(1, 40))
            body = body or bytearray(b"\0")
        status = served.predict(bytes(body)).status
        statuses[status] = statuses.get(status, 0) + 1
    assert set(statuses) <= {200, 413, 422}, statuses
    assert statuses[422] > 300, statuses
    assert served.predict(png(pixels)).status == 200


def test_a_slow_upload_is_ended_and_holds_no_place(run: Path) -> None:
    with serving([str(run)]) as running:
        running.service.uploads._idle = 0.2
        with socket.create_connection(("127.0.0.1", running.port)) as slow:
            slow.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
            slow.sendall(b"a few bytes")
            until(lambda: running.service.uploads.held)
            assert running.predict(png(picture())).status == 200, "others go on meanwhile"
            said = b""
            while part := slow.recv(4096):  # ends when the service closes the connection
                said += part
        assert said.startswith(b"HTTP/1.1 408 ")
        assert b"11 bytes have arrived" in said
        assert running.service.uploads.held == 0


def test_a_head_that_never_ends_loses_its_connection(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskwright.serve.protocol.HEAD_SECONDS", 0.2)
    whole = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serving([str(run)]) as running:
        for before in (b"", whole):  # also the second one of a connection
            with socket.create_connection(("127.0.0.1", running.port), timeout=60) as slow:
                slow.sendall(before + b"GET /healthz HTTP/1.1\r\nHost: loc")
                said = b""
                while part := slow.recv(4096):
                    said += part
            assert said.count(b"200 OK") == bool(before)
        body = png(picture((300, 300)))  # takes longer than a head may
        assert running.predict(body).status == 200


def test_a_truncated_upload_is_no_request(served: Running) -> None:
    before = served.service.line.accepted
    with socket.create_connection(("127.0.0.1", served.port)) as cut:
        cut.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf")
        until(lambda: served.service.uploads.held)
    until(lambda: not served.service.uploads.held)
    assert served.service.line.accepted == before
    assert served.predict(png(picture())).status == 200


def test_all_uploads_together_have_a_limit(run: Path) -> None:
    with serving([str(run)], max_mb=0.001) as running:
        opened = []
        for _ in range(4):
            each = socket.create_connection(("127.0.0.1", running.port))
            each.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n" + b"a" * 999)
            opened.append(each)
        until(lambda: running.service.uploads.held == 3996)
        answer = running.predict(b"a" * 500)
        assert (answer.status, answer.headers["Retry-After"]) == (429, "2")
        for each in opened:
            each.close()
        until(lambda: running.service.uploads.held == 0)


def test_a_client_that_leaves_stops_its_work(served: Running) -> None:
    """The engine is held while the client leaves; the tiles that remain are not computed."""
    gate, calls = threading.Event(), []
    model = next(iter(served.service.models.values()))
    engine = model.current.predictor.engine
    forward = engine.forward

    def held(tiles: np.ndarray) -> object:
        calls.append(len(tiles))
        assert gate.wait(60)
        return forward(tiles)

    engine.forward = held
    try:
        body = png(picture((300, 300)))
        connection = socket.create_connection(("127.0.0.1", served.port))
        head = f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        until(lambda: calls)
        abandoned = served.service.metrics.abandoned._value.get()
        connection.close()
        until(lambda: served.service.metrics.abandoned._value.get() == abandoned + 1)
        gate.set()
        until(lambda: served.service.line.working == 0)
        assert len(calls) == 1, "36 tiles or so were left"
    finally:
        gate.set()
        del engine.forward


def test_the_page_of_another_site_and_another_host_are_refused(served: Running) -> None:
    for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1"):
        answer = served.ask("GET", "/v1/model", headers={"Host": host})
        assert answer.status == 421, host
        problem(answer)
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8000", "127.8.8.8"):
        assert served.ask("GET", "/v1/model", headers={"Host": host}).status == 200, host
    own = f"127.0.0.1:{served.port}"
    assert served.predict(png(picture()), Origin=f"http://{own}").status == 200
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{served.port + 1}"):
        answer = served.predict(png(picture()), Origin=origin)
        assert answer.status == 403, origin
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_token_is_needed_and_compared_whole(run: Path) -> None:
    with serving([str(run)], token="correct-horse") as running:
        for path in ("/v1/model", "/v1/gallery", "/metrics", "/openapi.json", "/nothing"):
            for header in (
                {},
                {"Authorization": "Bearer wrong"},
                {"Authorization": "Bearer correct-hors"},
                {"Authorization": "Basic correct-horse"},
                {"Authorization": "Bearer \xe9"},
            ):
                answer = running.ask("GET", path, headers=header)
                assert answer.status == 401, (path, header)
                assert answer.headers["WWW-Authenticate"] == "Bearer"
                problem(answer)
            assert running.ask("GET", path, headers={"Authorization": "Bearer correct-horse"}).status != 401
        assert running.predict(png(picture())).status == 401
        assert running.ask("GET", "/").status == running.ask("GET", "/healthz").status == 200
        assert running.ask("GET", "/page/main.js").status == 200


@pytest.mark.parametrize(
    ("method", "path", "headers", "said"),
    [
        ("GET", "/nothing", {}, "the request is GET /nothing, but this service has no such path: see /openapi.json"),
        ("DELETE", "/v1/model", {}, "the request is DELETE /v1/model, but this path takes only GET: see /openapi.json"),
        ("POST", "/v1/predict", {"Accept": "text/html"}, "the Accept header is 'text/html', but answers are image/png"),
        ("POST", "/v1/predict?output=sql", {}, "output is 'sql', but it must be 'mask', "),
        ("POST", "/v1/predict", {}, "the upload is not an image: it starts with b'text', but only whole images"),
    ],
)
def test_an_error_says_what_was_asked_for(
    served: Running, method: str, path: str, headers: dict[str, str], said: str
) -> None:
    answer = served.ask(method, path, b"text" if method == "POST" else None, headers)
    assert problem(answer)["detail"].startswith(said)


def test_the_cure_for_an_upload_is_not_to_remove_it(served: Running) -> None:
    assert problem(served.predict(png(picture())[:-40]))["cure"] == "copy it again from its source"


def test_of_an_image_that_does_not_fit_the_error_is_the_one_of_predict(served: Running) -> None:
    file = BytesIO()
    np.save(file, np.zeros((20, 30, 7), np.uint8))
    said = problem(served.predict(file.getvalue()))
    assert said["value"] == "the image has 7 channels"
    assert said["detail"].count(", but ") == 1


def test_a_form_with_two_images_is_refused(served: Running) -> None:
    part = b'--xx\r\nContent-Disposition: form-data; name="image"\r\n\r\n' + png(picture()) + b"\r\n"
    answer = served.predict(part + part + b"--xx--", **{"Content-Type": "multipart/form-data; boundary=xx"})
    assert answer.status == 422
    assert problem(answer)["value"] == "the form has 2 parts called image"
