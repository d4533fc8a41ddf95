"""The stamp of an image, by which a prediction that goes on sees that it has changed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from maskwright.core.records import ImageRef

if TYPE_CHECKING:
    from pathlib import Path


def folder(path: Path, size: int = 3) -> ImageRef:
    (path / "0").mkdir(parents=True)
    (path / "0/0").write_bytes(bytes(size))
    os.utime(path / "0/0", (7, 7))
    return ImageRef(path)


def test_copies_of_a_folder_have_one_stamp(tmp_path: Path) -> None:
    one, other = folder(tmp_path / "a"), folder(tmp_path / "b")
    os.utime(tmp_path / "b/0", (9, 9))
    assert one.stamp() == other.stamp() == [[3, 7 * 10**9]]


def test_a_change_in_a_folder_changes_its_stamp(tmp_path: Path) -> None:
    image = folder(tmp_path / "a")
    before = image.stamp()
    os.utime(tmp_path / "a/0/0", (8, 8))
    assert image.stamp() != before
    assert folder(tmp_path / "b", size=4).stamp() != before
