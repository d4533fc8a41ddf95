"""The files below a folder, sorted. Opens no file and does not know what the files mean."""

from __future__ import annotations

import contextlib
import os
from contextvars import ContextVar
from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError
from maskwright.data.readers import IMAGE_SUFFIXES
from maskwright.data.readers.zarr_store import is_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What operating systems and network drives leave in folders; thumbnails among it.
_SKIPPED = frozenset({"__MACOSX", "__pycache__", "lost+found", "$RECYCLE.BIN", "@eaDir", "#recycle", "#snapshot"})
_ANY: frozenset[str] = frozenset()

_kept: ContextVar[dict[tuple[Path, frozenset[str]], tuple[Path, ...]] | None] = ContextVar("_kept", default=None)


@contextlib.contextmanager
def walking_once() -> Iterator[None]:
    """List each folder once: inside, `walk` keeps what it finds, since every format looks through the same files."""
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def walk(root: Path) -> Iterator[Path]:
    """Yield every file below `root`, folder by folder in sorted order.

    What is hidden or left by a system is skipped, and so are cycles of links. A Zarr store counts as a file: what lies
    in it is not listed.

    Raises:
        MaskwrightError: a folder cannot be listed.
    """
    kept = _kept.get()
    if kept is None:
        yield from _walk(root, frozenset())
        return
    if (root, _ANY) not in kept:
        kept[root, _ANY] = tuple(_walk(root, frozenset()))
    yield from kept[root, _ANY]


def files_below(root: Path, suffixes: frozenset[str]) -> list[Path]:
    """Return every file below `root` with one of the suffixes, in the order of `walk`."""
    kept = _kept.get()
    if kept is not None and (root, suffixes) in kept:
        return list(kept[root, suffixes])
    found = [path for path in walk(root) if path.suffix.lower() in suffixes]
    if kept is not None:
        kept[root, suffixes] = tuple(found)
    return found


def _walk(folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    try:
        status = folder.stat()
        identity = (status.st_dev, status.st_ino)
        if identity in above:
            return
        with os.scandir(folder) as entries:
            listed = sorted((entry.name, entry.is_dir()) for entry in entries if not is_junk(entry.name))
    except OSError as error:
        raise MaskwrightError(f"{folder} cannot be listed ({error.strerror}): check its permissions") from None
    for name, is_folder in listed:
        if not is_folder:
            yield folder / name
    for name, is_folder in listed:
        if is_folder and is_store(folder / name):
            yield folder / name
        elif is_folder:
            yield from _walk(folder / name, above | {identity})


def is_image(path: Path) -> bool:
    """Tell by its suffix whether a file may be an image or a mask."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def images_below(root: Path) -> list[Path]:
    """Return every file below `root` with the suffix of an image, in the order of `walk`."""
    return files_below(root, IMAGE_SUFFIXES)


def is_junk(part: str) -> bool:
    """Tell whether a file or folder of this name is none of the user's: hidden, or left by a system."""
    return part.startswith(".") or part in _SKIPPED


def record_id(root: Path, image: Path) -> str:
    """Return the path of an image below the root in POSIX form; its whole path if it is elsewhere."""
    below = parts_below(root, image)
    return image.as_posix() if below is None else "/".join(below) or "."


def folder_name(root: Path, folder: Path) -> str:
    """Return the path of a folder below the root, with a slash at its end, for messages."""
    return f"{record_id(root, folder)}/"


def parts_below(root: Path, path: Path) -> tuple[str, ...] | None:
    """Return the names from `root` down to `path`, or None if it is elsewhere; ten times as fast as `relative_to`."""
    count = len(root.parts)
    return path.parts[count:] if path.parts[:count] == root.parts else None
