"""The finished rows of a scan whose results go to an object store, so that its prediction can go on. Predicts nothing.

`bands` keeps finished rows as files in a folder of this machine. What is new there goes to the store in one archive, as
a store takes long for many small files. All archives of a scan belong to one prediction: where the folder belongs to
another one than they do, they are removed before the first of its own is written.
"""

from __future__ import annotations

import re
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from maskwright.core.errors import MaskwrightError
from maskwright.core.files import is_temporary
from maskwright.workflows.predict_parts.bands import KEY

if TYPE_CHECKING:
    from collections.abc import Iterable

_ARCHIVE = re.compile(r"/\d{6}\.zip")


class StoredRows:
    """Archives of the rows of one scan.

    Args:
        store: as fsspec gives it.
        prefix: of the archives in the store.
        objects: that are there.
        folder: of `bands.LabelBands`; it need not exist.
    """

    def __init__(self, store: Any, prefix: str, objects: Iterable[str], folder: Path) -> None:
        self._store, self._prefix, self._folder = store, prefix, folder
        self._archives = sorted(name for name in objects if _ARCHIVE.fullmatch(name.removeprefix(prefix)))
        self._key: str | None = None
        self._saved: set[str] = set()

    def bring(self) -> None:
        """Bring the rows to this machine.

        Raises:
            MaskwrightError: an archive is damaged.
        """
        for archive in self._archives:
            with tempfile.TemporaryDirectory(prefix="maskwright-") as folder:
                packed = Path(folder, "rows.zip")
                self._store.get_file(archive, str(packed))
                try:
                    with zipfile.ZipFile(packed) as content:
                        content.extract(KEY, self._folder)
                        content.extractall(self._folder)
                except (zipfile.BadZipFile, KeyError) as error:
                    raise MaskwrightError(
                        f"{archive} should hold finished rows of an interrupted prediction, and is damaged ({error}): "
                        "remove it, and its rows are predicted again"
                    ) from None
        self._key, self._saved = self._belongs(), self._names()

    def save(self) -> None:
        """Take to the store what is new, or remove all archives if the scan is finished."""
        key = self._belongs()
        if key != self._key:
            self._remove()
            self._key, self._saved = key, set()
        new = self._names() - self._saved
        if key is None or not new:
            return
        with tempfile.TemporaryDirectory(prefix="maskwright-") as folder:
            packed = Path(folder, "rows.zip")
            with zipfile.ZipFile(packed, "w") as content:
                for name in sorted({KEY, *new}):
                    content.write(self._folder / name, name)
            number = int(PurePosixPath(self._archives[-1]).stem) + 1 if self._archives else 0
            archive = f"{self._prefix}/{number:06d}.zip"
            self._store.put_file(str(packed), archive)
        self._archives.append(archive)
        self._saved |= new

    def _belongs(self) -> str | None:
        """Return what says which prediction the rows belong to; None if there are none."""
        file = self._folder / KEY
        return file.read_text(encoding="utf-8") if file.is_file() else None

    def _names(self) -> set[str]:
        """Return the names of the files that are whole."""
        there = self._folder.iterdir() if self._folder.is_dir() else ()
        return {file.name for file in there if file.name != KEY and not is_temporary(file.name)}

    def _remove(self) -> None:
        while self._archives:
            self._store.rm_file(self._archives[-1])
            self._archives.pop()
