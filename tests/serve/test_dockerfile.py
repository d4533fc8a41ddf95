"""The Dockerfile, read as a linter reads it: what hadolint would say, and whether its commands and files exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.main import get_command

from maskwright.cli.main import app

ROOT = Path(__file__).parents[2]


def instructions() -> list[tuple[str, str]]:
    """Return (instruction, arguments), with continued lines joined and comments left out."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines()) if word]


def last(name: str) -> str:
    return next(rest for word, rest in reversed(instructions()) if word == name)


def test_only_known_instructions_stand_there() -> None:
    known = {"FROM", "ARG", "WORKDIR", "COPY", "RUN", "USER", "ENV", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    assert {word for word, _ in instructions()} <= known, "no ADD, no SHELL, no MAINTAINER"


def test_images_are_slim_and_of_one_version() -> None:
    images = [rest.split()[0] for word, rest in instructions() if word == "FROM"]
    assert len(set(images)) == 1
    assert re.fullmatch(r"python:3\.\d+-slim", images[0])


def test_nothing_runs_as_root_at_the_end() -> None:
    after = [word for word, _ in instructions()]
    assert last("USER").isdecimal(), "a number, so that Kubernetes can check that it is not root"
    assert int(last("USER")) >= 1000
    assert "RUN" not in after[len(after) - 1 - after[::-1].index("USER") :]


def test_commands_are_lists_so_that_signals_arrive() -> None:
    for name in ("ENTRYPOINT", "CMD"):
        assert all(isinstance(part, str) for part in json.loads(last(name)))
    assert json.loads(last("HEALTHCHECK").partition("CMD ")[2])[0] == "/venv/bin/python"


def test_the_command_is_one_that_we_have() -> None:
    program, verb = json.loads(last("ENTRYPOINT"))
    assert program.endswith("/maskwright")
    options = {name for option in get_command(app).commands[verb].params for name in option.opts}
    words = json.loads(last("CMD"))
    assert {word for word in words if word.startswith("--")} <= options
    assert words[words.index("--port") + 1] == last("EXPOSE")
    assert f":{last('EXPOSE')}/healthz" in last("HEALTHCHECK")


def test_no_secret_and_no_token_is_built_in() -> None:
    for word, rest in instructions():
        if word in {"ARG", "ENV", "CMD", "ENTRYPOINT"}:
            assert not re.search(r"token|secret|password", rest, re.IGNORECASE)


def test_what_is_installed_is_pinned_and_leaves_no_cache() -> None:
    installs = [
        part for word, rest in instructions() if word == "RUN" for part in rest.split("&&") if "pip install" in part
    ]
    assert installs
    for install in installs:
        assert "--no-cache-dir" in install
        assert "-c constraints.txt" in install


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    shown = [line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[0] == "!"]
    copied = [
        source
        for word, rest in instructions()
        if word == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    ]
    assert set(copied) == set(shown)
    assert all((ROOT / source).exists() for source in copied)


@pytest.mark.parametrize("command", ["docker build", "docker run"])
def test_the_docs_say_how_to_use_it(command: str) -> None:
    assert command in (ROOT / "docs/serve.md").read_text(encoding="utf-8")
