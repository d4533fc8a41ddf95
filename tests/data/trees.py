"""The trees of docs/data.md: which files each format consists of."""

from __future__ import annotations

import re
from pathlib import Path


def trees(section: str) -> dict[str, list[str]]:
    """Return the files of each tree of a section, which stand side by side below their names."""
    page = (Path(__file__).parents[2] / "docs/data.md").read_text(encoding="utf-8")
    block = page.split(f"## {section}\n")[1].split("```")[1].removeprefix("text\n")
    found: dict[str, list[str]] = {}
    columns: list[re.Match[str]] = []
    above: dict[str, list[str]] = {}
    for line in block.splitlines():
        if re.match(r"\w", line):
            columns = list(re.finditer(r"\S+(?: \S+)*", line))
            continue
        for place, column in enumerate(columns):
            end = columns[place + 1].start() if place + 1 < len(columns) else None
            entry = re.fullmatch(r"([│ ]*)[├└]── (.*?)( \(optional\))?\s*", line[column.start() : end])
            if entry is None:
                continue
            folders = above.setdefault(column[0], [])
            folders[len(entry[1]) // 4 :] = [entry[2]]
            if not entry[2].endswith("/"):
                found.setdefault(column[0], []).append("".join(folders))
    return found
