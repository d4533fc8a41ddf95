"""Files of the user's: text read in the encoding that it declares, and results written whole or not at all.

Writing is atomic: to a temporary file in the same folder, flushed to disk, then renamed.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import re
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LONGEST_OWNER = 100
_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{8}(?:\.[^.]*)?", re.DOTALL)
"""See `_new_beside`; a file with a longer name has none that tells whose it is."""
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, or in the encoding that its byte order mark declares.

    Raises:
        MaskwrightError: the file is missing or cannot be read, or is not text in such an encoding.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MaskwrightError(
            f"{path} cannot be read ({error.strerror or error}): check that it exists and its permissions"
        ) from None
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
        place = text.find("\0")
        wrong = f"a zero byte in line {text.count(chr(10), 0, place) + 1}" if place >= 0 else None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        wrong = f"byte {content[error.start]:#04x} in line {line}"
    if wrong is not None:
        name = encoding.removesuffix("-sig").upper()
        raise MaskwrightError(f"{path} is not {name} text ({wrong}): save it as UTF-8")
    return text


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


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`, which takes the name of `path` on success; an old folder there is removed.

    No folder with its final name is ever incomplete. A kill while an old folder makes room may leave none.

    Raises:
        MaskwrightError: the folder cannot be written, or the disk is full.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _new_beside(path)
        temporary.unlink()
        temporary.mkdir()
        yield temporary
        for inner in [*temporary.rglob("*"), temporary]:
            _flush(inner)
        if path.exists():
            old = path.replace(_name_beside(path))
            temporary.replace(path)
            shutil.rmtree(old, ignore_errors=True)  # the new one is there; what is left of the old one is hidden
        else:
            temporary.replace(path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(paths: Iterable[Path]) -> None:
    """Remove what `replacing` left beside files whose writing was killed; nobody may be writing them now."""
    names: dict[Path, set[str]] = {}
    for path in paths:
        names.setdefault(path.parent, set()).add(path.name)
    for folder, owners in names.items():
        for file in folder.glob(".*") if folder.is_dir() else ():
            match = _TEMPORARY.fullmatch(file.name)
            if match and match[1] in owners:
                shutil.rmtree(file) if file.is_dir() else file.unlink(missing_ok=True)


def is_temporary(name: str) -> bool:
    """Tell whether a file or folder has the name of one that `replacing` makes."""
    return _TEMPORARY.fullmatch(name) is not None


def check_name(folder: Path, name: str) -> None:
    """Refuse a name that the file system of an existing folder does not take.

    Raises:
        MaskwrightError: it is too long.
    """
    try:
        (folder / name).lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise MaskwrightError(
                f"{name} has {len(os.fsencode(name))} bytes, which is too long for a file in {folder}: give the "
                "image a shorter name"
            ) from None


def write_text(path: Path, text: str) -> None:
    r"""Write `text` to `path` atomically, in UTF-8.

    Bytes of a file name that are not UTF-8 are surrogates in Python, which UTF-8 cannot hold: they are written as
    escapes, `\udce9`, which JSON reads back exactly.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be written, before work is done for it; one that is not there can be made.

    On Windows only a file in its place is noticed.

    Raises:
        MaskwrightError: it cannot.
    """
    # Not `Path.exists`, which fails where a folder above may not be entered.
    there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        what = "a file" if there.exists() else "a link to nothing"
        raise MaskwrightError(f"{folder} could not be written: {there} is {what}. Choose another `out`")
    if not os.access(there, os.W_OK | os.X_OK):
        raise write_error(folder, PermissionError(errno.EACCES, "no permission"))


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
    if error.errno in {errno.EEXIST, errno.ENOTDIR}:
        files = (above for above in path.parents if above.is_file())
        if (file := next(files, None)) is not None:
            return MaskwrightError(f"{path} could not be written: {file} is a file. Choose another `out`")
    return MaskwrightError(f"{path} could not be written: {error.strerror or error}")


def _new_beside(path: Path) -> Path:
    """Make an empty file beside `path`, with the rights that the user's umask gives to any new file.

    Its name tells whose it is, unless that is so long that the file system might not take more.
    """
    temporary = _name_beside(path)
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return temporary


def _name_beside(path: Path) -> Path:
    owner = f"{path.name}." if len(os.fsencode(path.name)) <= _LONGEST_OWNER else ""
    return path.with_name(f".{owner}{secrets.token_hex(4)}{path.suffix}")


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
