"""The two streams: results on stdout, everything else on stderr. Knows no verb.

With `--json` stdout gets one JSON document, in ASCII for streams of any encoding, and nothing else, whatever other
libraries print. There are no colours if
the stream is not a terminal or NO_COLOR is set (handled by Rich). Of several processes, only the first one prints.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from maskwright.cli.errors import interruption_code
from maskwright.cli.flags import in_flags
from maskwright.cli.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console, RenderableType


def console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Return a Rich console that prints text unchanged: no markup in file names, no emoji, no highlighting."""
    from rich.console import Console

    class Plain(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # Rich would exit with 1

    return Plain(stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False)


class Terminal:
    """Where a verb prints.

    Attributes:
        as_json: one JSON document instead of tables.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self._silent = os.environ.get("RANK", "0") != "0"
        self._out = console(quiet=self._silent or as_json)
        self._err = console(stderr=True, quiet=self._silent)

    @property
    def width(self) -> int:
        """Width available to a table, in characters."""
        return self._out.width

    def show(self, *parts: RenderableType) -> None:
        """Print tables and lines for people; nothing with `--json`."""
        for part in parts:
            self._out.print(part, soft_wrap=False)

    def paste(self, text: str) -> None:
        """Print a command on one line, however long it is, so that it can be pasted; nothing with `--json`."""
        self._out.print(text, soft_wrap=True)

    def say(self, text: str) -> None:
        """Print a note on stderr, in both modes; settings in backticks become options."""
        self._err.print(in_flags(text))

    def answer(self, document: Any) -> None:
        """Print the JSON document; nothing without `--json`."""
        if self.as_json and not self._silent:
            sys.stdout.write(json.dumps(plain(document), indent=2, allow_nan=False) + "\n")
            sys.stdout.flush()

    @contextlib.contextmanager
    def working(self, farewell: Callable[[Watch], str] = lambda _: "interrupted") -> Iterator[Watch]:
        """Yield the receiver of a workflow's progress; meanwhile, stray prints of libraries go to stderr.

        Args:
            farewell: returns the message after Ctrl-C, given what was reported.

        Raises:
            Exit: with code 130 after Ctrl-C, 129 or 143 after SIGHUP or SIGTERM.
        """
        stray = contextlib.redirect_stdout(sys.stderr) if self.as_json else contextlib.nullcontext()
        with stray, Watch(self._err) as watch:
            try:
                yield watch
            except KeyboardInterrupt as error:
                watch.close()
                self.say(farewell(watch))
                raise typer.Exit(interruption_code(error)) from None


def plain(value: Any) -> Any:
    """Turn paths into text, tuples into lists, NumPy scalars into numbers, and non-finite numbers into null."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    return plain(value.item())
