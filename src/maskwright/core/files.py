"""Atomic writing: to a temporary file in the same folder, flushed to disk, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the name of `path`, on failure it vanishes.

    Either the old file or the whole new one is there afterwards, whatever happens in between (a kill, a full disk).

    Raises:
        MaskwrightError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _new_beside(path)
        yield temporary
        _flush(temporary)
        temporary.replace(path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically, in UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_error(path: Path, error: OSError) -> MaskwrightError:
    """Say in words why `path` could not be written, and what helps."""
    if error.errno == errno.ENOSPC:
        return MaskwrightError(
            f"{path} could not be written: the disk is full. Free some space; nothing was half-written"
        )
    if error.errno == errno.EDQUOT:
        return MaskwrightError(
            f"{path} could not be written: your disk quota is used up. Free some space; nothing was half-written"
        )
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return MaskwrightError(f"{path} could not be written: the folder is read-only. Choose another `out`")
    return MaskwrightError(f"{path} could not be written: {error.strerror or error}")


def _new_beside(path: Path) -> Path:
    """Make an empty file beside `path`, with the rights that the user's umask gives to any new file."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{path.suffix}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return temporary


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
