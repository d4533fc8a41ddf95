"""The service around its answers: page, gallery, headers, counters, limits under a crowd, and its OpenAPI document."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.serve.conftest import picture, png, serving, until

pytest.importorskip("fastapi")

from maskwright.serve.gallery import Gallery
from maskwright.serve.page_files import FOLDER

if TYPE_CHECKING:
    from pathlib import Path

    from tests.serve.conftest import Running


def test_the_gallery_shows_what_is_inside_and_nothing_else(served: Running, gallery: Path) -> None:
    listed = json.loads(served.ask("GET", "/v1/gallery").body)["images"]
    assert [entry["name"] for entry in listed] == ["a.png", "alias.png", "deep/b.png"]
    assert [entry["bytes"] for entry in listed] == [(gallery / entry["name"]).stat().st_size for entry in listed]
    for entry in listed:
        answer = served.ask("GET", f"/v1/gallery/{entry['id']}")
        assert (answer.status, answer.headers["Content-Type"]) == (200, "image/png")
        assert answer.body == (gallery / entry["name"]).read_bytes()


@pytest.mark.parametrize("named", ["a.png", "..%2foutside%2fsecret.png", "%2e%2e", "0" * 24, "a%00"])
def test_ids_are_no_paths(served: Running, named: str) -> None:
    assert served.ask("GET", f"/v1/gallery/{named}").status == 404


def test_a_link_that_is_bent_later_is_not_followed(gallery: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(b"inside")
    (tmp_path / "b.png").write_bytes(b"outside")
    found = Gallery(tmp_path / "in")
    entry = found.entries()[0]
    (tmp_path / "in/a.png").unlink()
    (tmp_path / "in/a.png").symlink_to(tmp_path / "b.png")
    assert found.find(entry.id) is None


def test_without_a_gallery_there_are_no_images(run: Path) -> None:
    with serving([str(run)]) as running:
        assert json.loads(running.ask("GET", "/v1/gallery").body) == {"images": []}
        assert running.ask("GET", "/v1/gallery/abc").status == 404
        assert json.loads(running.ask("GET", "/v1/model").body)["gallery"] is False


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/page/nothing.js", 404),
        ("GET", "/v1/model", 200),
        ("GET", "/nothing", 404),
        ("PUT", "/v1/predict", 405),
        ("POST", "/v1/predict", 422),
        ("GET", "/metrics", 200),
    ],
)
def test_every_answer_has_the_headers_that_protect_browsers(
    served: Running, method: str, path: str, status: int
) -> None:
    answer = served.ask(method, path)
    assert answer.status == status
    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Cache-Control"] in {"no-store", "no-cache"}


@pytest.mark.parametrize("path", ["/", "/healthz", "/v1/model", "/nothing"])
def test_head_is_answered_like_get_without_the_body(served: Running, path: str) -> None:
    whole, head = served.ask("GET", path), served.ask("HEAD", path)
    assert (head.status, head.headers["Content-Type"]) == (whole.status, whole.headers["Content-Type"])
    assert (head.body, head.headers["Content-Length"]) == (b"", str(len(whole.body)))


def test_files_of_the_page_have_types_and_tags(served: Running) -> None:
    kinds = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
    files = [file for file in FOLDER.rglob("*") if file.suffix in kinds]
    assert files
    for file in files:
        path = f"/page/{file.relative_to(FOLDER).as_posix()}"
        answer = served.ask("GET", path)
        assert (answer.status, answer.body) == (200, file.read_bytes())
        assert answer.headers["Content-Type"] == kinds[file.suffix]
        again = served.ask("GET", path, headers={"If-None-Match": f'W/"other", {answer.headers["ETag"]}'})
        assert (again.status, again.body) == (304, b"")
        assert served.ask("GET", path, headers={"If-None-Match": '"other"'}).status == 200
    index = served.ask("GET", "/")
    assert index.headers["Content-Type"] == "text/html; charset=utf-8"
    assert b"<script>" not in index.body, "the policy allows no inline script"


def test_two_hundred_requests_at_once_are_all_answered(run: Path) -> None:
    """Some are predicted, and the others are told when to come again."""
    image = png(picture((90, 90)))
    with serving([str(run)], queue=8) as running, ThreadPoolExecutor(200) as pool:
        start = threading.Barrier(200)

        def ask(_number: int) -> tuple[int, str | None]:
            start.wait(60)
            answer = running.predict(image)
            return answer.status, answer.headers["Retry-After"]

        answers = list(pool.map(ask, range(200)))
        assert {status for status, _ in answers} <= {200, 429}
        assert sum(status == 200 for status, _ in answers) >= 9
        assert all(wait is not None and int(wait) >= 1 for status, wait in answers if status == 429)
        until(lambda: running.service.line.working == 0)
        assert running.service.line.accepted == sum(status == 200 for status, _ in answers)
        assert running.predict(image).status == 200


def test_a_full_line_refuses_before_the_upload(run: Path) -> None:
    with serving([str(run)], queue=1) as running:
        running.service.line.waiting = 1
        answer = running.predict(b"no image at all")
        running.service.line.waiting = 0
        assert (answer.status, answer.headers["Retry-After"]) == (429, "1")


def test_an_image_that_takes_too_long_is_given_up(run: Path) -> None:
    with serving([str(run)], timeout=0.3) as running:
        gate = threading.Event()
        engine = next(iter(running.service.models.values())).current.predictor.engine
        forward = engine.forward

        def held(tiles: object) -> object:
            assert gate.wait(60)
            return forward(tiles)

        engine.forward = held
        answer = running.predict(png(picture()))
        gate.set()
        assert answer.status == 504
        assert json.loads(answer.body)["rule"] == "it takes longer than 0.3 s"
        until(lambda: running.service.line.working == 0)
        assert running.predict(png(picture())).status == 200


def test_our_own_bug_is_an_answer_too(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving([str(run)]) as running:
        monkeypatch.setattr("maskwright.serve.service.answered", lambda *_a, **_o: 1 / 0)
        answer = running.predict(png(picture()))
        assert answer.status == 500
        assert json.loads(answer.body)["value"] == "the service"
        assert "ZeroDivision" not in answer.body.decode()


def test_too_little_memory_is_the_fault_of_one_image(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving([str(run)]) as running:

        def full(*_arguments: object, **_options: object) -> None:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

        with monkeypatch.context() as patch:
            patch.setattr("maskwright.serve.service.answered", full)
            assert running.predict(png(picture())).status == 413
        assert running.predict(png(picture())).status == 200


def test_counters_count(run: Path) -> None:
    with serving([str(run)]) as running:
        for body in (png(picture()), png(picture((100, 64))), b"text"):
            running.predict(body)
        text = running.ask("GET", "/metrics").body.decode()
        for line in (
            'maskwright_requests_total{path="/v1/predict",status="200"} 2.0',
            'maskwright_requests_total{path="/v1/predict",status="422"} 1.0',
            'maskwright_predictions_total{model="leaves",output="mask"} 2.0',
            'maskwright_request_seconds_count{model="leaves"} 2.0',
            "maskwright_batch_tiles_sum 5.0",
            "maskwright_queue_requests 0.0",
            "maskwright_accepted_requests 2.0",
        ):
            assert f"\n{line}\n" in text, line


def test_a_service_that_stops_is_not_ready(run: Path) -> None:
    with serving([str(run)]) as running:
        assert running.ask("GET", "/readyz").status == 200
        running.service.stopping = True
        assert running.ask("GET", "/readyz").status == 503
        assert running.ask("GET", "/healthz").status == 200


def test_the_openapi_document_names_everything(served: Running) -> None:
    document = json.loads(served.ask("GET", "/openapi.json").body)
    assert set(document["paths"]) == {
        "/v1/predict",
        "/v1/model",
        "/v1/gallery",
        "/v1/gallery/{id}",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    predict = document["paths"]["/v1/predict"]["post"]
    assert set(predict["requestBody"]["content"]) == {"application/octet-stream", "image/*", "multipart/form-data"}
    example = predict["responses"]["200"]["content"]["application/json"]["example"]
    real = json.loads(served.predict(png(picture()), "?output=objects").body)
    assert set(example) - {"objects"} == set(real), "the example is what comes"
    model = document["paths"]["/v1/model"]["get"]["responses"]["200"]["content"]["application/json"]["example"]
    assert set(model["models"][0]) == set(json.loads(served.ask("GET", "/v1/model").body)["models"][0])


def test_the_page_in_docs_names_every_path_and_output(served: Running) -> None:
    from pathlib import Path

    from maskwright.serve.answers import OUTPUTS

    text = (Path(__file__).parents[2] / "docs/serve.md").read_text(encoding="utf-8")
    for path in json.loads(served.ask("GET", "/openapi.json").body)["paths"]:
        assert path in text
    for output in OUTPUTS:
        assert f"| `{output}` |" in text
