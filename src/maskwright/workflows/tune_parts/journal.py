"""What a search has done so far, one line an event: it goes on after a kill, and several workers can share it.

Each line is written with one call to a file that only grows, and flushed to the disk. A kill leaves whole lines, except
for the last one, which then is ignored. Workers write one after the other. Knows no network.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from maskwright.core.errors import MaskwrightError
from maskwright.core.files import write_error
from maskwright.tuning.rungs import Job

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from maskwright.tuning.space import Choice

NAME = "journal.jsonl"


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[int]:
    """Open a file to append to while no other worker does."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


class Journal:
    """The file `NAME` in the folder of the trials.

    Args:
        folder: of the trials, which exists.

    Attributes:
        setup: the first line: everything that the search depends on but its results; empty before it is written.
        choices: of the trials so far, that of the plan first.
        scores: job -> score; None for one that failed.
        entries: job -> all that its line says.
        seconds: that the search had taken at the last event.
        settled: the line that says which plan is trained on; None before.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._read = 0
        self.setup: dict[str, Any] = {}
        self.choices: list[Choice] = []
        self.scores: dict[Job, float | None] = {}
        self.entries: dict[Job, dict[str, Any]] = {}
        self.seconds = 0.0
        self.settled: dict[str, Any] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Read what was added since, also by other workers.

        Raises:
            MaskwrightError: a line that is no event, other than the last one.
        """
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        for line in whole.splitlines():
            self._take(self._parsed(line))
        self._read += len(whole)

    def add(self, kind: str, seconds: float, **values: Any) -> None:
        """Write an event down.

        Args:
            kind: `setup`, `proposed`, `scored`, `failed` or `settled`.
            seconds: since the search began, without interruptions.
            values: what it says.

        Raises:
            MaskwrightError: the disk is full, or the folder is gone.
        """
        line = json.dumps({"kind": kind, "seconds": round(seconds, 3), **values}) + "\n"
        try:
            with _alone(self._path) as descriptor:
                self.refresh()
                os.ftruncate(descriptor, self._read)  # what a kill has cut off
                os.write(descriptor, line.encode())
                os.fsync(descriptor)
        except OSError as error:
            raise write_error(self._path, error) from error
        self.refresh()

    def _parsed(self, line: bytes) -> dict[str, Any]:
        try:
            return dict(json.loads(line))
        except ValueError:
            raise MaskwrightError(f"{self._path} is damaged: start the search again with another `out`") from None

    def _take(self, event: dict[str, Any]) -> None:
        self.seconds = max(self.seconds, event["seconds"])
        kind = event["kind"]
        if kind == "setup":
            self.setup = event
        elif kind == "proposed":
            self.choices.append(tuple(event["choice"]))
        elif kind in {"scored", "failed"}:
            job = Job(event["trial"], event["rung"])
            self.scores[job] = event["score"] if kind == "scored" else None
            self.entries[job] = event
        else:
            self.settled = event
