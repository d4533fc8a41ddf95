"""The commands of docs/transfer.md are such as the command line takes; and what their options become."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from maskwright.cli.main import run

PAGE = (Path(__file__).parents[2] / "docs/transfer.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S) for line in block.splitlines()]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_s_commands_are_taken(command: str, stand_in, result) -> None:
    asked: list = []
    stand_in("maskwright.workflows.train", train=lambda *args, **_: asked.append(args) or result)
    program, *arguments = shlex.split(command)
    assert program == "maskwright"
    assert run(arguments) == 0
    _, request, _ = asked[0]
    assert (request.from_run is None) == ("--from" not in arguments)


def test_options_become_the_request(stand_in, plan) -> None:
    asked: list = []
    stand_in(
        "maskwright.workflows.plan", make_plan=lambda *args: asked.append(args) or SimpleNamespace(plan=plan, notes=())
    )
    words = ["--from", "runs/a", "--lora", "8", "--freeze", "until-step 7", "--set", "lora.alpha=4"]
    assert run(["plan", "data", *words]) == 0
    request = asked[0][1]
    assert request.from_run == Path("runs/a")
    assert (request.lora, request.freeze, request.settings) == (8, "until-step 7", ("lora.alpha=4",))


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (
            ["--lora", "-1"],
            "--lora -1: lora.rank is -1, and it must be a whole number, 0 or more and 1,024 or less: write e.g. --lora",
        ),
        (["--lora", "100000"], "--lora 100000: lora.rank is 100000, and it must be a whole number, 0 or more and"),
        (["--lora", "8", "--set", "lora.rank=4"], "--lora 8 and --set lora.rank=4 contradict each other: keep one"),
        (
            ["--freeze", "none", "--set", "optim.freeze=backbone"],
            "--freeze none and --set optim.freeze=backbone contradict each other: keep one",
        ),
        (["--resume", "runs/one", "--from", "runs/a"], "leave out --from, or start a new run without --resume"),
    ],
)
def test_contradictions_are_refused(
    words: list[str], answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = [] if "--resume" in words else ["data"]
    assert run(["train", *data, *words]) == 2
    assert answer in " ".join(capsys.readouterr().err.split())
