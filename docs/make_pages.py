"""Write docs/models/: one page an architecture, from its module's docstring, its catalog line and its options.

Run: python docs/make_pages.py. A test holds that the pages are what this writes, so each fact has one source. What
stands between the markers of `benchmarks/demo_table.py` in the index is kept as it is.
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskwright import models
from maskwright.models.backbones import find_backbone
from maskwright.models.build import SHARED_MEANINGS

if TYPE_CHECKING:
    from collections.abc import Callable

PAGES = Path(__file__).parent / "models"
INDEX = "README.md"
BEGIN, END = "<!-- demo table: begin -->", "<!-- demo table: end -->"
NOT_MEASURED = "Not measured yet: `python benchmarks/demo_table.py` writes the table."
NEWS = "Written by docs/make_pages.py from the code: change it there"


def pages() -> dict[str, str]:
    """Return every page: name of its file -> text."""
    written = {f"{name}.md": page(name) for name in models.MODELS}
    return {INDEX: index(), **written}


def page(name: str) -> str:
    """Return one architecture's page."""
    entry = models.MODELS[name]
    builder = function_of(entry.builder)
    title, _, text = described(builder)
    facts = [
        ("name", f"`{name}`"),
        ("paper", f"{entry.paper}, {entry.year}: <{entry.url}>"),
        ("what it is", entry.summary),
        ("backbone", f"`{entry.default_backbone}` unless told otherwise; any other with `model.backbone=NAME`"),
        ("code", f"`{Path(inspect.getfile(builder)).relative_to(Path(models.__file__).parents[2]).as_posix()}`"),
    ]
    return "\n".join(
        [
            f"<!-- {NEWS}. -->",
            "",
            f"# {name}: {title.removesuffix('.')}",
            "",
            "| | |",
            "|---|---|",
            *(f"| {key} | {value} |" for key, value in facts),
            "",
            text.strip(),
            "",
            "## Options",
            "",
            f'`--model {name} --set model.options.OPTION=VALUE`, or `create("{name}", classes, OPTION=VALUE)`.',
            "",
            *options(name),
            "",
        ]
    )


def index() -> str:
    """Return the index, with the measured table that it has."""
    rows = [
        f"| [`{name}`]({name}.md) | {entry.year} | {entry.summary} | `{entry.default_backbone}` | "
        f"[{entry.paper}]({entry.url}) |"
        for name, entry in models.MODELS.items()
    ]
    backbones = [f"| `{name}` | {entry.summary} |" for name, entry in models.BACKBONES.items()]
    return "\n".join(
        [
            f"<!-- {NEWS}. -->",
            "",
            "# Architectures",
            "",
            "Every model trains, resumes, predicts and is saved in the same way: `maskwright train DATA --model NAME`.",
            "",
            "| name | year | what it is | backbone | paper |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "## On the demo's data",
            "",
            BEGIN,
            measured(),
            END,
            "",
            "## Backbones",
            "",
            "`--set model.backbone=NAME`; any timm network with `features_only` works as `timm:NAME`.",
            "",
            "| name | what it is |",
            "|---|---|",
            *backbones,
            "",
        ]
    )


def measured() -> str:
    """Return what stands between the markers of the index."""
    file = PAGES / INDEX
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    found = re.search(f"{re.escape(BEGIN)}\n(.*)\n{re.escape(END)}", text, re.DOTALL)
    return found[1] if found else NOT_MEASURED


def function_of(builder: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that a member of a family (a `functools.partial`) is made of."""
    while hasattr(builder, "func"):
        builder = builder.func
    return builder


def described(builder: Callable[..., Any]) -> tuple[str, str, str]:
    """Return the first line, nothing, and the rest of the docstring of the builder's module."""
    text = inspect.getdoc(importlib.import_module(builder.__module__)) or ""
    return text.partition("\n\n")


def options(name: str) -> list[str]:
    """Return the table of options: the decoder's own first, then its backbone's."""
    entry = models.MODELS[name]
    backbone = inspect.signature(find_backbone(entry.default_backbone).builder).parameters
    meanings = {
        **SHARED_MEANINGS,
        **arguments(find_backbone(entry.default_backbone).builder),
        **arguments(entry.builder),
    }
    own = inspect.signature(entry.builder).parameters
    parts = ["decoder", "backbone", "segmenter"]
    rows = []
    for key, value in models.options_of(name).items():
        part = next((part for part, known in zip(parts, (own, backbone), strict=False) if key in known), parts[-1])
        rows.append((parts.index(part), f"| `{key}` | `{plain(value)}` | {part} | {meanings.get(key, '')} |"))
    rows.sort(key=lambda row: row[0])
    return ["| option | default | of the | meaning |", "|---|---|---|---|", *(row for _, row in rows)]


def arguments(builder: Callable[..., Any]) -> dict[str, str]:
    """Return the meaning of each argument, from the docstring's section Args."""
    text = inspect.getdoc(function_of(builder)) or ""
    section = re.search(r"^Args:\n((?:^(?: {4}.*)?\n?)+)", text, re.MULTILINE)
    meanings: dict[str, str] = {}
    for item in re.split(r"\n(?= {4}\S)", section[1].rstrip()) if section else []:
        names, _, meaning = " ".join(item.split()).partition(": ")
        meanings |= {key.strip(): meaning.replace("|", "\\|") for key in names.split(",")}
    return meanings


def plain(value: Any) -> str:
    """Write a default as the plan file would."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(plain(one) for one in value)}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def main() -> None:
    """Write all pages, and remove those of models that are gone."""
    PAGES.mkdir(exist_ok=True)
    wanted = pages()
    for file in PAGES.glob("*.md"):
        if file.name not in wanted:
            file.unlink()
    for name, text in wanted.items():
        (PAGES / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
