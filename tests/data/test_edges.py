"""Drawn edges in every layout, edges between the regions of masks, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import scipy.io
from PIL import Image

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.core.read_options import ReadOptions
from maskwright.core.records import EdgeFiles, MaskEdges
from maskwright.data.edge_statistics import measured
from maskwright.data.formats import edges, read_dataset
from maskwright.data.labels import read_edges, read_label, read_objects
from maskwright.data.readers import DecodeError, read_image
from maskwright.data.survey import survey
from maskwright.workflows.inspect import inspect

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.core.read_options import Between
    from maskwright.core.records import Dataset

SIZE = (6, 8)
DATA = Path(__file__).parents[2].parent / "shared" / "data"
EDGES = ReadOptions().for_task("edges")


def line(column: int) -> NDArray[np.bool_]:
    """Draw one vertical line."""
    drawn = np.zeros(SIZE, bool)
    drawn[:, column] = True
    return drawn


def save(path: Path, pixels: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def save_image(path: Path) -> None:
    save(path, np.random.default_rng(len(str(path))).integers(0, 255, (*SIZE, 3), dtype=np.uint8))


def save_mat(path: Path, maps: list[NDArray[Any]], field: str = "Boundaries") -> None:
    cells = np.empty((1, len(maps)), object)
    for place, drawn in enumerate(maps):
        cells[0, place] = {"Segmentation": np.ones(drawn.shape, np.uint16), field: drawn.astype(np.uint8)}
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {"groundTruth": cells}, do_compression=True)


def only(
    root: Path, options: ReadOptions | None = None
) -> tuple[Dataset, list[NDArray[np.bool_]], NDArray[np.float32]]:
    dataset = read_dataset(root, options)
    found = read_edges(dataset, dataset.records[0], SIZE)
    return dataset, list(found.people), found.shares


def test_the_berkeley_tree(tmp_path: Path) -> None:
    root = tmp_path / "BSDS500"
    for split, name in (("train", "a"), ("val", "b"), ("test", "c")):
        save_image(root / f"data/images/{split}/{name}.jpg")
        save_mat(root / f"data/groundTruth/{split}/{name}.mat", [line(2), line(3), np.zeros(SIZE, bool)])
    dataset, people, shares = only(root)
    assert (dataset.format, dataset.classes.names, dataset.faults) == ("edges", ("background", "edge"), ())
    assert "MATLAB files of drawn edges for 3 images" in dataset.layout
    assert {record.id: record.split for record in dataset.records} == {
        "data/images/test/c.jpg": "test",
        "data/images/train/a.jpg": "train",
        "data/images/val/b.jpg": "val",
    }
    assert [drawn.sum() for drawn in people] == [6, 6, 0]
    assert np.array_equal(people[1], line(3))
    assert shares[0].tolist() == pytest.approx([0, 0, 2 / 3, 2 / 3, 0, 0, 0, 0])
    assert np.array_equal(read_label(dataset, dataset.records[0], SIZE) == 1, line(2) | line(3))
    assert list(read_objects(dataset, dataset.records[0], SIZE)) == []


def test_another_matlab_file_among_drawings_is_a_fault_of_the_data(tmp_path: Path) -> None:
    for name in "abc":
        save_image(tmp_path / f"images/{name}.jpg")
        save_mat(tmp_path / f"truth/{name}.mat", [line(2)])
    scipy.io.savemat(tmp_path / "truth/a.mat", {"x": np.ones(3)})
    dataset = read_dataset(tmp_path)
    assert dataset.format == "edges"
    with pytest.raises(DecodeError, match=r"a\.mat .*groundTruth"):
        read_edges(dataset, dataset.records[0], SIZE)
    assert read_edges(dataset, dataset.records[1], SIZE).people


def test_one_picture_an_image(tmp_path: Path) -> None:
    save_image(tmp_path / "images/a.jpg")
    save(tmp_path / "edges/a.png", line(4).astype(np.uint8) * 255)
    dataset, people, shares = only(tmp_path)
    assert "edges/: pictures of drawn edges for 1 image" in dataset.layout
    assert np.array_equal(people[0], line(4))
    assert np.array_equal(shares, line(4))


def test_a_picture_of_ones_is_as_good(tmp_path: Path) -> None:
    save_image(tmp_path / "images/a.jpg")
    save(tmp_path / "boundaries/a.png", line(4).astype(np.uint8))
    assert np.array_equal(only(tmp_path)[2], line(4))


def test_thick_lines_become_thin(tmp_path: Path) -> None:
    save_image(tmp_path / "images/a.jpg")
    save(tmp_path / "edges/a.png", (line(3) | line(4) | line(5)).astype(np.uint8) * 255)
    _, people, shares = only(tmp_path)
    assert np.flatnonzero(people[0][3]).tolist() == [4]
    assert np.array_equal(shares, people[0])


def test_an_empty_truth_is_one(tmp_path: Path) -> None:
    save_image(tmp_path / "images/a.jpg")
    save(tmp_path / "edges/a.png", np.zeros(SIZE, np.uint8))
    dataset, people, shares = only(tmp_path)
    assert not people[0].any()
    assert not shares.any()
    assert not read_label(dataset, dataset.records[0], SIZE).any()


def test_data_without_any_edge_ask_for_edges_not_objects(tmp_path: Path) -> None:
    for name in "abc":
        save_image(tmp_path / f"images/{name}.jpg")
        save(tmp_path / f"edges/{name}.png", np.zeros(SIZE, np.uint8))
    (fault,) = (fault for fault in inspect(tmp_path).faults if fault.kind == "one-class")
    assert fault.message == "every labelled pixel is background: there is no edge to learn"
    assert fault.cure == "draw the edges of some images"


@pytest.mark.parametrize(
    ("names", "folders"),
    [
        (("edges/a_1.png", "edges/a_2.png"), "edges/: pictures of"),
        (("edges/anna/a.png", "edges/ben/a.png"), "edges/anna/ and edges/ben/: pictures of"),
    ],
)
def test_a_picture_for_each_person(tmp_path: Path, names: tuple[str, str], folders: str) -> None:
    save_image(tmp_path / "images/a.jpg")
    for column, name in zip((1, 6), names, strict=True):
        save(tmp_path / name, line(column).astype(np.uint8) * 255)
    dataset, people, shares = only(tmp_path)
    assert dataset.layout.startswith(folders)
    assert [np.flatnonzero(drawn[0]).tolist() for drawn in people] == [[1], [6]]
    assert shares[0].tolist() == [0, 0.5, 0, 0, 0, 0, 0.5, 0]


def test_grey_values_are_shares_of_people(tmp_path: Path) -> None:
    save_image(tmp_path / "images/a.jpg")
    soft = np.zeros(SIZE, np.uint8)
    soft[:, 2], soft[:, 4], soft[:, 6] = 51, 204, 255
    save(tmp_path / "edges/a.png", soft)
    _, people, shares = only(tmp_path)
    assert shares[0].tolist() == pytest.approx([0, 0, 0.2, 0, 0.8, 0, 1, 0])
    assert np.flatnonzero(people[0][0]).tolist() == [4, 6]
    save_image(tmp_path / "images/b.jpg")
    save(tmp_path / "edges/b.png", line(4).astype(np.uint8))
    found = inspect(tmp_path).edges
    assert found is not None
    assert (found.images, found.people.high, found.soft) == (2, 1, 1)
    assert found.share == pytest.approx((2 / 8 + 1 / 8) / 2)


PICTURES = {
    "inverted": (np.where(line(4), 0, 255).astype(np.uint8), "shows edges on 88% of its pixels"),
    "white": (np.full(SIZE, 255, np.uint8), "shows edges on 100% of its pixels"),
    "one and two": (np.where(line(4), 2, 1).astype(np.uint8), "holds the values 1 and 2, and one of them must be 0"),
    "counts": ((line(4) * 3 + line(6)).astype(np.uint8), "holds values up to 3, of 255"),
    "8 bits in 16": ((line(4) * 255 + line(6) * 51).astype(np.uint16), "holds values up to 255, of 65535"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_that_mean_something_else_are_refused(tmp_path: Path, name: str) -> None:
    pixels, said = PICTURES[name]
    save_image(tmp_path / "images/a.jpg")
    save(tmp_path / "edges/a.png", pixels)
    assert said in str(refused(tmp_path))


def test_an_inverted_drawing_of_one_person_is_refused(tmp_path: Path) -> None:
    save_image(tmp_path / "images/a.jpg")
    save_mat(tmp_path / "truth/a.mat", [line(2), ~line(2)])
    assert "a.mat shows edges on 88% of its pixels, so it is inverted or shows areas" in str(refused(tmp_path))


def test_masks_are_drawings_if_the_user_says_so(tmp_path: Path) -> None:
    save_image(tmp_path / "images/a.jpg")
    save(tmp_path / "masks/a.png", line(4).astype(np.uint8) * 255)
    assert read_dataset(tmp_path).format == "folder"
    dataset, people, _ = only(tmp_path, ReadOptions(format="edges"))
    assert isinstance(dataset.records[0].annotation, EdgeFiles)
    assert dataset.faults == ()
    assert np.array_equal(people[0], line(4))


@pytest.mark.parametrize("folder", ["edges", "truth"])
def test_a_picture_beside_matlab_files_hides_only_that_of_its_image(tmp_path: Path, folder: str) -> None:
    for name in ("a", "b"):
        save_image(tmp_path / f"images/{name}.jpg")
        save_mat(tmp_path / f"truth/{name}.mat", [line(2)])
    save(tmp_path / folder / "a.png", line(4).astype(np.uint8) * 255)
    dataset = read_dataset(tmp_path)
    (fault,) = dataset.faults
    assert fault.message == f"truth/a.mat is not read, as {folder}/a.png shows the same edges"
    files = [[file.path.name for file in record.annotation.files] for record in dataset.records]  # type: ignore[union-attr]
    assert files == [["a.png"], ["b.mat"]]


def test_files_without_a_partner_are_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_image(tmp_path / f"images/{name}.jpg")
    for name in ("a", "c"):
        save(tmp_path / f"edges/{name}.png", line(4).astype(np.uint8) * 255)
    dataset = read_dataset(tmp_path)
    assert len(dataset.records) == 1
    assert {(fault.kind, fault.path.name) for fault in dataset.faults} == {("unpaired", "b.jpg"), ("unpaired", "c.png")}


def refused(root: Path, options: ReadOptions | None = None) -> DecodeError:
    dataset = read_dataset(root, options)
    with pytest.raises(DecodeError) as caught:
        read_edges(dataset, dataset.records[0], SIZE)
    assert survey(dataset).dataset.records == ()
    return caught.value


def test_an_annotators_map_of_another_size(tmp_path: Path) -> None:
    save_image(tmp_path / "images/a.jpg")
    save_mat(tmp_path / "truth/a.mat", [line(2), np.zeros((8, 6), bool)])
    error = refused(tmp_path)
    assert error.kind == "size-mismatch"
    assert "a.mat holds edges drawn on 6x8 pixels, but its image a.jpg is 8x6: draw them on the image" in str(error)
    save_mat(tmp_path / "truth/a.mat", [line(2)])  # the cure
    assert len(only(tmp_path)[1]) == 1


def test_a_picture_of_another_size(tmp_path: Path) -> None:
    save_image(tmp_path / "images/a.jpg")
    save(tmp_path / "edges/a.png", np.zeros((3, 3), np.uint8))
    assert "a.png holds edges drawn on 3x3 pixels" in str(refused(tmp_path))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cannot be read as a MATLAB file (it is empty): copy it again"),
        (b"no MATLAB file at all, whatever its name says" * 9, "its first 128 bytes are no header of one"),
        (b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124, b" ") + b"\x00\x02IM", "version 7.3, which is not read"),
    ],
)
def test_a_damaged_matlab_file(tmp_path: Path, content: bytes, said: str) -> None:
    save_image(tmp_path / "images/a.jpg")
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth/a.mat").write_bytes(content)
    assert said in str(refused(tmp_path, ReadOptions(format="edges")))


@pytest.mark.parametrize("size", [130, 200, 260])
def test_a_matlab_file_cut_off(tmp_path: Path, size: int) -> None:
    save_image(tmp_path / "images/a.jpg")
    save_mat(tmp_path / "truth/a.mat", [line(2), line(3)])
    path = tmp_path / "truth/a.mat"
    assert size < path.stat().st_size
    path.write_bytes(path.read_bytes()[:size])
    assert refused(tmp_path).kind == "unreadable"


def test_a_matlab_file_of_something_else(tmp_path: Path) -> None:
    save_image(tmp_path / "images/a.jpg")
    save_mat(tmp_path / "truth/a.mat", [line(2)], field="Edges")
    assert "holds no cells named groundTruth with a field Boundaries of numbers" in str(refused(tmp_path))
    scipy.io.savemat(tmp_path / "truth/a.mat", {"x": 1})
    assert edges.detect(tmp_path) is None
    with pytest.raises(MaskwrightError, match="but no masks"):
        read_dataset(tmp_path)
    with pytest.raises(DecodeError, match=r"holds no cells named groundTruth .* for each person, but x"):
        only(tmp_path, ReadOptions(format="edges"))


def masks(root: Path) -> Path:
    """Write a mask of three classes with an ignored corner, and objects that touch."""
    labels = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 2, 255]], np.uint8)
    ids = np.array([[1, 2, 0, 0], [1, 2, 0, 0], [0, 0, 0, 0]], np.uint16)
    for place, split in enumerate(("train", "val")):
        save(root / f"images/{split}/{place}.png", np.full((3, 4, 3), 9 + place, np.uint8))
        save(root / f"masks/{split}/{place}.png", labels)
        save(root / f"instances/{split}/{place}.png", ids)
    (root / "classes.txt").write_text("ground\nwater\nroad\n")
    return root


@pytest.mark.parametrize(
    ("between", "expected"),
    [
        ("any", [[1, 1, 0, 0], [1, 1, 1, 9], [0, 0, 0, 9]]),
        ("classes", [[0, 1, 0, 0], [1, 1, 1, 9], [0, 0, 0, 9]]),
        ("objects", [[1, 1, 0, 0], [1, 1, 0, 9], [0, 0, 0, 9]]),
        ("touching", [[1, 0, 0, 0], [1, 0, 0, 9], [0, 0, 0, 9]]),
    ],
)
def test_edges_between_the_regions_of_masks(tmp_path: Path, between: Between, expected: list[list[int]]) -> None:
    dataset = read_dataset(masks(tmp_path), replace(EDGES, between=between))
    assert (dataset.format, dataset.classes.names) == ("folder", ("background", "edge"))
    record = dataset.records[0]
    assert isinstance(record.annotation, MaskEdges)
    labels = read_label(dataset, record, (3, 4))
    expected_labels = np.array(expected, np.uint8)
    expected_labels[1, 3] = 0
    assert np.array_equal(labels, np.where(expected_labels == 9, IGNORE, expected_labels))
    assert not dataset.tells_objects
    assert survey(dataset).dataset.faults == ()


def test_without_the_task_masks_stay_masks(tmp_path: Path) -> None:
    assert read_dataset(masks(tmp_path)).classes.names == ("ground", "water", "road")
    with pytest.raises(MaskwrightError, match="only the task edges finds edges between regions: leave it out"):
        read_dataset(tmp_path, ReadOptions(between="any"))


def test_masks_without_edges_of_a_kind_ask_for_another_kind(tmp_path: Path) -> None:
    masks(tmp_path)
    for file in tmp_path.rglob("instances/*/*.png"):
        save(file, np.array([[1, 0, 0, 0], [0, 0, 2, 0], [0, 0, 0, 0]], np.uint16))
    found = inspect(tmp_path, ReadOptions(between="touching"), task="edges")
    (fault,) = (fault for fault in found.faults if fault.kind == "one-class")
    assert fault.cure == "label a second region, or choose another `read.between` if one is set"


def test_objects_that_nothing_tells_have_no_edges(tmp_path: Path) -> None:
    save(tmp_path / "images/a.png", np.zeros((3, 4, 3), np.uint8))
    save(tmp_path / "masks/a.png", np.array([[0, 0, 1, 1]] * 3, np.uint8))
    with pytest.raises(MaskwrightError, match=r"`read\.between` is touching, but the masks of .* tell no objects"):
        read_dataset(tmp_path, replace(EDGES, between="touching"))


def test_drawn_edges_are_between_nothing(tmp_path: Path) -> None:
    save_image(tmp_path / "images/a.jpg")
    save(tmp_path / "edges/a.png", line(4).astype(np.uint8))
    with pytest.raises(MaskwrightError, match=r"`read\.between` is classes, but its edges are drawn: leave it out"):
        read_dataset(tmp_path, replace(EDGES, between="classes"))
    with pytest.raises(MaskwrightError, match="drawn edges, which have no classes"):
        read_dataset(tmp_path, ReadOptions(ignore=3))


def test_agreement_by_hand() -> None:
    size = (300, 400)  # its diagonal is 500: what is 3 pixels away agrees
    maps = [np.zeros(size, bool) for _ in range(3)]
    maps[0][:, 100] = maps[1][:, 103] = True
    maps[1][:, 200] = True
    found = measured(maps)
    assert (found.people, found.share) == (3, pytest.approx(3 / 400 / 3))
    # Ordered pairs of people: 0-1 all, 0-2 none, 1-0 half, 1-2 none; the third drew nothing to compare.
    assert found.agreement == pytest.approx((1 + 0 + 0.5 + 0) / 4)
    assert measured(maps[2:]).agreement is None


@pytest.mark.skipif(not DATA.is_dir(), reason="the real data beside the checkout is absent")
def test_the_real_edges() -> None:
    found = inspect(DATA / "edges")
    assert (found.format, found.images, found.splits["test"], found.faults) == ("edges", 60, 20, ())
    assert found.edges is not None
    assert (found.edges.people.low, found.edges.people.median, found.edges.people.high) == (4, 5, 8)
    assert 0.015 < found.edges.share < 0.02
    assert found.edges.agreement == pytest.approx(0.794, abs=0.001)


def slow(labels: NDArray[Any], unknown: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find edges with one comparison a neighbour, on a map that is extended by its own border."""
    wide, hidden = np.pad(labels.astype(int), ((0, 1), (0, 1)), mode="edge"), np.pad(unknown, ((0, 1), (0, 1)))
    found = np.zeros(labels.shape, bool)
    height, width = labels.shape
    for down, right in ((0, 1), (1, 0), (1, 1)):
        part = slice(down, down + height), slice(right, right + width)
        inside = np.ones(labels.shape, bool)
        inside[height - down :] = False
        inside[:, width - right :] = False
        found |= (wide[part] != labels) & ~hidden[part] & ~unknown & inside
    return found


@pytest.mark.skipif(not DATA.is_dir(), reason="the real data beside the checkout is absent")
@pytest.mark.parametrize("name", ["camvid", "nuclei", "coco-tiny"])
def test_the_edges_of_real_masks(name: str) -> None:
    plain, derived = read_dataset(DATA / name), read_dataset(DATA / name, EDGES)
    records = {record.id: record for record in plain.records}
    for record in [record for record in derived.records if record.annotation is not None][:4]:
        height, width = read_image(record.image).shape[:2]
        found = read_edges(derived, record, (height, width))
        labels = read_label(plain, records[record.id], (height, width))
        ids = np.zeros((height, width), int)
        objects = [entry for entry in read_objects(plain, records[record.id], (height, width)) if not entry.crowd]
        for number, entry in enumerate(sorted(objects, key=lambda entry: -entry.area), 1):
            ids[entry.rows, entry.columns][entry.mask] = number
        assert found.unknown is not None
        expected = slow(labels, found.unknown | (labels == IGNORE)) | slow(ids, found.unknown)
        assert np.array_equal(found.people[0], expected)
        assert 0 < expected.mean() < 0.3
