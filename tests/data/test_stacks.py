"""Stacks: TIFF files of many pages, read page by page, paired, split, hashed, trained on and predicted."""

from dataclasses import replace
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import DataPlan, SplitPlan
from maskwright.core.records import ImageRef
from maskwright.data.cache import DecodedCache
from maskwright.data.fingerprint import fingerprint
from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_pair
from maskwright.data.readers import DecodeError, Pages, count_pages, image_size, read_image, read_mask
from maskwright.data.split import TooFewImagesError, with_splits
from maskwright.data.survey import survey
from maskwright.tasks import find_task
from maskwright.workflows.runs.provenance import data_hash

RNG = np.random.default_rng(5)
GREY = RNG.integers(0, 256, (6, 40, 50), dtype=np.uint8)
RGB = RNG.integers(0, 256, (6, 40, 50, 3), dtype=np.uint8)


def separately(path: Path, pages: np.ndarray) -> None:
    """Write each page as a series of its own."""
    with tifffile.TiffWriter(path) as writer:
        for page in pages:
            writer.write(page, contiguous=False)


def by_pillow(path: Path, pages: np.ndarray, **options: object) -> None:
    first, *others = (Image.fromarray(page) for page in pages)
    first.save(path, save_all=True, append_images=others, **options)


WRITERS = {
    "unnamed": lambda path, pages: tifffile.imwrite(path, pages, photometric="minisblack"),
    "deflate": lambda path, pages: tifffile.imwrite(path, pages, photometric="minisblack", compression="zlib"),
    "bare": lambda path, pages: tifffile.imwrite(path, pages, photometric="minisblack", metadata=None),
    "imagej": lambda path, pages: tifffile.imwrite(path, pages, imagej=True),
    "imagej slices": lambda path, pages: tifffile.imwrite(path, pages, imagej=True, metadata={"axes": "ZYX"}),
    "ome": lambda path, pages: tifffile.imwrite(
        path, pages, ome=True, photometric="minisblack", metadata={"axes": "TYX"}
    ),
    "one description": lambda path, pages: tifffile.imwrite(path, pages, photometric="minisblack", truncate=True),
    "big endian": lambda path, pages: tifffile.imwrite(path, pages, photometric="minisblack", byteorder=">"),
    "series": separately,
    "pillow": by_pillow,
    "lzw": lambda path, pages: by_pillow(path, pages, compression="tiff_lzw"),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_each_page_is_read_alone_whoever_wrote_it(tmp_path: Path, writer: str, dtype: type) -> None:
    path = tmp_path / "a.tif"
    pages = GREY.astype(dtype) * (257 if dtype is np.uint16 else 1)
    WRITERS[writer](path, pages)
    assert count_pages(path).number == 6
    for page in (5, 0, 3):
        np.testing.assert_array_equal(read_image(ImageRef(path, page)), pages[page, ..., None])
        np.testing.assert_array_equal(read_mask(ImageRef(path, page)).array, pages[page])
        assert image_size(ImageRef(path, page)) == (40, 50)


def test_a_page_may_have_channels_of_its_own(tmp_path: Path) -> None:
    by_pillow(tmp_path / "lzw.tif", RGB, compression="tiff_lzw")
    by_pillow(tmp_path / "pillow.tif", RGB)
    tifffile.imwrite(tmp_path / "rgb.tif", RGB, photometric="rgb")
    separately(tmp_path / "series.tif", RGB)
    planes = np.moveaxis(RGB, 3, 1)  # (6, 3, H, W)
    tifffile.imwrite(tmp_path / "imagej.tif", planes, imagej=True, metadata={"axes": "ZCYX"})
    tifffile.imwrite(
        tmp_path / "ome.tif", np.moveaxis(planes, 1, 0), ome=True, photometric="minisblack", metadata={"axes": "CZYX"}
    )
    for path in sorted(tmp_path.glob("*.tif")):
        assert count_pages(path) == Pages(6), path.name
        np.testing.assert_array_equal(read_image(ImageRef(path, 4)), RGB[4], err_msg=path.name)
        assert image_size(ImageRef(path, 4)) == (40, 50)


def test_palettes_and_bits_of_a_page(tmp_path: Path) -> None:
    pictures = [Image.fromarray(page % 4).convert("P") for page in GREY]
    pictures[0].save(tmp_path / "p.tif", save_all=True, append_images=pictures[1:], compression="tiff_lzw")
    np.testing.assert_array_equal(read_mask(ImageRef(tmp_path / "p.tif", 2)).array, np.asarray(pictures[2]))
    by_pillow(tmp_path / "b.tif", GREY > 99, compression="group4")
    np.testing.assert_array_equal(read_mask(ImageRef(tmp_path / "b.tif", 2)).array, GREY[2] > 99)


def test_pages_that_may_be_channels(tmp_path: Path) -> None:
    for number, channels in ((6, True), (40, False)):
        pages = np.zeros((number, 64, 48), np.uint8)
        for writer in ("unnamed", "bare", "pillow"):
            WRITERS[writer](tmp_path / "a.tif", pages)
            assert count_pages(tmp_path / "a.tif") == Pages(number, channels), writer
        WRITERS["imagej"](tmp_path / "a.tif", pages)
        assert count_pages(tmp_path / "a.tif") == Pages(number, may_be_channels=True)
        for writer in ("imagej slices", "ome", "series"):
            WRITERS[writer](tmp_path / "a.tif", pages)
            assert count_pages(tmp_path / "a.tif") == Pages(number), writer
            with pytest.raises(DecodeError, match=rf"a stack of {number} pages .*: save each page as its own file"):
                read_image(tmp_path / "a.tif")


def test_thumbnails_and_pyramids_are_no_pages(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "pyramid.tif") as writer:
        writer.write(GREY[0], subifds=1)
        writer.write(GREY[0, ::2, ::2], subfiletype=1)
    with tifffile.TiffWriter(tmp_path / "thumbnail.tif") as writer:
        writer.write(GREY[0], contiguous=False)
        writer.write(GREY[0, ::4, ::4], contiguous=False)
    tifffile.imwrite(tmp_path / "bands.tif", np.zeros((40, 50, 6), np.uint8), planarconfig="contig")
    tifffile.imwrite(tmp_path / "guessed.tif", np.zeros((40, 50, 7), np.uint8))
    Image.fromarray(GREY[0]).save(tmp_path / "picture.png")
    Image.fromarray(GREY[0]).save(tmp_path / "misnamed.tif", format="png")
    for path in sorted(tmp_path.iterdir()):
        assert count_pages(path) == Pages(1), path.name
    assert read_image(ImageRef(tmp_path / "guessed.tif", 0)).shape == (40, 50, 7)


def test_a_page_that_is_not_there(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY, photometric="minisblack")
    for page in (6, -1):
        with pytest.raises(DecodeError, match=rf"a\.tif, page {page} does not exist: the file holds pages 0 to 5"):
            read_image(ImageRef(tmp_path / "a.tif", page))
    tifffile.imwrite(tmp_path / "b.tif", GREY[0])
    np.testing.assert_array_equal(read_image(ImageRef(tmp_path / "b.tif", 0)), GREY[0, ..., None])
    with pytest.raises(DecodeError, match="the file holds page 0 only"):
        read_image(ImageRef(tmp_path / "b.tif", 1))
    Image.fromarray(GREY[0]).save(tmp_path / "c.png")
    with pytest.raises(DecodeError, match=r"c\.png, page 0 cannot be read: a PNG file holds one image"):
        read_image(ImageRef(tmp_path / "c.png", 0))


@pytest.mark.parametrize("writer", ["unnamed", "deflate", "pillow"])
def test_a_cut_stack_names_its_page(tmp_path: Path, writer: str) -> None:
    path = tmp_path / "a.tif"
    WRITERS[writer](path, GREY)
    with tifffile.TiffFile(path) as file:
        end = file.pages[5].dataoffsets[0] + 10
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(DecodeError) as caught:
        read_image(ImageRef(path, 5))
    assert str(path) in str(caught.value)
    assert caught.value.kind in {"truncated", "unreadable"}


# Data sets of stacks: GROUND shows a disk that moves, so that no two pages are alike.


def stack_of(number: int, seed: int, size: tuple[int, int] = (48, 64)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 120, (number, *size), dtype=np.uint8)
    masks = np.zeros_like(images)
    for image, mask in zip(images, masks, strict=True):
        cv2.circle(mask, tuple(int(value) for value in rng.integers(12, 36, 2)), 8, 255, -1)
        image[mask > 0] += 100
    return images, masks


def written(root: Path, stacks: dict[str, int]) -> Path:
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for seed, (name, number) in enumerate(stacks.items()):
        for folder, pages in zip(("images", "masks"), stack_of(number, seed), strict=True):
            tifffile.imwrite(root / folder / f"{name}.tif", pages, photometric="minisblack")
    return root


def test_pages_become_records_in_one_group(tmp_path: Path) -> None:
    root = written(tmp_path, {"a": 3, "b": 2, "c": 1})
    dataset = read_dataset(root)
    assert [record.id for record in dataset.records] == [
        *("images/a.tif#0", "images/a.tif#1", "images/a.tif#2", "images/b.tif#0", "images/b.tif#1", "images/c.tif")
    ]
    assert [record.group for record in dataset.records] == [*["images/a.tif"] * 3, *["images/b.tif"] * 2, None]
    assert dataset.records[4].image == ImageRef(root / "images/b.tif", 1)
    assert dataset.records[4].annotation.file == ImageRef(root / "masks/b.tif", 1)
    assert dataset.classes.names == ("background", "foreground")
    for record, page in zip(dataset.records[:3], range(3), strict=True):
        image, label = read_pair(dataset, record)
        expected = stack_of(3, 0)
        np.testing.assert_array_equal(image[..., 0], expected[0][page])
        np.testing.assert_array_equal(label, expected[1][page] // 255)
    (note,) = dataset.faults
    assert (note.kind, note.severity, note.path) == ("stack", "note", root)
    assert note.message.startswith(
        "2 files are stacks with 5 pages, such as images/a.tif with 3: each page is one image"
    )


def test_other_numbers_of_pages_are_an_error(tmp_path: Path) -> None:
    root = written(tmp_path, {"a": 3, "b": 2, "c": 3})
    tifffile.imwrite(root / "masks/b.tif", stack_of(3, 1)[1], photometric="minisblack")
    tifffile.imwrite(root / "images/c.tif", stack_of(3, 2)[0], imagej=True, metadata={"axes": "ZYX"})
    tifffile.imwrite(root / "masks/c.tif", stack_of(1, 2)[1][0])
    dataset = read_dataset(root)
    assert {record.group for record in dataset.records} == {"images/a.tif"}
    faults = [fault for fault in dataset.faults if fault.severity == "error"]
    assert [fault.path for fault in faults] == [root / "images/b.tif", root / "images/c.tif"]
    assert faults[0].message.startswith("b.tif has 2 pages and its mask b.tif has 3:")
    assert faults[1].message.startswith("c.tif has 3 pages and its mask c.tif has 1:")
    assert all(fault.cure for fault in faults)
    (root / "images/a.tif").unlink()
    (root / "masks/a.tif").unlink()
    with pytest.raises(MaskwrightError, match=r"b\.tif has 2 pages and its mask b\.tif has 3"):
        read_dataset(root)


def test_pages_under_one_mask_are_channels(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    images, masks = stack_of(5, 0)
    tifffile.imwrite(tmp_path / "images/a.tif", images, photometric="minisblack")
    tifffile.imwrite(tmp_path / "masks/a.tif", masks[0])
    (record,) = read_dataset(tmp_path).records
    assert (record.id, record.image, record.group) == ("images/a.tif", ImageRef(tmp_path / "images/a.tif"), None)
    np.testing.assert_array_equal(read_image(record.image), np.moveaxis(images, 0, 2))


def test_a_broken_stack_is_a_fault_and_the_others_stay(tmp_path: Path) -> None:
    root = written(tmp_path, {"a": 3, "b": 3})
    (root / "images/b.tif").write_bytes(b"II*\x00no directory")
    seen = survey(read_dataset(root))
    assert [record.id for record in seen.dataset.records] == [f"images/a.tif#{page}" for page in range(3)]
    assert [fault.path.name for fault in seen.dataset.faults if fault.severity == "error"] == ["b.tif"]


def test_a_bad_page_is_named(tmp_path: Path) -> None:
    root = written(tmp_path, {"a": 6, "b": 6})
    masks = stack_of(6, 0)[1]
    masks[4, :3, :3] = 7
    tifffile.imwrite(root / "masks/a.tif", masks, photometric="minisblack")
    dataset = read_dataset(root)
    (stray,) = (fault for fault in dataset.faults if fault.kind == "stray-value")
    assert (stray.path, stray.message[:34]) == (root / "masks/a.tif", "a.tif, page 4 holds the value 7, w")
    record = dataset.records[4]
    with pytest.raises(DecodeError, match=r"a\.tif, page 4 holds label 7"):
        read_pair(replace(dataset, value_to_index={0: 0, 255: 1}), record)


def test_the_split_never_cuts_a_stack(tmp_path: Path) -> None:
    root = written(tmp_path, dict.fromkeys("abcdefgh", 4))
    dataset = with_splits(read_dataset(root), SplitPlan(), 0)
    sides: dict[str, set[str]] = {}
    for record in dataset.records:
        sides.setdefault(record.group, set()).add(record.split)
    assert len(sides) == 8
    assert all(len(parts) == 1 for parts in sides.values())
    assert set.union(*sides.values()) == {"train", "val", "test"}


def test_one_stack_is_cut_into_blocks_of_neighbouring_pages(tmp_path: Path) -> None:
    dataset = with_splits(read_dataset(written(tmp_path, {"a": 20})), SplitPlan(), 0)
    sides = [record.split for record in sorted(dataset.records, key=lambda record: record.image.page)]
    blocks = [side for side, _ in groupby(sides) if side is not None]
    assert set(blocks) == {"train", "val", "test"}
    assert len(blocks) <= 4
    (cut,) = (fault for fault in dataset.faults if fault.kind == "sequence-cut")
    assert cut.message.endswith("each was cut into contiguous blocks: the scores hold for these scenes only")


def test_a_group_that_the_user_gives_is_never_cut(tmp_path: Path) -> None:
    with pytest.raises(TooFewImagesError, match="1 group"):
        with_splits(read_dataset(written(tmp_path, {"a": 12})), SplitPlan(group_by="images/a"), 0)


def test_the_pages_of_a_stack_can_be_split_in_any_order_if_the_user_wants_it(tmp_path: Path) -> None:
    root = written(tmp_path, {"a": 12})
    (note,) = (fault for fault in read_dataset(root).faults if fault.kind == "stack")
    assert note.message.startswith("images/a.tif is a stack of 12 pages: ")
    assert "use `split.group_by` '.+'" in note.cure
    dataset = with_splits(read_dataset(root), SplitPlan(group_by=".+"), 0)
    assert {record.split for record in dataset.records} == {"train", "val", "test"}


def test_survey_fingerprint_and_cache_see_every_page(tmp_path: Path) -> None:
    root = written(tmp_path, dict.fromkeys("abc", 4))
    dataset = read_dataset(root)
    seen = survey(dataset)
    assert len(seen.summaries) == 12
    found = fingerprint(seen)
    assert (found.images, found.groups, found.channels, found.sizes) == (12, 3, {1: 12}, {"64x48": 12})
    cache = DecodedCache(
        dataset, dataset.records, DataPlan(channels=1, mean=[0], std=[1]), 1 << 20, find_task("semantic").target
    )
    expected = stack_of(4, 1)
    for number in (5, 4):
        image, target = cache.get(number)
        np.testing.assert_array_equal(image[..., 0], expected[0][number - 4])
        np.testing.assert_array_equal(target.labels, expected[1][number - 4] // 255)


def test_the_data_hash_knows_pages(tmp_path: Path) -> None:
    root = written(tmp_path, {"a": 3, "b": 3})
    before = data_hash(read_dataset(root))
    assert data_hash(read_dataset(root)) == before
    images = stack_of(3, 1)[0]
    images[2, 0, 0] ^= 1
    tifffile.imwrite(root / "images/b.tif", images, photometric="minisblack")
    assert data_hash(read_dataset(root)) != before
