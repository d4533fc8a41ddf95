"""The Python client: arrays and files in, results out; it waits for busy services and passes on what they say."""

from __future__ import annotations

import http.server
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.serve.conftest import picture, png, serving

import maskwright as mw
from maskwright.core.errors import MaskwrightError
from maskwright.inference import Predictor
from maskwright.serve import client as client_module
from maskwright.serve.client import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.serve.conftest import Running


@pytest.fixture
def answers() -> list[tuple[int, dict[str, str], bytes]]:
    """What a stand-in for the service answers, one after the other; the last one for ever."""
    return [(200, {}, b'{"models": []}')]


@pytest.fixture
def stand_in(answers: list[tuple[int, dict[str, str], bytes]]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    seen: list[dict[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append({"path": self.path, **{name.lower(): value for name, value in self.headers.items()}})
            status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()
        thread.join()


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []
    monkeypatch.setattr(client_module.time, "sleep", waits.append)
    return waits


def test_arrays_of_any_type_arrive_unchanged(served: Running, run: Path) -> None:
    image, client = picture(), mw.Client(f"http://127.0.0.1:{served.port}")
    found = client.predict(image)
    assert np.array_equal(found.labels, Predictor.load(run, "cpu").predict(image).labels)
    assert found.ids is None
    assert found.objects == []
    for dtype in ("uint16", "float32"):
        with pytest.raises(ServiceError, match=f"the image holds {dtype} values"):
            client.predict(image.astype(dtype))


def test_files_and_bytes_are_sent_as_they_are(served: Running, tmp_path: Path) -> None:
    client = mw.Client(f"http://127.0.0.1:{served.port}/")
    (tmp_path / "image.png").write_bytes(png(picture()))
    first = client.predict(tmp_path / "image.png", model="leaves").labels
    assert np.array_equal(first, client.predict(str(tmp_path / "image.png")).labels)
    assert np.array_equal(first, client.predict(png(picture())).labels)
    assert client.answer(png(picture()), "overlay").startswith(b"\xff\xd8")
    assert [entry["name"] for entry in client.models()] == ["leaves"]
    with pytest.raises(MaskwrightError, match=r"none\.png cannot be read"):
        client.predict(tmp_path / "none.png")


def test_what_the_service_says_is_passed_on(served: Running) -> None:
    client = mw.Client(f"http://127.0.0.1:{served.port}")
    with pytest.raises(ServiceError, match="is not an image") as error:
        client.predict(b"text")
    assert error.value.status == 422
    assert error.value.problem["cure"]
    with pytest.raises(ServiceError, match="has only leaves"):
        client.predict(png(picture()), model="a b&output=mask")


def test_a_token_is_sent(run: Path) -> None:
    pytest.importorskip("fastapi")
    with serving([str(run)], token="correct-horse") as running:
        url = f"http://127.0.0.1:{running.port}"
        assert mw.Client(url, "correct-horse").predict(png(picture())).labels.shape == (60, 90)
        for wrong in (None, "correct-house"):
            with pytest.raises(ServiceError) as error:
                mw.Client(url, wrong).models()
            assert error.value.status == 401


def test_a_busy_service_is_asked_again_after_its_time(stand_in: Any, answers: list[Any], slept: list[float]) -> None:
    answers[:0] = [
        (429, {"Retry-After": "7"}, b"{}"),
        (429, {}, b"{}"),
        (429, {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, b"{}"),
        (429, {"Retry-After": "9000"}, b"{}"),
        (429, {"Retry-After": "soon"}, b"{}"),
    ]
    url, seen = stand_in
    assert mw.Client(url).models() == []
    assert slept == [7, 1, 0.1, 60, 1]
    assert len(seen) == 6


def test_patience_ends(stand_in: Any, answers: list[Any], slept: list[float]) -> None:
    answers[:] = [(429, {"Retry-After": "2"}, b'{"detail": "64 requests are waiting"}')]
    with pytest.raises(ServiceError, match="64 requests are waiting") as error:
        mw.Client(stand_in[0], retries=2).models()
    assert (error.value.status, slept, len(stand_in[1])) == (429, [2, 2], 3)


@pytest.mark.parametrize(("status", "body"), [(404, b"<html>"), (502, b"[1]"), (500, b'{"no": "detail"}')])
def test_another_server_is_recognised(stand_in: Any, answers: list[Any], status: int, body: bytes) -> None:
    answers[:] = [(status, {}, body)]
    with pytest.raises(ServiceError, match=f"answered with status {status}") as error:
        mw.Client(stand_in[0]).models()
    assert error.value.status == status


def test_a_token_follows_no_redirection(stand_in: Any, answers: list[Any]) -> None:
    url, seen = stand_in
    answers[:0] = [(302, {"Location": f"{url}/elsewhere"}, b"")]
    with pytest.raises(ServiceError, match="status 302"):
        mw.Client(url, "correct-horse").models()
    assert [entry["path"] for entry in seen] == ["/v1/model"]
    assert seen[0]["authorization"] == "Bearer correct-horse"


def test_no_proxy_comes_between_programs_of_one_machine(stand_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert mw.Client(stand_in[0]).models() == []


def test_a_service_that_is_not_there_is_named() -> None:
    with pytest.raises(ServiceError, match=r"http://127\.0\.0\.1:9 does not answer .*refused") as error:
        mw.Client("http://127.0.0.1:9").models()
    assert error.value.status is None


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "file:///etc/passwd", "http://", "ftp://a"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(MaskwrightError, match="must begin with http"):
        mw.Client(url)
