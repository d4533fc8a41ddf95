"""Pascal VOC and Cityscapes: lists, palettes, the classes that are ignored, and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.data.layouts import SIZE, labels, palette_mask, photo, write

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import ReadOptions, cityscapes, read_dataset, voc
from maskwright.data.labels import read_label, read_pair
from maskwright.data.readers import DecodeError

if TYPE_CHECKING:
    from pathlib import Path

PALETTE = [voc.voc_color(value) for value in range(256)]
BLACK = [(0, 0, 0)] * 253


def make_voc(root: Path, names: dict[str, list[str]], values: list[int]) -> Path:
    for stem in sorted({stem for stems in names.values() for stem in stems}):
        photo(root / "JPEGImages" / f"{stem}.jpg")
        palette_mask(root / "SegmentationClass" / f"{stem}.png", labels(values), PALETTE)
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for split, stems in names.items():
        (lists / f"{split}.txt").write_text("\n".join(stems) + "\n")
    return root


def test_voc_colors_by_hand():
    assert voc.voc_color(0) == (0, 0, 0)
    assert voc.voc_color(1) == (128, 0, 0)
    assert voc.voc_color(15) == (192, 128, 128)
    assert voc.voc_color(20) == (0, 64, 128)
    assert voc.voc_color(255) == (224, 224, 192)


def test_voc(tmp_path):
    splits = {"train": ["a", "b"], "val": ["c"], "trainval": ["a", "b", "c", "d"]}
    dataset = read_dataset(make_voc(tmp_path, splits, [0, 1, 15, 255]))
    assert dataset.format == "voc"
    assert dataset.classes.names == voc.VOC_NAMES
    assert dataset.classes.colors[15] == (192, 128, 128)
    assert {record.image.path.stem: record.split for record in dataset.records} == {
        "a": "train",
        "b": "train",
        "c": "val",
        "d": None,
    }
    assert read_pair(dataset, dataset.records[0])[1][0, :4].tolist() == [0, 1, 15, IGNORE]
    assert dataset.faults == ()
    assert dataset.layout.startswith("JPEGImages/ + SegmentationClass/: masks of class ids with a palette")


def test_voc_below_its_development_kit(tmp_path):
    make_voc(tmp_path / "VOCdevkit" / "VOC2012", {"train": ["a"], "val": ["b"]}, [0, 5])
    dataset = read_dataset(tmp_path)
    assert dataset.format == "voc"
    assert dataset.records[0].id == "VOCdevkit/VOC2012/JPEGImages/a.jpg"


def test_voc_with_a_labelmap_and_colors(tmp_path):
    make_voc(tmp_path, {"default": ["a"]}, [0])
    table = np.array([[0, 0, 0], [7, 8, 9], [250, 1, 2]], np.uint8)
    write(tmp_path / "SegmentationClass" / "a.png", table[labels([0, 1, 2])])
    (tmp_path / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\nroad:7,8,9::\nignore:250,1,2::\n"
    )
    dataset = read_dataset(tmp_path)
    assert dataset.classes.names == ("background", "road")
    assert read_pair(dataset, dataset.records[0])[1][0, :3].tolist() == [0, 1, IGNORE]
    assert dataset.records[0].split is None


def test_voc_in_true_colors_without_a_table(tmp_path):
    make_voc(tmp_path, {"train": ["a"]}, [0])
    write(tmp_path / "SegmentationClass" / "a.png", np.array(PALETTE, np.uint8)[labels([0, 15, 255])])
    dataset = read_dataset(tmp_path)
    assert dataset.classes.names == voc.VOC_NAMES
    assert read_pair(dataset, dataset.records[0])[1][0, :3].tolist() == [0, 15, IGNORE]


def test_voc_layout_with_other_classes(tmp_path):
    make_voc(tmp_path / "a", {"train": ["a"]}, [0])
    write(tmp_path / "a" / "SegmentationClass" / "a.png", labels([0, 255]))
    assert read_dataset(tmp_path / "a").classes.names == ("background", "foreground")
    make_voc(tmp_path / "b", {"train": ["a"]}, [0, 1])
    (tmp_path / "b" / "class_names.txt").write_text("_background_\ncat\n")
    assert read_dataset(tmp_path / "b").classes.names == ("_background_", "cat")


def test_255_may_have_any_color(tmp_path):
    make_voc(tmp_path, {"train": ["a", "b"]}, [0, 1, 15, 255])
    for path in (tmp_path / "SegmentationClass").iterdir():
        palette_mask(path, labels([0, 1, 15, 255]), [*PALETTE[:21], *BLACK[18:]])
    dataset = read_dataset(tmp_path)
    assert dataset.classes.names == voc.VOC_NAMES
    assert read_pair(dataset, dataset.records[0])[1][0, :4].tolist() == [0, 1, 15, IGNORE]


@pytest.mark.parametrize("colors", [[(0, 0, 0), (255, 0, 0), (0, 0, 255), *BLACK], PALETTE])
def test_a_palette_of_other_colors_has_other_classes(tmp_path, colors):
    make_voc(tmp_path, {"train": ["a", "b"]}, [0, 1, 2, 255])
    for path in (tmp_path / "SegmentationClass").iterdir():
        palette_mask(path, labels([0, 1, 2, 255]), colors)
    dataset = read_dataset(tmp_path)
    assert dataset.classes.names == (voc.VOC_NAMES if colors is PALETTE else ("class-0", "class-1", "class-2"))
    assert read_pair(dataset, dataset.records[0])[1][0, :4].tolist() == [0, 1, 2, IGNORE]


def test_voc_lists_that_do_not_agree_with_the_files(tmp_path):
    make_voc(tmp_path, {"train": ["a", "b"], "val": ["b", "c"]}, [0, 1])
    (tmp_path / "SegmentationClass" / "a.png").unlink()
    (tmp_path / "JPEGImages" / "c.jpg").unlink()
    palette_mask(tmp_path / "SegmentationClass" / "extra.png", labels([0]), PALETTE)
    dataset = read_dataset(tmp_path)
    assert [record.image.path.stem for record in dataset.records] == ["b"]
    assert sorted((fault.kind, fault.path.name) for fault in dataset.faults) == [
        ("split-overlap", "val.txt"),
        ("unpaired", "SegmentationClass"),
        ("unpaired", "c.png"),
        ("unpaired", "train.txt"),
    ]


def test_voc_without_pairs(tmp_path):
    make_voc(tmp_path, {"train": ["a"]}, [0])
    (tmp_path / "JPEGImages" / "a.jpg").rename(tmp_path / "JPEGImages" / "z.jpg")
    with pytest.raises(MaskwrightError, match="no pair of JPEGImages"):
        read_dataset(tmp_path)


def make_cityscapes(root: Path, coding: str = "labelIds") -> Path:
    for split, city in (("train", "aachen"), ("val", "ulm"), ("test", "bonn")):
        for number in range(2):
            stem = f"{city}_{number:06}_000019"
            photo(root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png")
            values = [0, 3] if split == "test" else [7, 0, 26, 33, 5]
            write(root / "gtFine" / split / city / f"{stem}_gtFine_{coding}.png", labels(values))
            write(root / "gtFine" / split / city / f"{stem}_gtFine_color.png", labels([9]))
    return root


def test_cityscapes(tmp_path):
    dataset = read_dataset(make_cityscapes(tmp_path))
    assert dataset.format == "cityscapes"
    assert len(dataset.classes) == 19
    assert dataset.classes.names[13] == "car"
    assert [record.split for record in dataset.records] == ["train", "train", "val", "val"]
    assert dataset.records[0].id == "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png"
    assert read_pair(dataset, dataset.records[0])[1][0, :5].tolist() == [0, IGNORE, 13, 18, IGNORE]
    assert [fault.kind for fault in dataset.faults] == ["empty-mask"]
    assert sorted(value for value, index in dataset.value_to_index.items() if index != IGNORE) == [
        *(7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33),
    ]


def test_cityscapes_train_ids_and_options(tmp_path):
    for path in (make_cityscapes(tmp_path, "labelTrainIds") / "gtFine").rglob("*labelTrainIds.png"):
        write(path, labels([0, 18, 255]))
    dataset = read_dataset(tmp_path, ReadOptions(ignore=18, map={7: 0}))
    assert read_pair(dataset, dataset.records[0])[1][0, :3].tolist() == [0, IGNORE, IGNORE]
    assert dataset.value_to_index[7] == 0
    assert {record.split for record in dataset.records} == {"train", "val", "test"}
    with pytest.raises(MaskwrightError, match=r"cannot be used: leave out `read\.classes`"):
        read_dataset(tmp_path, ReadOptions(classes=tmp_path))


@pytest.mark.parametrize(
    ("coding", "other", "values", "words"),
    [
        ("labelTrainIds", "labelIds", [7, 26, 11], "the value 26, which is a label id"),
        ("labelIds", "labelTrainIds", [0, 13, 255], "the value 255 and none from 19 to 33"),
    ],
)
def test_cityscapes_under_the_name_of_the_other_ids(tmp_path, coding, other, values, words):
    for path in (make_cityscapes(tmp_path, coding) / "gtFine").rglob(f"*{coding}.png"):
        write(path, labels(values))
    with pytest.raises(MaskwrightError, match=words):
        read_dataset(tmp_path)
    for path in (tmp_path / "gtFine").rglob(f"*{coding}.png"):
        path.rename(path.with_name(path.name.replace(coding, other)))
    dataset = read_dataset(tmp_path)
    expected = [0, 13, 2] if other == "labelIds" else [0, 13, IGNORE]
    assert read_pair(dataset, dataset.records[0])[1][0, :3].tolist() == expected


def test_label_ids_of_cityscapes_beside_an_ignored_255(tmp_path):
    for path in (make_cityscapes(tmp_path) / "gtFine").rglob("*labelIds.png"):
        write(path, labels([7, 11, 255]))
    dataset = read_dataset(tmp_path, ReadOptions(ignore=255))
    assert read_pair(dataset, dataset.records[0])[1][0, :3].tolist() == [0, 2, IGNORE]


def test_cityscapes_with_holes(tmp_path):
    make_cityscapes(tmp_path)
    next((tmp_path / "gtFine" / "train").rglob("*000000*labelIds.png")).unlink()
    next((tmp_path / "leftImg8bit" / "val").rglob("*000001*.png")).unlink()
    faults = read_dataset(tmp_path).faults
    assert [(fault.kind, fault.severity) for fault in faults] == [
        ("unpaired", "error"),
        ("unpaired", "warning"),
        ("empty-mask", "note"),
    ]


def test_cityscapes_without_label_ids(tmp_path):
    photo(tmp_path / "leftImg8bit" / "train" / "a" / "a_leftImg8bit.png")
    write(tmp_path / "gtFine" / "train" / "a" / "a_gtFine_color.png", labels([0]))
    with pytest.raises(MaskwrightError, match="labelIds"):
        read_dataset(tmp_path)
    assert cityscapes.detect(tmp_path) == "leftImg8bit/ + gtFine/"
    with pytest.raises(MaskwrightError, match="not laid out as Cityscapes"):
        read_dataset(tmp_path / "gtFine", ReadOptions(format="cityscapes"))


def test_a_mask_of_0_and_255_among_those_of_pascal_voc_is_a_fault(tmp_path):
    for number in range(6):
        mask = np.zeros((24, 24), np.uint8)
        mask[4:12, 4:12] = 255 if number == 5 else 1 + number
        photo(tmp_path / "JPEGImages" / f"{number}.jpg", number, (24, 24))
        write(tmp_path / "SegmentationClass" / f"{number}.png", mask)
    dataset = read_dataset(tmp_path)
    assert "names from Pascal VOC" in dataset.layout
    assert read_label(dataset, dataset.records[0], (24, 24)).max() == 1
    with pytest.raises(DecodeError, match="holds only 0 and 255"):
        read_label(dataset, dataset.records[5], (24, 24))


def test_each_base_is_read_by_its_own_table(tmp_path):
    for year, names in (("VOC2007", ("ground", "cat", "dog")), ("VOC2012", ("ground", "dog", "cat"))):
        for place in ("a", "cam/b"):
            photo(tmp_path / year / "JPEGImages" / f"{place}.jpg")
            write(tmp_path / year / "SegmentationClass" / f"{place}.png", labels([0, 1, 2]))
        (tmp_path / year / "labelmap.txt").write_text("\n".join(names) + "\n")
    dataset = read_dataset(tmp_path)
    assert (dataset.format, dataset.classes.names, len(dataset.records)) == ("voc", ("ground", "cat", "dog"), 4)
    for record in dataset.records:
        order = [0, 1, 2] if "VOC2007" in record.id else [0, 2, 1]
        assert read_label(dataset, record, SIZE).tolist() == np.array(order)[labels([0, 1, 2])].tolist()
    (tmp_path / "classes.txt").write_text("ground\ndog\ncat\n")
    with pytest.raises(MaskwrightError, match="name the values differently"):
        read_dataset(tmp_path)
    assert read_dataset(tmp_path, ReadOptions(classes=tmp_path / "classes.txt")).classes.names[1] == "dog"
    (tmp_path / "classes.txt").unlink()
    (tmp_path / "VOC2012" / "labelmap.txt").write_text("ground\ndog\ndog\n")
    with pytest.raises(MaskwrightError, match="dog"):
        read_dataset(tmp_path)
