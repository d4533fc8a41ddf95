from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from maskwright.core import files
from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_written_whole_into_a_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    files.write_text(path, "Größe")
    assert path.read_bytes() == "Größe".encode()
    files.write_bytes(path, b"\0")
    assert path.read_bytes() == b"\0"
    assert list(path.parent.iterdir()) == [path]


def test_the_old_file_stays_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    with pytest.raises(TypeError), files.replacing(path) as temporary:
        temporary.write_bytes("half")  # type: ignore[arg-type]
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "the folder is read-only. Choose another `out`"),
        (errno.EIO, "could not be written: "),
    ],
)
def test_a_failed_write_says_what_helps(tmp_path: Path, number: int, message: str) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(MaskwrightError, match=message), files.replacing(path):
        raise OSError(number, "no")
    assert not path.exists()
