"""The command in a process of its own: what it prints, whom it talks to, and how it ends under load."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import pytest
from tests.serve.conftest import Running, picture, png, until

from maskwright.cli.main import run as maskwright

pytest.importorskip("fastapi")

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WATCHED = """
import json, socket, sys
from maskwright.cli.main import main

listed = open(sys.argv[1], "w", buffering=1)


def watch(name):
    before = getattr(socket.socket, name)

    def watched(self, *arguments):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            listed.write(json.dumps([name, str(arguments[-1])]) + "\\n")
        return before(self, *arguments)

    return watched


for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, watch(name))
names = socket.getaddrinfo


def asked(host, *arguments, **options):
    listed.write(json.dumps(["getaddrinfo", str(host)]) + "\\n")
    return names(host, *arguments, **options)


socket.getaddrinfo = asked
sys.argv = ["maskwright", *sys.argv[2:]]
main()
"""


class Process(NamedTuple):
    process: subprocess.Popen[str]
    told: dict[str, Any]
    network: Path
    running: Running


@pytest.fixture
def process(run: Path, tmp_path: Path) -> Iterator[Process]:
    """The command, with everything set that could make a library report, and every connection written down."""
    reporting = {
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://192.0.2.1:4318",
        "PYTHONFAULTHANDLER": "1",
    }
    command = ["serve", str(run), "--port", "0", "--json", "--device", "cpu", "--queue", "100", "--timeout", "300"]
    started = subprocess.Popen(
        [sys.executable, "-c", WATCHED, str(tmp_path / "network"), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **reporting},
    )
    assert started.stdout is not None
    lines = []
    while not lines or lines[-1].rstrip() != "}":
        lines.append(started.stdout.readline())
        assert lines[-1], started.communicate()[1]
    told = json.loads("".join(lines))
    port = int(told["url"].rstrip("/").rpartition(":")[2])
    yield Process(started, told, tmp_path / "network", Running(None, port))
    started.kill()
    started.communicate()


def test_it_ends_in_order_and_talks_to_nobody(process: Process) -> None:
    """SIGTERM comes while requests are worked on and wait: each of them is answered, and then the process ends."""
    running = process.running
    assert process.told["models"] == ["leaves"]
    running.ask("GET", "/v1/model")
    body, answers = png(picture((250, 250))), []
    threads = [threading.Thread(target=lambda: answers.append(running.predict(body).status)) for _ in range(20)]
    for thread in threads:
        thread.start()

    def counted(name: str) -> float:
        text = running.ask("GET", "/metrics").body.decode()
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))

    until(lambda: counted("maskwright_accepted_requests") == 20)
    left = counted("maskwright_queue_requests")
    process.process.send_signal(signal.SIGTERM)
    said = process.process.communicate(timeout=500)[1]
    for thread in threads:
        thread.join()
    assert left > 0, "the signal was to come under load"
    assert answers == [200] * 20
    assert process.process.returncode == 0
    assert said.endswith("stopped: 20 requests were accepted, and 20 were answered\n")
    assert "Traceback" not in said
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", running.port))
    assert [json.loads(line) for line in process.network.read_text().splitlines()] == [["getaddrinfo", "127.0.0.1"]]


def test_damaged_uploads_do_not_fill_the_terminal(process: Process) -> None:
    """tifffile logs, and OpenCV prints, some lines for each."""
    bitmap, tiff = (cv2.imencode(suffix, picture((100, 100)))[1].tobytes() for suffix in (".bmp", ".tif"))
    for body in (bitmap[:5000], tiff[:8] + bytes(len(tiff) - 8), tiff[:-100], tiff[:4] + b"\xff" * 4 + tiff[8:]):
        assert process.running.predict(body).status == 422
    process.process.send_signal(signal.SIGTERM)
    said = process.process.communicate(timeout=500)[1].splitlines()
    assert [line.partition(" ")[0] for line in said] == ["serving", "stopped:"]


def test_a_port_in_use_is_told_before_a_model_is_loaded(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert maskwright(["serve", str(run / "nothing"), "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"maskwright: --port {port}: port {port} of 127.0.0.1 is in use by another program")
    assert "another --port" in said


def test_other_hosts_need_a_token_and_the_message_keeps_it(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert maskwright(["serve", str(run), "--host", "0.0.0.0"]) == 2
    assert "give --token" in capsys.readouterr().err
    assert maskwright(["serve", str(run), "--host", "0.0.0.0", "--token", "s3cr3t"]) == 2
    assert "s3cr3t" not in capsys.readouterr().err


def test_a_missing_model_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert maskwright(["serve", str(tmp_path / "none"), "--port", "0"]) == 2
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "prometheus_client"])
def test_a_missing_extra_is_told(
    run: Path, package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert maskwright(["serve", str(run), "--port", "0"]) == 2
    assert f'{package} is not installed: pip install "maskwright[serve]"' in capsys.readouterr().err
