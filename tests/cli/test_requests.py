"""The options of `plan` and `train` are the fields of `PlanRequest`: every one of them, and nothing else."""

from __future__ import annotations

import time
from dataclasses import MISSING, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.main import get_command

from maskwright.cli.flags import FLAGS, READ_OPTIONS, REQUEST_OPTIONS
from maskwright.cli.main import app, run
from maskwright.core.read_options import ReadOptions
from maskwright.workflows.request import PlanRequest

OWN = {"plan": {"--out", "--json"}, "train": {"--out", "--json", "--resume", "--log"}}
"""Options that say where the answer goes, or what is continued, and nothing of the training."""
UNOFFERED = {"edges", "read", "started", "values"}
"""Fields without an option: `read` holds the fields of `ReadOptions`, and the program itself sets the others."""
GIVEN: dict[str, tuple[str, Any]] = {
    "budget": ("90s", "90s"),
    "steps": ("7", 7),
    "epochs": ("1.5", 1.5),
    "task": ("semantic", "semantic"),
    "model": ("unet", "unet"),
    "backbone": ("mit", "mit"),
    "weights": ("w.pth", Path("w.pth")),
    "settings": ("optim.lr=1", ("optim.lr=1",)),
    "plan_file": ("a.yaml", Path("a.yaml")),
    "from_run": ("runs/a", Path("runs/a")),
    "freeze": ("backbone", "backbone"),
    "lora": ("8", 8),
    "device": ("cpu", "cpu"),
    "seed": ("3", 3),
    "group_by": ("p(.)", "p(.)"),
    "format": ("voc", "voc"),
    "classes": ("names.txt", Path("names.txt")),
    "ignore": ("11", 11),
    "map": ("37=ignore", {37: "ignore"}),
    "nodata": ("-9999", -9999.0),
    "crowd": ("keep", "keep"),
    "between": ("objects", "objects"),
}
"""Field -> what is typed, and the value that the request holds."""


def asked(stand_in: Any, plan: Any, verb: str, *words: str) -> PlanRequest:
    """Run a verb on a stand-in and return the request that it made."""
    calls: list[Any] = []
    outcome = SimpleNamespace(plan=plan, notes=())
    stand_in("maskwright.workflows.plan", make_plan=lambda *args: calls.append(args) or outcome)
    done = SimpleNamespace(run=Path("r"), scores=None, steps=1, seconds=1.0, validation_score=None)
    stand_in("maskwright.workflows.train", train=lambda *args, **_: calls.append(args) or done)
    assert run([verb, "data", *words, "--json"]) == 0
    request = calls[0][1]
    assert isinstance(request, PlanRequest)
    return request


def test_every_field_has_an_option_unless_the_program_sets_it() -> None:
    assert set(REQUEST_OPTIONS) == {entry.name for entry in fields(PlanRequest)} - UNOFFERED
    assert set(READ_OPTIONS) == {entry.name for entry in fields(ReadOptions)} - UNOFFERED
    assert set(GIVEN) == REQUEST_OPTIONS.keys() | READ_OPTIONS.keys()


@pytest.mark.parametrize("verb", ["plan", "train"])
def test_the_options_are_the_fields_and_nothing_else(verb: str) -> None:
    options = {
        entry.opts[0]: entry for entry in get_command(app).commands[verb].params if entry.param_type_name == "option"
    }
    offered = [*REQUEST_OPTIONS.values(), *READ_OPTIONS.values()]
    assert set(options) == {option.flag for option in offered} | OWN[verb]
    for option in offered:
        entry = options[option.flag]
        assert (entry.help, entry.metavar, entry.multiple) == (option.help, option.metavar, option.repeatable)


def test_no_two_fields_share_a_flag_or_a_key() -> None:
    flags = [option.flag for option in (*REQUEST_OPTIONS.values(), *READ_OPTIONS.values())]
    keys = [option.key for option in REQUEST_OPTIONS.values() if option.key]
    assert len(set(flags)) == len(flags)
    assert len(set(keys)) == len(keys)
    assert all(FLAGS[key] in flags for key in keys)


@pytest.mark.parametrize("verb", ["plan", "train"])
@pytest.mark.parametrize("name", GIVEN)
def test_what_is_typed_reaches_the_field_and_no_other(name: str, verb: str, stand_in, plan) -> None:
    text, value = GIVEN[name]
    option = {**REQUEST_OPTIONS, **READ_OPTIONS}[name]
    request = asked(stand_in, plan, verb, option.flag, text)
    place = request if name in REQUEST_OPTIONS else request.read
    assert getattr(place, name) == value
    usual = PlanRequest()
    for entry in fields(PlanRequest):
        if entry.name not in {name, "read", "started"}:
            assert getattr(request, entry.name) == getattr(usual, entry.name)
    for entry in fields(ReadOptions):
        if entry.name != name:
            assert getattr(request.read, entry.name) == getattr(usual.read, entry.name)


@pytest.mark.parametrize("verb", ["plan", "train"])
def test_without_options_the_request_is_the_usual_one_and_its_clock_runs(verb: str, stand_in, plan) -> None:
    before = time.monotonic()
    request = asked(stand_in, plan, verb)
    for entry in fields(PlanRequest):
        if entry.name != "started":
            usual = entry.default if entry.default is not MISSING else ReadOptions()
            assert getattr(request, entry.name) == usual
    assert request.started is not None
    assert before <= request.started <= time.monotonic()


def test_repeated_options_are_kept_in_order(stand_in, plan) -> None:
    words = ["--set", "optim.lr=1", "--map", "1=2", "--set", "seed=3", "--map", "3=ignore"]
    request = asked(stand_in, plan, "plan", *words)
    assert request.settings == ("optim.lr=1", "seed=3")
    assert request.read.map == {1: 2, 3: "ignore"}
