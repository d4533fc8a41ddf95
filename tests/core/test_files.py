from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from maskwright.core import files
from maskwright.core.errors import MaskwrightError


def test_a_file_is_written_whole_into_a_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    files.write_text(path, "Größe")
    assert path.read_bytes() == "Größe".encode()
    files.write_bytes(path, b"\0")
    assert path.read_bytes() == b"\0"
    assert list(path.parent.iterdir()) == [path]


def test_what_utf_8_lacks_is_escaped_and_json_reads_it_back(tmp_path: Path) -> None:
    name = "caf\udce9 道"
    files.write_text(tmp_path / "a.json", json.dumps(name, ensure_ascii=False))
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text == '"caf\\udce9 道"'
    assert json.loads(text) == name


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_text_is_read_in_the_encoding_that_its_byte_order_mark_declares(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("Größe\n道路\n".encode(encoding))
    assert files.read_text(path) == "Größe\n道路\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("road\nGröße".encode("cp1252"), r"a\.txt is not UTF-8 text \(byte 0xf6 in line 2\): save it as UTF-8"),
        ("a\nroad".encode("utf-16-le"), r"a\.txt is not UTF-8 text \(a zero byte in line 1\): save it as UTF-8"),
        (b"\xff\xfea", r"a\.txt is not UTF-16 text \(byte 0x61 in line 1\): save it as UTF-8"),
        (None, r"a\.txt cannot be read \(No such file or directory\)"),
    ],
)
def test_text_in_another_encoding_is_refused_with_the_cure(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "a.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MaskwrightError, match=message):
        files.read_text(path)


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


def test_a_folder_appears_whole_and_takes_the_place_of_an_old_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.zarr"
    for number in range(2):
        with files.replacing_folder(path) as folder:
            (folder / "0").mkdir()
            (folder / f"0/{number}").write_text("x")
            assert path.exists() == bool(number)
        assert [file.name for file in path.glob("*/*")] == [str(number)]
        assert list(path.parent.iterdir()) == [path]


def test_the_old_folder_stays_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with files.replacing_folder(path) as folder:
        (folder / "old").touch()
    with pytest.raises(TypeError), files.replacing_folder(path) as folder:
        (folder / "new").write_text(7)  # type: ignore[arg-type]
    with pytest.raises(MaskwrightError, match="a could not be written: the disk is full"), files.replacing_folder(path):
        raise OSError(errno.ENOSPC, "full")
    assert [file.name for file in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_an_old_folder_that_cannot_be_removed_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    (path / "old").mkdir(parents=True)
    remove = files.shutil.rmtree

    def failing(folder: Path, *, ignore_errors: bool = False) -> None:
        if not (folder / "old").exists():
            remove(folder, ignore_errors=ignore_errors)
        elif not ignore_errors:
            raise OSError(errno.EBUSY, "busy")

    monkeypatch.setattr(files.shutil, "rmtree", failing)
    with files.replacing_folder(path) as folder:
        (folder / "new").touch()
    assert [file.name for file in path.iterdir()] == ["new"]


def test_a_folder_is_checked_before_there_is_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.check_writable(tmp_path / "new" / "here")
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    for inside in ("file", "file/below"):
        with pytest.raises(MaskwrightError, match="file is a file"):
            files.check_writable(tmp_path / inside)
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(MaskwrightError, match=r"link could not be written: .*link is a link to nothing\. Choose"):
        files.check_writable(tmp_path / "link")
    closed = tmp_path / "closed"
    closed.mkdir()
    # As of a folder of somebody else, which root could enter: what is in it cannot even be asked for.
    monkeypatch.setattr("os.path.lexists", lambda path: closed not in Path(path).parents)
    monkeypatch.setattr("os.access", lambda path, _mode: path != closed)
    with pytest.raises(MaskwrightError, match=r"closed/mine could not be written: the folder is read-only\. Choose"):
        files.check_writable(closed / "mine")
