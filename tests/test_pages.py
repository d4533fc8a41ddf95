"""The pages of docs/models/ are what docs/make_pages.py writes, and say every option."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from maskwright import models

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def make_pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_pages", ROOT / "docs/make_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_are_what_the_code_says(make_pages: ModuleType) -> None:
    wanted = make_pages.pages()
    found = {file.name: file.read_text(encoding="utf-8") for file in make_pages.PAGES.glob("*.md")}
    assert found.keys() == wanted.keys(), "run python docs/make_pages.py"
    for name, text in wanted.items():
        assert found[name] == text, f"docs/models/{name} is not up to date: run python docs/make_pages.py"


@pytest.mark.parametrize("name", sorted({**models.MODELS, **models.OBJECT_MODELS, **models.PIXEL_MODELS}))
def test_every_option_has_a_meaning(make_pages: ModuleType, name: str) -> None:
    for row in make_pages.options(name)[2:]:
        assert not row.endswith("|  |"), f"the docstring of {name}'s builder does not say what this is: {row}"
