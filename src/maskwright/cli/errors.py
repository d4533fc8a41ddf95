"""What went wrong, in one paragraph, and the exit code. Knows exceptions and exit codes, and no verb.

Exit codes: 0 success, 1 internal error, 2 user error (the data, the options, the machine), 130 interrupted, 129 and 143
ended by SIGHUP and SIGTERM, 141 output closed by its reader (what a shell reports after SIGPIPE).
"""

from __future__ import annotations

import errno
import signal
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from maskwright.cli.flags import in_flags, typed_as
from maskwright.core.errors import MaskwrightError, out_of_memory, plainly
from maskwright.core.files import write_error

if TYPE_CHECKING:
    from collections.abc import Sequence

DONE, OURS, YOURS, INTERRUPTED, UNREAD = 0, 1, 2, 130, 141
NOTHING_WRITTEN = "interrupted: nothing was written"
_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_RULES = {
    "int_parsing": "give a whole number, e.g. {least}",
    "int_from_float": "give a whole number, e.g. {least}",
    "float_parsing": "give a number, e.g. 8 or 0.5",
}
_OTHERS = {
    errno.EACCES: "permission was denied: give yourself read permission (and write permission, if it is an output)",
    errno.EPERM: "the system does not permit it: check its owner and permissions",
    errno.EMFILE: "this process has too many open files: raise the limit, e.g. with `ulimit -n 4096`",
    errno.ENFILE: "this machine has too many open files: close other programs, or raise the system limit",
}


class Stopped(KeyboardInterrupt):
    """SIGTERM or SIGHUP: handled like Ctrl-C, with another exit code."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = 128 + number


def install_signal_handlers() -> None:
    """Make SIGTERM (from a scheduler) and SIGHUP (a closed terminal) end a verb like Ctrl-C."""

    def stop(number: int, _frame: object) -> NoReturn:
        raise Stopped(number)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores SIGHUP: keep it so
            signal.signal(number, stop)


def interruption_code(error: BaseException | None) -> int:
    """Return the exit code of an interruption: 130, or the code of its signal."""
    return error.exit_code if isinstance(error, Stopped) else INTERRUPTED


def explain(error: BaseException, arguments: Sequence[str] = ()) -> tuple[int, str]:
    """Return the exit code and the message for an exception that ended a verb.

    Args:
        error: the exception.
        arguments: the command line, to name the option at fault.
    """
    if isinstance(error, MaskwrightError):
        return YOURS, _named(in_flags(str(error)), arguments, error.key)
    if isinstance(error, OSError) and error.errno in _WRITING:
        return YOURS, in_flags(str(write_error(Path(str(error.filename or "a file")), error)))
    if isinstance(error, OSError) and error.errno in _OTHERS:
        return YOURS, f"{error.filename or 'a file'} could not be opened: {_OTHERS[error.errno]}"
    if out_of_memory(error):
        return YOURS, (
            f"this machine does not have enough memory ({_first_line(error)}): reduce the memory needed, "
            "e.g. with --set sampling.batch=2 or --set sampling.crop=[192,192] when training, or "
            "--set predict.tile=[256,256] for whole images"
        )
    return OURS, (
        f"internal error: {type(error).__name__}: {_first_line(error)} (at {_place(error)}). Please report it, with "
        "the output of the same command with --debug"
    )


def _named(said: str, arguments: Sequence[str], key: str | None) -> str:
    """Begin a message with the option as it was typed, once: `--sigma is -1, and it must be ...` names it already."""
    typed = None if key is None else typed_as(arguments, key)
    if typed is None:
        return said
    flag = f"--{str(key).replace('_', '-')}"
    for name in (key, flag):
        if typed.startswith(f"{flag} ") and said.startswith(f"{name} is "):
            return f"{flag}{said.removeprefix(str(name))}"
    return f"{typed}: {said}"


def bad_value(error: BaseException) -> str | None:
    """Describe an invalid option value in plain words, where the validation error is written for programmers.

    Returns:
        Option, value and rule; None for an error of another kind.
    """
    option, cause = getattr(error, "param", None), error.__cause__
    if option is None or not isinstance(cause, ValueError) or not hasattr(cause, "errors"):
        return None
    found = cause.errors()[0]
    if found["type"] == "value_error":
        return f"{option.opts[0]}: {plainly(found['msg'])}"
    limit = found.get("ctx", {}).get("ge")
    rule = _RULES.get(found["type"]) or (None if limit is None else f"it must be {limit} or more")
    least = 8 if getattr(option, "min", None) is None else option.min
    return None if rule is None else f"{option.opts[0]} {found['input']}: {rule.format(least=least)}"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no message"


def _place(error: BaseException) -> str:
    """Name the innermost line of maskwright in the traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "maskwright" in Path(frame.filename).parts] or list(frames)
    if not ours:
        return "an unknown place"
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
