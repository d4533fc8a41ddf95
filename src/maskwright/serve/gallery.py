"""A folder of images that the page offers, by ids that are no paths. Decodes nothing, and follows no link out of it."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maskwright.data.readers import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST = 5000
"""Images that are listed."""
MEDIA = {
    ".png": "image/png",
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "image/jpeg"),
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    **dict.fromkeys((".tif", ".tiff"), "image/tiff"),
}


@dataclass(frozen=True)
class Entry:
    """One image.

    Attributes:
        id: names it in requests.
        name: path below the folder, in POSIX form.
        path: real path of the file.
        bytes: size of the file.
    """

    id: str
    name: str
    path: Path
    bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return what clients see."""
        return {"id": self.id, "name": self.name, "bytes": self.bytes}

    @property
    def media(self) -> str:
        """Media type, by the suffix."""
        return MEDIA.get(self.path.suffix.lower(), "application/octet-stream")


class Gallery:
    """Images below a folder, as they are at each look."""

    def __init__(self, folder: Path) -> None:
        self._root = folder.resolve()

    def entries(self) -> list[Entry]:
        """List the images, by name; at most `MOST`."""
        found = sorted(self._walk(), key=lambda entry: entry.name)
        return found[:MOST]

    def find(self, id: str) -> Entry | None:  # noqa: A002
        """Return an image that is there now."""
        return next((entry for entry in self._walk() if entry.id == id), None)

    def _walk(self) -> Iterator[Entry]:
        for folder, folders, files in os.walk(self._root):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in files:
                entry = None if name.startswith(".") else self._entry(self._root.joinpath(folder, name))
                if entry is not None:
                    yield entry

    def _entry(self, path: Path) -> Entry | None:
        """Return a regular file with the suffix of an image that lies in the folder, whatever links lead to it."""
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            return None
        try:
            real = path.resolve(strict=True)
            state = real.stat()
        except (OSError, RuntimeError):  # a link to nowhere, or in a circle
            return None
        if not real.is_relative_to(self._root) or not stat.S_ISREG(state.st_mode):
            return None
        name = path.relative_to(self._root).as_posix().encode("utf-8", "replace").decode()
        id = hashlib.sha256(os.fsencode(path)).hexdigest()[:24]  # noqa: A001
        return Entry(id, name, real, state.st_size)
