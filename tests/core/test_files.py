from __future__ import annotations

import contextlib
import errno
import os

import pytest

from maskwright.core.errors import MaskwrightError
from maskwright.core.files import replacing, write_bytes, write_error, write_text


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_umask_decides_who_may_read(tmp_path, umask) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o666 & ~umask


def test_the_new_file_takes_the_place_of_the_old_one_only_when_it_is_whole(tmp_path) -> None:
    path = tmp_path / "deep" / "a.bin"
    write_bytes(path, b"old")
    with contextlib.suppress(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_bytes(b"ne" * (1 // 0))
    assert path.read_bytes() == b"old"
    with replacing(path) as temporary:
        assert temporary.suffix == ".bin"
        assert temporary.name.startswith(".a.bin.")
        temporary.write_bytes(b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.bin"]


def test_a_file_in_the_way_of_the_folder(tmp_path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(MaskwrightError, match=r"run/plan\.yaml could not be written"):
        write_text(tmp_path / "run" / "plan.yaml", "x")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "read-only"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_each_error_has_its_words(tmp_path, number, words) -> None:
    error = write_error(tmp_path / "a", OSError(number, os.strerror(number)))
    assert words in str(error)
    assert str(tmp_path / "a") in str(error)
