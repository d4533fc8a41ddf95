"""The two streams: the answer on stdout, everything else on stderr. Knows no verb.

With `--json` stdout carries one JSON document and nothing else, whatever a library prints on the way. Colours are
left out when the stream is no terminal or NO_COLOR is set (Rich sees to it). Of several processes only the first
one speaks.
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
    """Return a Rich console that takes text as it is: no markup in file names, no emoji, no guessed highlights."""
    from rich.console import Console

    return Console(stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False)


class Terminal:
    """What a verb speaks to.

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
        """Columns that a table may take."""
        return self._out.width

    def show(self, *parts: RenderableType) -> None:
        """Print tables and lines for people; nothing with `--json`."""
        for part in parts:
            self._out.print(part, soft_wrap=False)

    def say(self, text: str) -> None:
        """Print a remark on stderr, in either mode; settings in backticks become options."""
        self._err.print(in_flags(text))

    def answer(self, document: Any) -> None:
        """Print the JSON document; nothing without `--json`."""
        if self.as_json and not self._silent:
            sys.stdout.write(json.dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
            sys.stdout.flush()

    @contextlib.contextmanager
    def working(self, farewell: Callable[[Watch], str] = lambda _: "interrupted") -> Iterator[Watch]:
        """Yield what a workflow reports its progress to; meanwhile stray prints of libraries go to stderr.

        Args:
            farewell: what to say after Ctrl-C, given what was reported.

        Raises:
            Exit: with 130 after Ctrl-C, 129 or 143 after SIGHUP or SIGTERM.
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
    """Turn paths into text, tuples into lists, NumPy scalars into numbers, and what is not finite into null."""
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
