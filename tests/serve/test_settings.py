"""What may be asked of a service: hosts and tokens, numbers, folders, ports."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from maskwright.cli.main import run as command
from maskwright.core.errors import MaskwrightError
from maskwright.serve.settings import ServeRequest, is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost", "LocalHost"])
def test_this_machine_needs_no_token(host: str) -> None:
    assert is_loopback(host)
    assert ServeRequest(host=host).local


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", "127.0.0.1.example.org", "", "1"])
def test_any_other_host_needs_one(host: str) -> None:
    with pytest.raises(MaskwrightError, match="there is no token"):
        ServeRequest(host=host)
    assert not ServeRequest(host=host, token="correct-horse").local


@pytest.mark.parametrize("token", ["", "short", "with blank", "umläute-ü", "line\nbreak"])
def test_a_token_is_long_and_plain(token: str) -> None:
    with pytest.raises(MaskwrightError, match="8 or more letters") as error:
        ServeRequest(token=token)
    assert token not in str(error.value) or not token, "a secret does not belong into a message"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("port", -1),
        ("port", 65536),
        ("timeout", 0),
        ("timeout", float("nan")),
        ("timeout", float("inf")),
        ("max_mb", -1),
        ("max_megapixels", 0),
        ("queue", 0),
        ("batch", 0),
        ("gallery", Path("nowhere")),
    ],
)
def test_values_have_rules(field: str, value: object) -> None:
    with pytest.raises(MaskwrightError) as error:
        ServeRequest(**{field: value})
    assert error.value.key == field
    assert str(value) in str(error.value)


def test_a_folder_that_is_none_is_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "my pictures")
    assert command(["serve", "run", "--gallery", folder]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert said.startswith("maskwright: --gallery is ")
    assert said.count("--gallery") == 1
    assert said.endswith("and it must be a folder of images: check the path.")


def test_a_port_in_use_is_named() -> None:
    pytest.importorskip("uvicorn")
    from maskwright.serve.server import listening

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(MaskwrightError, match=rf"port {port} of 127\.0\.0\.1 is in use") as error:
            listening(ServeRequest(port=port))
        assert error.value.key == "port"


@pytest.mark.skipif(os.name != "posix", reason="addresses of documentation are refused at once on POSIX only")
def test_an_address_of_another_machine_is_named() -> None:
    pytest.importorskip("uvicorn")
    from maskwright.serve.server import listening

    with pytest.raises(MaskwrightError, match=r"192\.0\.2\.1 is no address of this machine"):
        listening(ServeRequest(host="192.0.2.1", port=0, token="correct-horse"))


@pytest.mark.parametrize(
    ("answered", "said"),
    [(20, "20 were answered\n"), (15, "15 were answered; 5 clients had left\n")],
)
def test_the_end_tells_clients_that_left_from_answers_that_were_lost(
    answered: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("uvicorn")
    from maskwright.serve import server

    line = SimpleNamespace(accepted=20, answered=answered)
    monkeypatch.setattr(server, "serve", lambda *_: line)
    assert command(["serve", "model"]) == 0
    assert " ".join(capsys.readouterr().err.split()).endswith(f"stopped: 20 requests were accepted, and {said.strip()}")
