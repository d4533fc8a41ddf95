"""Files of annotations: which of them a folder holds, told by words in them, and how one is parsed. Knows no format."""

from __future__ import annotations

import mmap
from collections import defaultdict
from typing import TYPE_CHECKING

from maskwright.core.records import Fault
from maskwright.data.formats.pairing.pairs import find_pairs
from maskwright.data.formats.walk import files_below, images_below

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from maskwright.core.errors import MaskwrightError

DAMAGE = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)
"""What code that reads a parsed file raises where the file holds something else than its format says."""

_MOST_FILES = 50
_UTF16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}


def few(root: Path, suffix: str) -> list[Path]:
    """Return the files with a suffix in a folder and two levels below it, sorted.

    Folders with so many of them that they must be one an image are left out.
    """
    by_folder: defaultdict[Path, list[Path]] = defaultdict(list)
    for pattern in (f"*{suffix}", f"*/*{suffix}", f"*/*/*{suffix}"):
        for path in root.glob(pattern):
            if not any(part.startswith(".") for part in path.relative_to(root).parts) and path.is_file():
                by_folder[path.parent].append(path)
    return sorted(path for paths in by_folder.values() if len(paths) <= _MOST_FILES for path in paths)


def holds(path: Path, words: Iterable[str]) -> bool:
    """Tell whether a text file holds all these words; searched, not parsed. One that cannot be opened does not."""
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            encoding = _UTF16.get(content[:2], "utf-8")
            return all(content.find(word.encode(encoding)) >= 0 for word in words)
    except (OSError, ValueError):  # An empty file cannot be mapped.
        return False


def some(paths: list[Path], words: Iterable[str]) -> bool:
    """Tell whether one of a sample of files holds all these words."""
    wanted = tuple(words)
    step = max(1, len(paths) // _MOST_FILES)
    return any(holds(path, wanted) for path in paths[::step])


def unreadable(path: Path, error: MaskwrightError) -> Fault:
    """Return the error of one annotation file as a fault: the others can still be read."""
    message, _, cure = str(error).removeprefix(f"{path}: ").replace(str(path), path.name).rpartition(": ")
    return Fault("unreadable", "error", path, message, cure)


def below(root: Path, *suffixes: str) -> list[Path]:
    """Return the files with one of the suffixes below a folder, or the file itself."""
    if root.is_dir():
        return files_below(root, frozenset(suffixes))
    return [root] if root.suffix.lower() in suffixes else []


def masks_pair(root: Path, count: int) -> bool:
    """Tell whether a folder holds at least so many images with a mask file."""
    return root.is_dir() and count > 0 and len(find_pairs(root, images_below(root)).pairs) >= count
