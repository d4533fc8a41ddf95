"""The options that `plan` and `train` share: what is read of them is there, and what is there is read."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from maskwright.cli.plan import plan
from maskwright.cli.requests import plan_request
from maskwright.cli.train import train

if TYPE_CHECKING:
    from collections.abc import Callable


class Remembering(dict[str, Any]):
    """Options, of which those that were read are remembered."""

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)


@pytest.mark.parametrize("verb", [plan, train])
def test_every_option_of_a_verb_is_read_and_every_one_read_is_an_option(verb: Callable[..., int]) -> None:
    parameters = inspect.signature(verb).parameters
    options = Remembering(
        {name: None if entry.default is entry.empty else entry.default for name, entry in parameters.items()}
    )
    plan_request(options, 0.0)  # a name that is no parameter is a KeyError
    body = ast.parse(textwrap.dedent(inspect.getsource(verb))).body[0].body  # type: ignore[attr-defined]
    loaded = {node.id for part in body for node in ast.walk(part) if isinstance(node, ast.Name)}
    assert options.read
    assert set(parameters) == options.read | (loaded & set(parameters))


@pytest.mark.parametrize("verb", [plan, train])
def test_nothing_but_options_is_in_the_locals_that_are_read(verb: Callable[..., int]) -> None:
    body = ast.parse(textwrap.dedent(inspect.getsource(verb))).body[0].body  # type: ignore[attr-defined]
    bound = [part for part in body if isinstance(part, ast.Assign | ast.AnnAssign | ast.Import | ast.ImportFrom)]
    assert "locals()" in ast.unparse(bound[0])
