"""Every setting, option and command that a message names exists, and every value that it proposes is accepted."""

from __future__ import annotations

import ast
import re
import shlex
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.main import get_command

from maskwright.cli.flags import FLAGS, in_flags
from maskwright.cli.main import app
from maskwright.cli.options import parse_map
from maskwright.core import yaml_text
from maskwright.core.plan import Plan
from maskwright.core.plan_file import overridden, validated
from maskwright.core.plan_schema import place_at

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).parents[1] / "src" / "maskwright"
GAP = "\0"
"""Stands for what is put into a message when it is made."""
OF_OTHERS = {
    *("name", "result", "score", "instances", "iscrowd", "crs"),
    *("git lfs pull", "labelme_export_json FILE", "ulimit -n 4096", "wandb login", "wandb sync"),
}
"""Keys of the user's files, attributes in Python, commands of other programs."""
SECTIONS = "|".join(name for name in Plan.model_fields if name != "reasons")
PLAIN = re.compile(rf"(?<![\w.`])((?:{SECTIONS})\.[a-z_.]+=(?:\[[^\]]*\]|\{{[^}}]*\}}|'[^']*'|[^\s,;:)`\"'\]]+))")
_ENDS = rf"(?:ignore|\d+|{GAP})"
MAPPED = re.compile(rf"`read\.map` ([\d{GAP}-]+={_ENDS})|--map (-?\d+={_ENDS})|(?<![\w.=])(-?\d+=ignore)")


def words_of(node: ast.expr) -> str:
    """Return a text with a gap for each value in it."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(words_of(part) for part in node.values)
    return GAP


@cache
def messages() -> tuple[tuple[str, str], ...]:
    """Every text in the source, with its place; docstrings are none."""
    return tuple(found for path in sorted(SOURCE.rglob("*.py")) for found in texts(path))


def texts(path: Path) -> Iterator[tuple[str, str]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    apart = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    apart |= {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr) and node not in apart:
            yield f"{path.relative_to(SOURCE)}:{node.lineno}", words_of(node)


@cache
def options() -> dict[str, frozenset[str]]:
    """The options of every verb, and under "" those of all."""
    command = get_command(app)
    found = {
        name: frozenset(
            flag for entry in verb.params for flag in (*entry.opts, *entry.secondary_opts) if flag.startswith("--")
        )
        for name, verb in command.commands.items()
    }
    own = frozenset(flag for entry in command.params for flag in entry.opts)
    return {**found, "": frozenset().union(own, {"--help"}, *found.values())}


def cases(pattern: re.Pattern[str], folder: str = "") -> list[pytest.param]:
    found: dict[str, str] = {}
    for place, text in messages():
        if place.startswith(folder):
            for hit in pattern.finditer(text):
                found.setdefault(next(part for part in hit.groups() if part), place)
    return [pytest.param(text, id=f"{place} {text}".replace(GAP, "_")) for text, place in found.items()]


def accept(setting: str) -> None:
    """Set one value of a plan, or see that its key exists if the value is put in later."""
    key, _, value = setting.replace("'", "").partition("=")
    if GAP in key:
        assert key.split(".")[0] in Plan.model_fields
    elif value and GAP not in value and value.isupper():  # N, NAME: a placeholder for people
        assert place_at(key.split(".")).key == key
    elif value and GAP not in value:
        overridden(Plan(), [f"{key}={value}"])
    else:
        place = place_at(key.split("."))
        assert place.key == key or place.keys, f"{key} is no setting"


def run_by(command: str) -> None:
    """See that a command line names a verb, and options that it has."""
    verb, *words = shlex.split(command.replace(GAP, "X"))[1:]
    assert verb in options()
    assert {word for word in words if word.startswith("--")} <= options()[verb] | {"--help"}


@pytest.mark.parametrize("named", cases(re.compile(rf"`([a-z{GAP}][^`\n]*)`")))
def test_what_stands_in_backticks_can_be_typed(named: str) -> None:
    if named in OF_OTHERS or named.strip(f"{GAP}=") == "" or named.startswith(GAP):
        return
    if named.startswith("maskwright "):
        run_by(named)
    elif ": {" in named:
        validated(yaml_text.load(named), "the message")
    elif GAP in named.partition("=")[0]:
        accept(named)
    else:
        shown = shlex.split(in_flags(f"`{named}`"))
        assert shown[0].startswith("--"), f"`{named}` is no setting, option or command"
        assert shown[0] in options()[""]
        if shown[0] == "--set" and len(shown) > 1:
            accept(shown[1])


@pytest.mark.parametrize("setting", cases(PLAIN))
def test_a_setting_with_a_value_is_accepted(setting: str) -> None:
    accept(setting.rstrip("."))


@pytest.mark.parametrize("pair", cases(MAPPED))
def test_a_mapping_is_accepted(pair: str) -> None:
    assert parse_map([pair.replace(GAP, "-9999")])


@pytest.mark.parametrize("flag", cases(re.compile(r"(?<![\w-])(--[a-z][a-z0-9-]+)"), "cli"))
def test_an_option_exists(flag: str) -> None:
    assert flag in options()[""]


def test_every_flag_of_a_field_exists() -> None:
    assert set(FLAGS.values()) <= options()[""]
    assert len(messages()) > 3000, "the messages were found"
