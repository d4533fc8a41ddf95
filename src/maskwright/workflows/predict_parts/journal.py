"""What a prediction has finished so far, one line an image, so that an interrupted one can go on. Predicts nothing."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from maskwright.core.errors import MaskwrightError
from maskwright.core.files import write_error, write_text
from maskwright.core.paths import is_remote
from maskwright.workflows.predict_parts.results import Predicted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from maskwright.inference.opening import Loaded
    from maskwright.workflows.predict_parts.pictures import Picture
    from maskwright.workflows.predict_request import PredictRequest

NAME = ".maskwright-progress.jsonl"

Entries = dict[str, dict[str, Any]]
"""Name of a file about all images -> what it says about one of them, see `tasks.writer.Collector`."""


class Done(NamedTuple):
    """One image: what was written, what the files about all images shall say about it, and how it was predicted."""

    predicted: Predicted
    entries: Entries
    notes: tuple[str, ...] = ()


class Journal:
    """The file `NAME` in the output folder: the setup in its first line, then one line an image with its results.

    Args:
        out: folder of the results, which exists.
        setup: everything that the results depend on but the images, see `setup_of`.
        resume: go on with what the file says; otherwise predict all images again. What the file says of this setup
            stays even then, because a new result has the same bytes as the old one: a user who stops can still resume.
        holds: tells whether a file is there.

    Attributes:
        repeated: how many images an interrupted prediction of this setup had finished, if they are predicted again.

    Raises:
        MaskwrightError: the file is of another setup or no journal, or cannot be read or written.
    """

    def __init__(self, out: Path, setup: str, *, resume: bool, holds: Callable[[Path], bool] = Path.exists) -> None:
        self._holds = holds
        self._path, self._out, self._setup = out / NAME, out, setup
        self._lines: dict[str, dict[str, Any]] = {}
        self.repeated = 0
        try:
            if resume and self._path.exists():
                self._lines = self._read()
            elif self._is_of_this_setup():
                self.repeated = len(self._read())
            else:
                self._path.unlink(missing_ok=True)
        except OSError as error:
            raise write_error(self._path, error) from error

    def finished(self, picture: Picture) -> Done | None:
        """Return the results of an image that has not changed since, if all of its files are still there."""
        line = self._lines.get(str(picture.name))
        if line is None or line["stamp"] != picture.image.stamp():
            return None
        files = {kind: self._out / name for kind, name in line["files"].items()}
        if not all(map(self._holds, files.values())):
            return None
        found = Predicted(picture.image.path, files, line["summary"], picture.image.page, line["risk"])
        return Done(found, line["entries"])

    def add(self, picture: Picture, done: Done) -> None:
        """Write down the results of an image.

        Raises:
            MaskwrightError: that is not possible, because the disk is full for example.
        """
        line = {
            "name": str(picture.name),
            "stamp": picture.image.stamp(),
            "files": {kind: file.relative_to(self._out).as_posix() for kind, file in done.predicted.files.items()},
            "summary": done.predicted.summary,
            "risk": done.predicted.risk,
            "entries": done.entries,
        }
        if not self._path.exists():
            write_text(self._path, f"{json.dumps(self._setup)}\n")
        try:
            with self._path.open("a", encoding="ascii") as stream:
                stream.write(f"{json.dumps(line)}\n")
        except OSError as error:
            raise write_error(self._path, error) from error

    def close(self) -> None:
        """Remove the file: every image has its results, or a failure that the user has seen."""
        self._path.unlink(missing_ok=True)

    def _is_of_this_setup(self) -> bool:
        if not self._path.exists():
            return False
        with self._path.open("rb") as stream:
            return stream.readline() == f"{json.dumps(self._setup)}\n".encode("ascii")

    def _read(self) -> dict[str, dict[str, Any]]:
        """Return the line of each image, and cut off one that was not written to its end.

        Raises:
            MaskwrightError: the file is of another setup or no journal.
        """
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        try:
            first, *others = map(json.loads, whole.splitlines() or [b"null"])
        except ValueError:
            raise MaskwrightError(f"{self._path} is no journal of a prediction: leave out `resume`", "resume") from None
        if first != self._setup:
            raise MaskwrightError(
                f"{self._out} holds the results of a prediction with another model, other options or another "
                "version of maskwright: leave out `resume`, or choose another `out`",
                "resume",
            )
        with self._path.open("r+b") as stream:
            stream.truncate(len(whole))
        return {line["name"]: line for line in others}


def interrupted(out: str | Path) -> str:
    """Say that a prediction was interrupted, and how it goes on, if a journal in its folder lets it."""
    kept = is_remote(out) or Path(out, NAME).exists()
    return "interrupted" + (": the same command with `resume` goes on" if kept else "")


def setup_of(loaded: Loaded, request: PredictRequest, kinds: Iterable[str]) -> str:
    """Return a digest of all but the images that results depend on: model, options, kinds of files, our version."""
    options = {
        **loaded._asdict(),
        "path": loaded.digest(),
        "pixel_size": request.pixel_size,
        "level": request.level,
        "kinds": sorted(kinds),
    }
    content = json.dumps({"version": version("maskwright"), **options}, sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()
