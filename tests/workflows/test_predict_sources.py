"""Sources: each image once, hidden files passed over, and names that never collide."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from maskwright.core.records import ImageRef
from maskwright.workflows.predict_parts.sources import _named, find_images

if TYPE_CHECKING:
    from pathlib import Path


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def names(*sources: str | Path) -> list[str]:
    return [str(picture.name) for picture in find_images(sources).pictures]


def test_folders_are_searched_and_what_is_hidden_or_no_image_is_not(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "a.png", "x/c.tif", ".hidden.png", ".cache/d.png", "notes.txt", "x/._c.tif")
    assert names(tmp_path) == ["a", "b", "x/c"]


def test_an_image_that_is_met_twice_is_taken_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "x/b.png")
    assert names(tmp_path / "x" / "b.png", tmp_path, str(tmp_path / "*.png")) == ["b", "a"]


LAYOUTS = {
    "folders": (("images/a.jpg", "images/b.jpg"), ("masks/a.png",)),
    "unlabelled beside": (("images/a.jpg", "test/b.jpg"), ("masks/a.png",)),
    "splits": (("train/a.png", "test/b.png"), ("trainannot/a.png", "testannot/b.png")),
    "side by side": (("a.jpg", "b.jpg"), ("a_mask.png", "b_mask.png")),
    "voc": (("JPEGImages/a.jpg", "JPEGImages/b.jpg"), ("SegmentationClass/a.png", "SegmentationObject/a.png")),
    "cityscapes": (
        ("leftImg8bit/train/ulm/x_leftImg8bit.png", "leftImg8bit/test/bonn/y_leftImg8bit.png"),
        ("gtFine/train/ulm/x_gtFine_labelIds.png", "gtFine/train/ulm/x_gtFine_color.png"),
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_of_a_data_set_the_images_are_taken_and_not_the_masks(tmp_path: Path, layout: str) -> None:
    images, masks = LAYOUTS[layout]
    touch(tmp_path, *images, *masks)
    found = find_images([tmp_path])
    assert [str(picture.relative) for picture in found.pictures] == sorted(images)
    others = "1 other picture" if len(masks) == 1 else f"{len(masks)} other pictures"
    assert found.notes == (
        f"{tmp_path} is laid out as a data set: its 2 images are predicted, and {others}, its masks, left out (name "
        "their folder to predict them)",
    )


def test_what_is_no_data_set_is_taken_whole(tmp_path: Path) -> None:
    touch(tmp_path, "labels/a.png", "day1/b.png", "day2/b.png", "day2/c_mask.png")
    found = find_images([tmp_path])
    assert len(found.pictures) == 4
    assert found.notes == ()
    assert len(find_images([tmp_path / "labels"]).pictures) == 1


def test_links_to_one_file_each_get_a_result(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.png")
    for name in ("b.png", "c.png"):
        (tmp_path / name).symlink_to(tmp_path / "real" / "a.png")
    assert names(tmp_path, tmp_path / "b.png", tmp_path / "real" / ".." / "c.png") == ["b", "c", "real/a"]


def test_globs_keep_the_path_below_their_fixed_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "day1/a.png", "day2/a.png", "day2/deep/b.png", "day2/c.txt")
    assert names(str(tmp_path / "day*" / "*")) == ["day1/a", "day2/a"]
    assert names(str(tmp_path / "**" / "*.png")) == ["day1/a", "day2/a", "day2/deep/b"]
    monkeypatch.chdir(tmp_path)
    assert names("*/a.png") == ["day1/a", "day2/a"]


def test_a_file_with_brackets_in_its_name_is_a_file(tmp_path: Path) -> None:
    touch(tmp_path, "a[1].png")
    assert names(tmp_path / "a[1].png") == ["a[1]"]


def test_collisions_are_told_apart_by_folder_then_by_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "day1/a.png", "day1/b.png", "day2/a.png", "day2/c.png", "day2/c.jpg", "day2/C2.png")
    assert names(tmp_path / "day1", tmp_path / "day2") == [
        "day1/a",
        "b",
        "C2",
        "day2/a",
        "day2/c.jpg",
        "day2/c.png",
    ]


def test_a_stack_is_one_image_a_page(tmp_path: Path) -> None:
    stack = tmp_path / "x" / "stack.tif"
    stack.parent.mkdir()
    tifffile.imwrite(stack, np.zeros((11, 40, 50), np.uint8), photometric="minisblack")
    touch(tmp_path, "x/stack/03.png", "broken.tif")
    found = find_images([tmp_path], channels=1).pictures
    assert [str(picture.name) for picture in found] == [
        *(
            "broken",
            "x/stack/03",
            "x/stack.tif/00",
            "x/stack.tif/01",
            "x/stack.tif/02",
            "x/stack.tif/03",
            "x/stack.tif/04",
        ),
        *("x/stack.tif/05", "x/stack.tif/06", "x/stack.tif/07", "x/stack.tif/08", "x/stack.tif/09", "x/stack.tif/10"),
    ]
    assert (found[5].image, str(found[5].relative)) == (ImageRef(stack, 3), "x/stack.tif#3")
    assert names(stack)[10] == "stack.tif/10"


def test_pages_are_channels_where_the_model_takes_as_many(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 40, 50), np.uint8), photometric="minisblack")
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((5, 40, 50), np.uint8), imagej=True, metadata={"axes": "ZYX"})
    found = find_images([tmp_path], channels=5).pictures
    assert [picture.image.page for picture in found] == [None, 0, 1, 2, 3, 4]
    assert len(find_images([tmp_path], channels=3).pictures) == 10


def test_reasons_for_sources_without_images(tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt")
    _, failures, _ = find_images([tmp_path, tmp_path / "gone", str(tmp_path / "*.png"), "camera:front"])
    assert failures[-1][1] == "camera:front is no camera: cameras have numbers, such as camera:0"
    assert [reason.split(":")[0].removeprefix(str(tmp_path)) for _, reason in failures[:-1]] == [
        " holds no images (masks and overlays written by maskwright do not count)",
        "/gone does not exist",
        "/*.png matches no image",
    ]


@pytest.mark.parametrize("url", ["https://example.org/a.png", "s3://bucket/*.png", "file:///folder/a.png"])
def test_an_address_is_no_file(url: str) -> None:
    [(_, reason)] = find_images([url]).failures
    assert reason.startswith(f"{url} is an address: predict reads those of S3")


parts = st.sampled_from(["a", "A", "b", "a.png", "c"])
files = st.builds(
    lambda folders, stem, end: "/".join([*folders, stem + end]),
    st.lists(parts, max_size=2),
    parts,
    st.sampled_from([".png", ".jpg"]),
)


@given(st.lists(files, min_size=1, max_size=12, unique_by=str.casefold), st.integers(0, 2))
def test_names_are_unique_whatever_the_files_are_called(
    tmp_path_factory: pytest.TempPathFactory, paths: list[str], depth: int
) -> None:
    root = tmp_path_factory.getbasetemp()
    found = []
    for path in paths:
        file = root / path
        below = file.relative_to(root).parts
        found.append((file, PurePosixPath(*below[min(depth, len(below) - 1) :])))
    result = [str(picture.name).casefold() for picture in _named(found)]
    assert len(set(result)) == len(paths)
