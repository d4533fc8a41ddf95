"""Every command and every snippet in the README runs, in the order in which a reader would type them.

What takes minutes is made short (a budget becomes a few steps); what would install is checked and not done.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from maskwright.cli.main import run

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]

README = (ROOT / "README.md").read_text(encoding="utf-8")
STEPS = 3
SERVICES: list[subprocess.Popen[str]] = []
PORTS: list[str] = []


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def short(command: str) -> str:
    """Train for a few steps instead of minutes."""
    command = command.replace("--budget 3m", f"--steps {STEPS}").replace('budget="3m"', f"steps={STEPS}")
    assert "budget" not in command, "a budget that this test does not know how to make short"
    return command


def test_every_block_is_of_a_kind_that_runs() -> None:
    assert set(re.findall(r"^```(\S+)$", README, re.MULTILINE)) == {"sh", "python"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the README's reader sits in."""
    return tmp_path_factory.mktemp("reader")


@pytest.fixture(scope="module", autouse=True)
def services() -> Iterator[None]:
    yield
    for process in SERVICES:
        process.terminate()
        process.communicate(timeout=60)


def serve(arguments: list[str], place: Path) -> None:
    """Leave a service running, on a port that is free."""
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    command = [sys.executable, "-m", "maskwright", *arguments, "--port", "0"]
    process = subprocess.Popen(command, cwd=place, stderr=subprocess.PIPE, text=True)
    SERVICES.append(process)
    assert process.stderr is not None
    found = None
    while found is None:
        line = process.stderr.readline()
        assert line, "it ended"
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
    PORTS.append(found[1])


def ask(arguments: list[str]) -> None:
    """Run curl, and see that a mask comes."""
    if shutil.which("curl") is None or not PORTS:
        pytest.skip("there is no curl, or no service")
    words = [word.replace(":8000/", f":{PORTS[-1]}/") for word in arguments]
    subprocess.run(["curl", "--silent", "--show-error", "--fail", *words], check=True, timeout=300)
    with Image.open(words[words.index("-o") + 1]) as mask:
        assert (mask.format, mask.mode, mask.size) == ("PNG", "P", (256, 256))


@pytest.mark.parametrize("command", [line for block in blocks("sh") for line in block.splitlines()])
def test_command(
    command: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program, *arguments = shlex.split(short(command))
    monkeypatch.chdir(place)
    if arguments[0] == "serve":
        serve(arguments, place)
    elif program == "curl":
        ask(arguments)
    elif program == "maskwright":
        assert run(arguments) == 0, capsys.readouterr().err
    elif program == "make":
        if shutil.which("make") is None:
            pytest.skip("there is no make on this machine")
        subprocess.run(["make", "-n", *arguments], cwd=ROOT, check=True, capture_output=True)
    else:
        assert [program, *arguments] == ["pip", "install", "."]


@pytest.mark.parametrize("code", blocks("python"))
def test_snippet(code: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    names: dict[str, object] = {}
    exec(compile(short(code), "README.md", "exec"), names)
    if "labels" in names:
        assert names["labels"].shape == (256, 256)
        assert names["labels"].dtype == "uint8"


def test_what_a_run_leaves_behind_is_what_is_said(place: Path) -> None:
    table = README.split("## What a run leaves behind")[1].split("\n## ")[0]
    said = set(re.findall(r"`([a-z]+\.[a-z]+|[a-z]+/)`", table))
    for name in said:
        assert (place / "runs/textures" / name).exists(), f"README promises {name}"


def test_extras_are_what_is_said() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(re.findall(r'"\.\[(\w+)\]"', README)) <= set(extras)
