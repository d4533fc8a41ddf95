"""Where results go: a folder of this machine, or one in an object store. Predicts nothing.

Results for a store are written to this machine first and taken there as soon as those of an image are whole, so that no
more than those of a few images lie here at a time.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError
from maskwright.core.files import is_temporary
from maskwright.core.paths import is_remote
from maskwright.data.readers.zarr_store import SUFFIX
from maskwright.data.results import STORE_FILE, is_marked
from maskwright.workflows.predict_parts.journal import NAME as JOURNAL
from maskwright.workflows.predict_parts.journal import Journal
from maskwright.workflows.predict_parts.object_stores import explained, opened_store, renamed
from maskwright.workflows.predict_parts.results import PARTS, make_room, not_ours
from maskwright.workflows.predict_parts.stored_rows import StoredRows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from maskwright.workflows.predict_parts.results import PredictResult
    from maskwright.workflows.predict_request import PredictRequest

JOURNAL_SECONDS = 30.0
"""A store has no way to add a line, so the whole journal goes there: at most so often, and when a prediction ends.

Finished rows of a scan go there as often."""
_LAST = ".zgroup"
"""Without it a folder is no Zarr store, so it is taken to the store last."""


class Folder:
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._journal: Journal | None = None

    def journal(self, setup: str, *, resume: bool) -> Journal:
        """Open the journal of this prediction; see `Journal`."""
        self._journal = Journal(self.folder, setup, resume=resume, holds=self.holds)
        return self._journal

    def within(self, path: Path) -> list[Path]:
        """Return what lies in a folder for results; for any other path, the path itself."""
        return list(path.iterdir()) if path.is_dir() else [path]

    def make_room(self, files: Iterable[Path]) -> None:
        """Make the folder, and refuse to overwrite a file that maskwright did not write."""
        make_room(self.folder, files)

    def holds(self, file: Path) -> bool:
        """Tell whether a result is there."""
        return file.exists()

    def take(self) -> None:
        """Take the results that are whole to their place; they are there already."""

    def begin(self, parts: Path) -> None:
        """Bring the finished rows of an image, which belong into the folder `parts`; they are there already."""

    def keep(self) -> None:
        """Take what is finished of the image that is predicted to its place; it is there already."""

    def end(self, outputs: Iterable[Path]) -> None:  # noqa: ARG002 (a store checks them)
        """Finish: every image has its results, which are `outputs`, or a failure. The journal is removed last."""
        if self._journal is not None:
            self._journal.close()

    def named(self, result: PredictResult) -> PredictResult:
        """Return the result with the places that the user knows."""
        return result


class StoreFolder(Folder):
    """A folder in an object store.

    Args:
        url: of it.
        folder: of this machine, empty, where results are written first.

    Raises:
        MaskwrightError: the store cannot be read, or its package is missing.
    """

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__(folder)
        self._url, self._taken = url.rstrip("/"), time.monotonic()
        self._rows: StoredRows | None = None
        self._kept = self._taken
        self._parts: defaultdict[str, list[str]] = defaultdict(list)  # folder of finished rows -> what lies in it
        self._there: set[str] = set()
        self._stores: defaultdict[str, set[str]] = defaultdict(set)  # Zarr store -> what lies in it
        with explained(url):
            self._store, root = opened_store(url)
            self._root = root.rstrip("/")
            for name in self._store.find(self._root):
                self._add(name)
                if (above := PurePosixPath(name).parent).name.endswith(PARTS):
                    self._parts[str(above)].append(name)

    def journal(self, setup: str, *, resume: bool) -> Journal:
        """Open the journal of this prediction, which goes on with the one in the store."""
        with explained(self._url):
            if (key := self._key(self.folder / JOURNAL)) in self._there:
                self._store.get_file(key, str(self.folder / JOURNAL))
        return super().journal(setup, resume=resume)

    def within(self, path: Path) -> list[Path]:
        """Return what lies in a folder of the store; for any other path, the path itself."""
        above = f"{self._key(path)}/"
        names = {key.removeprefix(above).partition("/")[0] for key in self._there if key.startswith(above)}
        return [path / name for name in sorted(names)] or [path]

    def make_room(self, files: Iterable[Path]) -> None:
        """Refuse to overwrite what maskwright did not write."""
        for file in files:
            key = self._key(file / STORE_FILE if file.suffix == SUFFIX else file)
            if self._key(file) not in self._there and not self._stores.get(self._key(file)):
                continue
            if key not in self._there or not self._is_ours(key):
                raise not_ours(f"{self._url}/{file.relative_to(self.folder).as_posix()}")

    def holds(self, file: Path) -> bool:
        """Tell whether a result is there, whole."""
        return self._key(file / _LAST if file.suffix == SUFFIX else file) in self._there

    def begin(self, parts: Path) -> None:
        """Bring the finished rows of an image, which an interrupted prediction left in the store."""
        rows = StoredRows(self._store, self._key(parts), self._parts.get(self._key(parts), ()), parts)
        with explained(self._url):
            rows.bring()
        self._rows, self._kept = rows, time.monotonic()

    def keep(self) -> None:
        """Take what is finished of the image that is predicted to the store, now and then."""
        if time.monotonic() >= self._kept + JOURNAL_SECONDS:
            self.take_rows()

    def take_rows(self) -> None:
        """Take the rows that are finished to the store, so that a prediction can go on from another machine too."""
        if self._rows is not None:
            with explained(self._url):
                self._rows.save()
        self._kept = time.monotonic()

    def take(self) -> None:
        """Take all files that are whole to the store, and remove them here; then the rows of a finished scan."""
        with explained(self._url):
            files = sorted(self._whole(), key=lambda file: (file.name == _LAST, file.name != STORE_FILE, file))
            for store in {parent for file in files for parent in file.parents if parent.suffix == SUFFIX}:
                self._remove(list(self._stores[self._key(store)]))
            for file in files:
                self._store.put_file(str(file), self._key(file))
                self._add(self._key(file))
                file.unlink()
            self.take_rows()
            if time.monotonic() >= self._taken + JOURNAL_SECONDS:
                self.take_journal()

    def take_journal(self) -> None:
        """Take the journal to the store, so that a prediction can go on from another machine too."""
        journal = self.folder / JOURNAL
        with explained(self._url):
            if journal.exists():
                self._store.put_file(str(journal), self._key(journal))
                self._add(self._key(journal))
        self._taken = time.monotonic()

    def end(self, outputs: Iterable[Path]) -> None:
        """Take what is left, and remove the journal of this prediction.

        Raises:
            MaskwrightError: one of `outputs` is not in the store.
        """
        self.take()
        for file in outputs:
            if not self._is_there(self._key(file)):
                name = file.relative_to(self.folder).as_posix()
                raise MaskwrightError(f"{self._url}/{name} was not written: give the image another name")
        with explained(self._url):
            if self._journal is not None and (key := self._key(self.folder / JOURNAL)) in self._there:
                self._remove([key])
        super().end(())

    def named(self, result: PredictResult) -> PredictResult:
        """Return the result with the places in the store."""
        return renamed(result, {str(self.folder): self._url})

    def _key(self, file: Path) -> str:
        return f"{self._root}/{file.relative_to(self.folder).as_posix()}"

    def _add(self, key: str) -> None:
        self._there.add(key)
        for parent in PurePosixPath(key).parents:
            if parent.suffix == SUFFIX:
                self._stores[str(parent)].add(key)

    def _remove(self, keys: Sequence[str]) -> None:
        for key in keys:  # `rm` would take [1] in a name for a pattern
            self._store.rm_file(key)
        self._there.difference_update(keys)
        for store in self._stores.values():
            store.difference_update(keys)

    def _is_there(self, key: str) -> bool:
        """Tell whether an object is there, or a folder with objects."""
        return bool(
            key in self._there or self._stores.get(key) or any(name.startswith(f"{key}/") for name in self._there)
        )

    def _whole(self) -> Iterator[Path]:
        """Yield the files of results, without the journal and what is half-written.

        Other images may be written meanwhile: a folder can get its final name while it is searched.
        """
        for folder, folders, names in os.walk(self.folder):  # which passes over a folder that is gone
            folders[:] = [name for name in folders if not _is_half_written(name)]
            for name in names:
                file = Path(folder, name)
                if file != self.folder / JOURNAL and not _is_half_written(name):
                    yield file

    def _is_ours(self, key: str) -> bool:
        with explained(self._url):
            if not self._store.size(key):  # which has no first bytes to ask for
                return False
            return is_marked(self._store.cat_file(key, start=0, end=4096), self._store.cat_file(key, start=-64))


def _is_half_written(name: str) -> bool:
    """Tell whether a file or folder is written at the moment, or holds the finished rows of a scan."""
    return is_temporary(name) or (name.startswith(".") and name.endswith(PARTS))


@contextlib.contextmanager
def destination(out: str | Path, request: PredictRequest) -> Iterator[Folder]:
    """Yield the place for results. What an interrupted prediction has finished stays there, and so does its journal.

    Raises:
        MaskwrightError: a store that cannot be read or written, or an option that needs a folder.
    """
    if not is_remote(out):
        yield Folder(Path(out))
        return
    if request.on is not None:
        message = f"`on` spreads images over machines that share a folder for results, and `out` {out} lies in a store"
        raise MaskwrightError(f"{message}: name a folder, or leave out `on`", "on")
    with tempfile.TemporaryDirectory(prefix="maskwright-") as folder:
        place = StoreFolder(out, Path(folder).resolve())
        try:
            yield place
        except BaseException as error:
            with contextlib.suppress(MaskwrightError):  # the store may be what failed, as the first error says
                place.take_journal()
                place.take_rows()
            if isinstance(error, MaskwrightError):
                raise MaskwrightError(str(error).replace(str(place.folder), out.rstrip("/")), error.key) from error
            raise
