"""Text files that name images, one path or glob a line. Finds no image, and opens nothing but the lists."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.errors import MaskwrightError
from maskwright.core.files import read_text
from maskwright.core.text import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

LIST_SUFFIXES = frozenset({".txt", ".lst"})


class Source(NamedTuple):
    """What one source names.

    Attributes:
        text: a file, a folder or a glob.
        folder: of the list that names it; None if the user named it.
        place: words before the reason of a failure: the list and the line.
    """

    text: str
    folder: Path | None = None
    place: str = ""

    def root(self, file: Path) -> Path:
        """Return the folder below which the results of a file keep its path: that of the list, if it lies there."""
        return self.folder if self.folder is not None and file.is_relative_to(self.folder) else file.parent


def named(sources: Sequence[str | Path], failures: list[tuple[Path, str]]) -> list[Source]:
    """Put the lines of every list in its place; a list that cannot be read is a failure.

    A list is a file that ends in .txt or .lst. Its paths are relative to its folder. Empty lines and those that begin
    with # are skipped.
    """
    found: list[Source] = []
    for source in sources:
        path = Path(source)
        if path.suffix.lower() not in LIST_SUFFIXES or not path.is_file():
            found.append(Source(str(source)))
            continue
        try:
            found += _lines(path)
        except MaskwrightError as error:
            failures.append((path, str(error)))
    return found


def _lines(path: Path) -> list[Source]:
    """Return what a list names.

    Raises:
        MaskwrightError: it is no text, is empty, or none of its lines names anything.
    """
    lines = [(number, line.strip()) for number, line in enumerate(read_text(path).splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not lines:
        raise MaskwrightError(f"{path} is a list without any path: write one image, folder or glob a line")
    sources = [Source(str(path.parent / line), path.parent, f"{path}, line {number}: ") for number, line in lines]
    if not any(Path(source.text).exists() or glob.has_magic(source.text) for source in sources):
        number, line = lines[0]
        raise MaskwrightError(
            f"{path} is read as a list, and none of its {plural(len(lines), 'line')} names a file; line {number} is "
            f"{line[:80]!r}: write one image, folder or glob a line, relative to {path.parent.absolute()}"
        )
    return sources
