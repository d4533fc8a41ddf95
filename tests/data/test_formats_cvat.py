"""CVAT for images: each kind of shape, the order of layers, names in sub-folders, and files of another kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.data.layouts import labels, photo, write

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import ReadOptions, read_dataset
from maskwright.data.labels import read_objects, read_pair

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (40, 60)


def image(shapes: str, name: str = "a.jpg", subset: str = "") -> str:
    own = f' subset="{subset}"' if subset else ""
    return f'<image id="0" name="{name}"{own} width="60" height="40">{shapes}</image>'


def make(
    root: Path, *images: str, names: tuple[str, ...] = ("nut", "bolt"), photos: tuple[str, ...] = ("a.jpg",)
) -> Path:
    for name in photos:
        photo(root / "images" / name, size=SIZE)
    listed = "".join(f"<label><name>{name}</name><color>#ff0000</color></label>" for name in names)
    meta = f"<meta><task><name>t</name><labels>{listed}</labels></task></meta>"
    text = "".join((f"<annotations><version>1.1</version>{meta}", *images, "</annotations>"))
    (root / "annotations.xml").write_text(f'<?xml version="1.0" encoding="utf-8"?>\n{text}')
    return root


POLYGON = '<polygon label="{}" z_order="{}" points="10.00,5.00;20.00,5.00;20.00,15.00;10.00,15.00"/>'


def painted(root: Path) -> np.ndarray:
    dataset = read_dataset(root)
    return read_pair(dataset, dataset.records[0])[1]


def test_each_kind_of_shape(tmp_path):
    box = '<box label="bolt" xtl="30" ytl="5" xbr="40" ybr="10"/>'
    mask = '<mask label="nut" rle="1, 2, 4, 1, 4" left="50" top="20" width="4" height="3"/>'
    dataset = read_dataset(make(tmp_path, image(POLYGON.format("nut", 0) + box + mask)))
    assert (dataset.format, dataset.faults) == ("cvat", ())
    assert dataset.classes.names == ("background", "nut", "bolt")
    expected = np.zeros(SIZE, np.uint8)
    expected[5:15, 10:20] = 1
    expected[5:10, 30:40] = 2
    expected[20, 51:53] = expected[21, 53] = 1
    np.testing.assert_array_equal(read_pair(dataset, dataset.records[0])[1], expected)


def test_boxes_and_ellipses_are_turned_clockwise(tmp_path):
    make(tmp_path / "a", image('<box label="nut" xtl="20" ytl="18" xbr="40" ybr="22" rotation="90.0"/>'))
    expected = np.zeros(SIZE, np.uint8)
    expected[10:30, 28:32] = 1
    np.testing.assert_array_equal(painted(tmp_path / "a"), expected)
    make(tmp_path / "b", image('<ellipse label="nut" cx="30" cy="20" rx="16" ry="4" rotation="30"/>'))
    rows, columns = np.mgrid[:40, :60] + 0.5
    along = (columns - 30) * np.cos(np.pi / 6) + (rows - 20) * np.sin(np.pi / 6)
    across = (rows - 20) * np.cos(np.pi / 6) - (columns - 30) * np.sin(np.pi / 6)
    exact = (along / 16) ** 2 + (across / 4) ** 2 < 1
    assert np.count_nonzero(painted(tmp_path / "b") != exact) <= 6


def test_higher_layers_cover_lower_ones(tmp_path):
    label = painted(make(tmp_path, image(POLYGON.format("bolt", 3) + POLYGON.format("nut", -1))))
    assert np.unique(label).tolist() == [0, 2]
    label = painted(make(tmp_path, image(POLYGON.format("bolt", 0) + POLYGON.format("nut", 0))))
    assert np.unique(label).tolist() == [0, 1]


def test_groups_are_objects(tmp_path):
    shapes = "".join(
        f'<box label="nut" group_id="4" xtl="{left}" ytl="5" xbr="{left + 5}" ybr="10"/>' for left in (5, 20)
    )
    dataset = read_dataset(make(tmp_path, image(shapes)))
    assert [entry.area for entry in read_objects(dataset, dataset.records[0], SIZE)] == [50]


def test_lines_and_unknown_labels(tmp_path):
    line = '<polyline label="nut" points="30,30;40,35"/><tag label="nut"/>'
    dataset = read_dataset(make(tmp_path, image(POLYGON.format("screw", 0) + line)))
    assert dataset.classes.names == ("background", "nut", "bolt", "screw")
    expected = np.zeros(SIZE, np.uint8)
    expected[5:15, 10:20] = 3
    expected[30:35, 30:40] = IGNORE
    np.testing.assert_array_equal(read_pair(dataset, dataset.records[0])[1], expected)
    assert {fault.kind for fault in dataset.faults} == {"unknown-label", "bad-outline"}
    assert {fault.path.name for fault in dataset.faults} == {"annotations.xml"}


def test_skeletons_and_cuboids_are_ignored_in_their_boxes(tmp_path):
    skeleton = '<skeleton label="nut"><points label="1" points="2,30"/><points label="2" points="12,35"/></skeleton>'
    sides = [f'x{name}="{x}" y{name}="{y}"' for name, x, y in (("tl1", 30, 5), ("br1", 40, 15), ("tr2", 45, 8))]
    label = painted(
        make(tmp_path, image(f'{POLYGON.format("nut", 0)}{skeleton}<cuboid label="nut" {" ".join(sides)}/>'))
    )
    expected = np.zeros(SIZE, np.uint8)
    expected[5:15, 10:20] = 1
    expected[30:35, 2:12] = expected[5:15, 30:45] = IGNORE
    np.testing.assert_array_equal(label, expected)


def test_a_label_called_background(tmp_path):
    dataset = read_dataset(make(tmp_path, image(POLYGON.format("nut", 0)), names=("nut", "background", "bolt")))
    assert dataset.classes.names == ("background", "nut", "bolt")


def test_names_in_sub_folders_and_subsets(tmp_path):
    photos = ("cam1/a.jpg", "cam2/a.jpg")
    shapes = POLYGON.format("nut", 0)
    images = (image(shapes, "cam1/a.jpg", "train"), image("", "cam2/a.jpg", "Validation"))
    dataset = read_dataset(make(tmp_path, *images, photos=photos))
    assert [(record.id, record.split) for record in dataset.records] == [
        ("images/cam1/a.jpg", "train"),
        ("images/cam2/a.jpg", "val"),
    ]
    assert [int(read_pair(dataset, record)[1].sum()) for record in dataset.records] == [100, 0]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-16-le"])
def test_other_encodings(tmp_path, encoding):
    make(tmp_path, image(POLYGON.format("Nuß", 0)), names=("Nuß",))
    text = (tmp_path / "annotations.xml").read_text(encoding="utf-8")
    mark = "\ufeff" if encoding == "utf-16-le" else ""
    (tmp_path / "annotations.xml").write_text(mark + text, encoding=encoding)
    assert read_dataset(tmp_path).classes.names == ("background", "Nuß")
    assert painted(tmp_path).sum() == 100


def test_options_and_one_file(tmp_path):
    make(tmp_path, image(POLYGON.format("bolt", 0)))
    ignored = read_dataset(tmp_path / "annotations.xml", ReadOptions(ignore=2))
    assert ignored.classes.names == ("background", "nut")
    assert np.unique(read_pair(ignored, ignored.records[0])[1]).tolist() == [0, IGNORE]
    joined = read_dataset(tmp_path, ReadOptions(map={2: 1}))
    assert np.unique(read_pair(joined, joined.records[0])[1]).tolist() == [0, 1]


def test_masks_come_first(tmp_path):
    make(tmp_path, image(POLYGON.format("nut", 0)))
    write(tmp_path / "masks" / "a.png", labels([0, 1], SIZE))
    assert read_dataset(tmp_path).format == "folder"


NO_NUMBER = image('<box label="nut" xtl="x" ytl="1" xbr="2" ybr="3"/>')
NO_PLACE = image('<polygon label="nut" points="a,10;30,30;40,10"/>')
DAMAGED = image('<box label="nut" xtl="3"/>')
SHORT_MASK = image('<mask label="nut" rle="1, 7" left="0" top="0" width="3" height="3"/>')
LONG_MASK = image('<mask label="nut" rle="1, 9" left="0" top="0" width="3" height="3"/>')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<annotations><meta/><track id='0'/></annotations>", "annotates a video in tracks"),
        ("<annotations><meta/>", r"is cut off \(its XML does not end\)"),
        (
            "<annotations><meta/></image></annotations>",
            r"as XML \(line 1, column 23: mismatched tag\): export it again",
        ),
        (f"<annotations><meta/>{DAMAGED}</annotations>", r"holds a damaged shape of a\.jpg \('ytl' is missing\)"),
        (
            f"<annotations><meta/>{NO_NUMBER}</annotations>",
            r"a\.jpg \(xtl is 'x', but must be a number\)",
        ),
        (
            f"<annotations><meta/>{NO_PLACE}</annotations>",
            r"a\.jpg \(a coordinate in points is 'a', but must be a number\)",
        ),
        (
            '<annotations><meta/><image name="a.jpg" width="abc" height="6"/></annotations>',
            r"a\.jpg \(width is 'abc', but must be a whole number\)",
        ),
        (f"<annotations><meta/>{LONG_MASK}</annotations>", r"shape of a\.jpg \(a mask of 10 pixels does not fit 3x3\)"),
        (
            f"<annotations><meta/>{image('', 'gone.jpg')}</annotations>",
            r"1 annotated image, gone\.jpg of annotations\.xml",
        ),
    ],
)
def test_files_that_cannot_be_used(tmp_path, text, words):
    make(tmp_path)
    (tmp_path / "annotations.xml").write_text(text)
    with pytest.raises(MaskwrightError, match=words):
        read_dataset(tmp_path)


def test_a_damaged_file_does_not_spoil_the_others(tmp_path):
    make(tmp_path, image(POLYGON.format("nut", 0)))
    (tmp_path / "more.xml").write_text("<annotations><meta/>")
    assert painted(tmp_path).sum() == 100
    assert [(fault.severity, fault.path.name) for fault in read_dataset(tmp_path).faults] == [("error", "more.xml")]


@pytest.mark.parametrize("damaged", [DAMAGED, SHORT_MASK, LONG_MASK])
def test_a_damaged_image_is_a_fault_and_the_others_are_read(tmp_path, damaged):
    sound = image(POLYGON.format("nut", 0), "b.jpg")
    dataset = read_dataset(make(tmp_path, damaged, sound, photos=("a.jpg", "b.jpg")))
    assert [record.id for record in dataset.records] == ["images/b.jpg"]
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity, fault.path.name) == ("unreadable", "error", "annotations.xml")
    assert fault.message.startswith("annotations.xml holds a damaged shape of a.jpg (")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"annotations\.xml is empty: export or copy it again"),
        ("\n<!DOCTYPE html><html>Sign in</html>", r"annotations\.xml is a web page.*: download it again"),
    ],
)
def test_files_without_annotations_are_blamed(tmp_path, text, words):
    make(tmp_path)
    (tmp_path / "annotations.xml").write_text(text)
    with pytest.raises(MaskwrightError, match=words):
        read_dataset(tmp_path)
