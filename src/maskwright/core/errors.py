"""Errors that people read: the value, the rule, the cure and the file. Nothing here knows who raises them.

Messages name settings by their keys in backticks, `out` or `optim.lr=0.001`; the command line turns these into options.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import ValidationError


class MaskwrightError(Exception):
    """A problem with the data, the settings or the machine of the user; the message says what to do about it.

    The message is one paragraph: which file, which value, which rule, which cure. The command line prints it
    without a traceback and exits with 2.

    Attributes:
        key: dotted key of the setting at fault (`optim.freeze`), where there is one: the command line names the
            option that set it.
    """

    def __init__(self, message: str = "", key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


def unknown_name(kind: str, name: str, known: Iterable[str], key: str | None = None) -> MaskwrightError:
    """Build the error for a name that no table holds, with the nearest known one.

    Args:
        kind: what the name should have been, in the singular ("model", "loss").
        name: the value given.
        known: every name there is.
        key: of the setting that holds the name.
    """
    names = sorted(known)
    near = nearest(name, names)
    hint = f": did you mean {near!r}?" if near else "."
    return MaskwrightError(f"unknown {kind} {name!r}{hint} Available: {', '.join(names)}", key)


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out: Python's, NumPy's, OpenCV's, or torch's on a device or the CPU."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
        or (type(error).__module__ == "cv2" and "Insufficient memory" in str(error))
    )


def plainly(message: str) -> str:
    """Take pydantic's prefix off a message that is for people."""
    return message.removeprefix("Value error, ")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was most likely meant, None where none is near.

    Case, blanks, `-` and `_` do not count, and `+` is read as plus. What comes before a colon is not guessed at.
    """
    source, colon, _ = name.partition(":")
    plain = {_plain(entry): entry for entry in known if not colon or entry.startswith(f"{source}:")}
    near = get_close_matches(_plain(name), plain, n=1, cutoff=0.55)
    return plain[near[0]] if near else None


def _plain(name: str) -> str:
    return name.casefold().replace("+", "plus").translate(dict.fromkeys(map(ord, " -_")))


def first_problem(error: ValidationError) -> str:
    """Say on one line where the first fault of checked values lies, and which rule it breaks."""
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {plainly(first['msg'])}"
