"""What a search has done so far, one line an event, so that it goes on after a kill.

Each line is written with one call to a file that only grows, and flushed to the disk. A kill leaves whole lines, except
for the last one, which then is ignored. The process that holds the run folder's lock writes it. Knows no network.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from maskwright.core.errors import MaskwrightError
from maskwright.core.files import write_error
from maskwright.tuning.rungs import Job

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.tuning.space import Choice

NAME = "journal.jsonl"


class Journal:
    """The file `NAME` in the folder of the trials.

    Args:
        folder: of the trials, which exists.

    Raises:
        MaskwrightError: a line that is no event, other than the last one.

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
        self.setup: dict[str, Any] = {}
        self.choices: list[Choice] = []
        self.scores: dict[Job, float | None] = {}
        self.entries: dict[Job, dict[str, Any]] = {}
        self.seconds = 0.0
        self.settled: dict[str, Any] | None = None
        content = self._path.read_bytes() if self._path.exists() else b""
        self._length = content.rfind(b"\n") + 1
        for line in content[: self._length].splitlines():
            self._take(self._parsed(line))

    def add(self, kind: str, seconds: float, **values: Any) -> None:
        """Write an event down.

        Args:
            kind: `setup`, `proposed`, `scored`, `failed` or `settled`.
            seconds: since the search began, without interruptions.
            values: what it says.

        Raises:
            MaskwrightError: the disk is full, or the folder is gone.
        """
        event = {"kind": kind, "seconds": round(seconds, 3), **values}
        line = json.dumps(event).encode() + b"\n"
        try:
            with self._path.open("ab", buffering=0) as file:
                file.truncate(self._length)  # what a kill has cut off
                file.write(line)
                os.fsync(file.fileno())
        except OSError as error:
            raise write_error(self._path, error) from error
        self._length += len(line)
        self._take(json.loads(line))

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
