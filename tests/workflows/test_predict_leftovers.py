"""Sources of a prediction: results of earlier ones, thumbnails, broken links, names that clash or are too long."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.data.layouts import write

from maskwright.core.errors import MaskwrightError
from maskwright.core.files import check_name, replacing
from maskwright.data.readers import read_image
from maskwright.data.results import MARK
from maskwright.workflows.predict_parts.sources import find_images

if TYPE_CHECKING:
    from pathlib import Path

SHADE = np.zeros((4, 5), np.uint8)


def names(*sources: str | Path) -> list[str]:
    return [str(picture.name) for picture in find_images(sources).pictures]


def test_earlier_results_are_left_out(tmp_path: Path) -> None:
    write(tmp_path / "a.png", SHADE)
    for kind in ("masks", "overlays"):
        write(tmp_path / "predictions" / kind / "a.png", SHADE)
        with (tmp_path / "predictions" / kind / "a.png").open("ab") as stream:
            stream.write(MARK.encode())
    assert names(tmp_path) == ["a"]
    assert names(tmp_path / "predictions" / "masks" / "a.png") == ["a"]


def test_thumbnails_are_left_out(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg", SHADE)
    write(tmp_path / "@eaDir" / "a.jpg" / "SYNOPHOTO_THUMB_M.jpg", SHADE)
    assert names(tmp_path) == names(str(tmp_path / "**" / "*.jpg")) == ["a"]


def test_a_broken_link_is_a_failure_and_the_others_are_predicted(tmp_path: Path) -> None:
    write(tmp_path / "a.png", SHADE)
    (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
    for source in (tmp_path, str(tmp_path / "*.png")):
        found = find_images([source])
        assert [str(picture.name) for picture in found.pictures] == ["a"]
        ((path, reason),) = found.failures
        assert path == tmp_path / "b.png"
        assert "is a link to a file that does not exist" in reason


def test_one_clash_makes_only_these_names_longer(tmp_path: Path) -> None:
    for name in ("x.png", "x.jpg", "X.png", "other.png", "deep/y.png"):
        write(tmp_path / name, SHADE)
    if len(list(tmp_path.iterdir())) < 5:
        pytest.skip("the file system does not tell case apart")
    assert names(tmp_path) == ["X.png", "deep/y", "other", "x.jpg", "x.png.2"]


@pytest.mark.parametrize("channels", [2, 1])
def test_files_of_channels_are_one_image_where_the_model_takes_as_many(tmp_path: Path, channels: int) -> None:
    for case in ("a", "b"):
        for channel in range(2):
            write(tmp_path / f"{case}_{channel:04}.png", SHADE + channel)
    found = find_images([tmp_path], channels).pictures
    if channels == 1:
        assert len(found) == 4
        return
    assert [picture.name for picture in found] == [PurePosixPath("a"), PurePosixPath("b")]
    assert read_image(found[0].image)[0, 0].tolist() == [0, 1]


def test_colour_frames_with_numbers_are_no_channels(tmp_path: Path) -> None:
    for frame in range(3):
        write(tmp_path / f"drive_{frame:04}.png", np.zeros((4, 5, 3), np.uint8))
    assert len(find_images([tmp_path], 3).pictures) == 3


def test_the_longest_name_can_be_written_and_a_longer_one_is_refused_with_words(tmp_path: Path) -> None:
    longest = "x" * 251 + ".png"
    with replacing(tmp_path / longest) as temporary:
        temporary.write_bytes(b"whole")
    assert [path.name for path in tmp_path.iterdir()] == [longest]
    check_name(tmp_path, longest)
    with pytest.raises(MaskwrightError, match=r"has 256 bytes, which is too long .* give the image a shorter name"):
        check_name(tmp_path, f"x{longest}")
