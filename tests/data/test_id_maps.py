"""Maps of object ids that break the rules: the background has an id, ids repeat, a map is binary."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from tests.data.layouts import photo, write

from maskwright.core.errors import MaskwrightError
from maskwright.core.read_options import ReadOptions
from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_label, read_objects
from maskwright.workflows.inspect import inspect

SIZE = (40, 60)
AREAS = [100, 150, 80, 192]


def ids_of(number: int) -> np.ndarray:
    """Four objects, of which the last two touch; each map has them at another place."""
    ids = np.zeros(SIZE, np.int32)
    ids[2 + number : 12 + number, 3:13] = 1
    ids[2 + number : 12 + number, 20:35] = 2
    ids[20 + number : 28 + number, 5:15] = 3
    ids[20 + number : 28 + number, 15:39] = 4
    return ids


def tree(root, change, folder="instances", suffix=".png", maps=6):
    for number in range(maps):
        photo(root / "images" / f"i{number}.png", number, SIZE)
        write(root / folder / f"i{number}{suffix}", change(ids_of(number), number))
    return root


def areas(dataset, place=0):
    found = read_objects(dataset, dataset.records[place], SIZE)
    return [entry.area for entry in found]


def faults(found):
    return [(fault.kind, fault.severity) for fault in found.faults]


COLORS = np.array([[255, 255, 255], [90, 1, 2], [0, 200, 3], [50, 60, 200], [0, 9, 99]], np.uint8)
GROUNDS = {
    "1": (1, ".png", lambda ids, _: (ids + 1).astype(np.uint8)),
    "255": (255, ".png", lambda ids, _: np.where(ids > 0, ids, 255).astype(np.uint8)),
    "65535": (65535, ".png", lambda ids, _: np.where(ids > 0, ids, 65535).astype(np.uint16)),
    "-1": (-1, ".tif", lambda ids, _: np.where(ids > 0, ids, -1).astype(np.int32)),
    "red": (255, ".png", lambda ids, _: np.where(ids[..., None] > 0, COLORS[ids], np.uint8([255, 0, 0]))),
    "white": (0xFFFFFF, ".png", lambda ids, _: COLORS[ids]),
}


@pytest.mark.parametrize("name", GROUNDS)
@pytest.mark.parametrize("with_classes", [False, True])
def test_an_id_that_surrounds_all_objects_is_the_background(tmp_path, name, with_classes):
    ground, suffix, change = GROUNDS[name]
    tree(tmp_path, change, suffix=suffix)
    if with_classes:
        tree(tmp_path, lambda ids, _: (ids > 0).astype(np.uint8) * 255, "masks")
    dataset = read_dataset(tmp_path)
    first = areas(dataset)
    assert sorted(first)[:4] == sorted(AREAS)
    if with_classes:
        return
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity) == ("background-id", "warning")
    assert f"the id {ground} fills what lies around the objects in 6 of 6 maps" in fault.message
    assert len(first) == 4
    assert np.count_nonzero(read_label(dataset, dataset.records[0], SIZE)) == sum(first)


PALETTE = [90, 1, 2, 0, 200, 3, 0, 0, 0, 50, 60, 200, 0, 9, 99]  # black, the background, is index 2


def quantized(path, ids, palette):
    path.parent.mkdir(exist_ok=True)
    picture = Image.fromarray(ids.astype(np.uint8)).convert("L")
    picture.putpalette(palette)
    picture.save(path)


def test_a_palette_without_black_at_index_0_is_read_by_colour(tmp_path):
    order = np.array([2, 0, 1, 3, 4])
    for number in range(6):
        photo(tmp_path / "images" / f"i{number}.png", number, SIZE)
        quantized(tmp_path / "instances" / f"i{number}.png", order[ids_of(number)], PALETTE)
    dataset = read_dataset(tmp_path)
    assert dataset.faults == ()
    for place in range(6):
        assert sorted(areas(dataset, place)) == sorted(AREAS)
    assert np.array_equal(read_label(dataset, dataset.records[2], SIZE), ids_of(2) > 0)


@pytest.mark.parametrize(
    "palette",
    [
        [0, 0, 0, *PALETTE[:6], *PALETTE[9:]],  # black at 0
        [255, 255, 255, *PALETTE[:6], *PALETTE[9:]],  # no black
        [255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],  # all objects black
    ],
)
def test_every_other_palette_is_read_by_index(tmp_path, palette):
    for number in range(6):
        photo(tmp_path / "images" / f"i{number}.png", number, SIZE)
        quantized(tmp_path / "instances" / f"i{number}.png", ids_of(number), palette)
    dataset = read_dataset(tmp_path)
    assert dataset.faults == ()
    assert areas(dataset) == AREAS


def framed(ids, _):
    """Ids as cv2.watershed writes them: 1 around the objects, which begin with 2, and -1 on lines and the frame."""
    ids = ids + 1
    ids[[0, -1]] = ids[:, [0, -1]] = -1
    ids[20:31, 14:16][ids[20:31, 14:16] > 1] = -1
    return ids


def side(ids, _):
    ids = ids + 1
    ids[:, -1] = -1
    return ids


@pytest.mark.parametrize("change", [framed, side])
@pytest.mark.parametrize("with_classes", [False, True])
def test_lines_of_minus_one_and_the_id_between_them_are_the_background(tmp_path, change, with_classes):
    tree(tmp_path, change, suffix=".tif")
    if with_classes:
        tree(tmp_path, lambda ids, _: (ids > 0).astype(np.uint8) * 255, "masks")
    dataset = read_dataset(tmp_path)
    objects = [int((change(ids_of(0), 0) == key).sum()) for key in (2, 3, 4, 5)]
    assert areas(dataset) == objects
    if with_classes:
        return
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity) == ("background-id", "warning")
    assert "the id -1 lies on lines, and the id 1 fills most of the rest in 6 of 6 maps" in fault.message
    assert np.count_nonzero(read_label(dataset, dataset.records[0], SIZE)) == sum(objects)
    tree(tmp_path, lambda ids, n: np.maximum(change(ids, n), 1) * (change(ids, n) > 1), suffix=".tif")
    cured = read_dataset(tmp_path)
    assert (cured.faults, areas(cured)) == ((), objects)


def test_minus_one_between_objects_of_one_size_is_the_whole_background(tmp_path):
    def change(_, number):
        ids = np.arange(1, 5).reshape(2, 2).repeat(20, axis=0).repeat(30, axis=1)
        ids[19 + number % 2] = ids[:, 29] = -1
        return ids.astype(np.int32)

    dataset = read_dataset(tree(tmp_path, change, suffix=".tif"))
    assert len(areas(dataset)) == 4
    assert "the id -1 fills what lies around the objects in 6 of 6 maps" in dataset.faults[0].message


def edged(ids, _):
    ids = ids + 1
    ids[0, ::2] = 0
    return ids.astype(np.uint8)


def test_an_id_that_surrounds_the_others_beside_0_is_reported_with_a_cure_that_works(tmp_path):
    dataset = read_dataset(tree(tmp_path, edged))
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity) == ("background-id", "warning")
    assert fault.cure == "if it is the background, use `read.map` 1=0"
    assert areas(dataset)[1:] == AREAS
    cured = read_dataset(tmp_path, ReadOptions(map={1: 0}))
    assert cured.faults == ()
    assert areas(cured) == AREAS
    with pytest.raises(MaskwrightError, match=r"cannot be mapped to classes.*ID=0"):
        read_dataset(tmp_path, ReadOptions(map={1: 2}))


def test_a_few_pixels_of_minus_one_do_not_make_the_background_an_object(tmp_path):
    """The other maps are read as without them, and the map that holds them is refused by name."""

    def change(ids, number):
        ids = (ids + 1).astype(np.int32)
        if number == 2:
            ids[0, 0] = -1
        return ids

    dataset = read_dataset(tree(tmp_path, change, suffix=".tif"))
    assert areas(dataset) == AREAS
    with pytest.raises(MaskwrightError, match="-1"):
        areas(dataset, 2)


def large(ids, _):
    ids = ids.copy()
    ids[:, 59] = 9
    return ids.astype(np.uint16)


@pytest.mark.parametrize("change", [lambda ids, _: ids.astype(np.uint16), large])
def test_objects_that_only_touch_the_border_are_no_background(tmp_path, change):
    assert read_dataset(tree(tmp_path, change)).faults == ()


def test_negative_ids_beside_0_are_refused_with_cures_that_work(tmp_path):
    def change(ids, _):
        ids[0] = -7
        return ids

    tree(tmp_path, change, suffix=".tif")
    found = inspect(tmp_path)
    assert found.obstacle is not None
    cure = next(fault.cure for fault in found.faults if fault.kind == "unknown-label")
    assert cure == "use `read.map` -7=ignore, or `read.map` -7=0 if it is the background"
    for target, ignored in (("ignore", 60), (0, 0)):
        dataset = read_dataset(tmp_path, ReadOptions(map={-7: target}))
        assert areas(dataset) == AREAS
        assert np.count_nonzero(read_label(dataset, dataset.records[0], SIZE) == 255) == ignored


@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_minus_one_beside_0_is_ignored_with_a_note(tmp_path, suffix):
    def change(ids, number):
        ids[0, : 30 * (number % 2)] = -1
        return ids.astype(np.int16)

    dataset = read_dataset(tree(tmp_path, change, suffix=suffix))
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity) == ("no-data", "note")
    assert fault.message == "0.6% of the pixels of the masks hold -1, and are ignored"
    assert fault.cure == "nothing needs to be done; to read them as 0, use `read.map` -1=0"
    assert [areas(dataset, place) for place in range(6)] == [AREAS] * 6
    assert np.count_nonzero(read_label(dataset, dataset.records[1], SIZE) == 255) == 30
    cured = read_dataset(tmp_path, ReadOptions(map={-1: 0}))
    assert cured.faults == ()
    assert not np.any(read_label(cured, cured.records[1], SIZE) == 255)


def test_a_binary_mask_among_maps_of_ids_is_left_out(tmp_path):
    tree(tmp_path, lambda ids, number: (ids if number else (ids > 0) * 255).astype(np.uint8))
    found = inspect(tmp_path)
    (fault,) = found.faults
    assert (fault.kind, fault.severity, fault.path.name) == ("other-convention", "error", "i0.png")
    assert "holds one value, 255, for 3 separate regions, but other maps hold ids" in fault.message
    assert found.images == 5
    assert found.objects.objects == 20
    write(tmp_path / "instances" / "i0.png", ids_of(0).astype(np.uint8))
    assert inspect(tmp_path).faults == ()


def test_ids_that_repeat_in_most_objects_may_be_classes(tmp_path):
    found = inspect(tree(tmp_path, lambda ids, _: np.array([0, 1, 2, 1, 2], np.uint8)[ids]))
    (fault,) = found.faults
    assert (fault.kind, fault.severity) == ("parted-object", "warning")
    assert fault.message == (
        "12 of 12 objects have one id in several parts, in 6 files such as i3.png, as classes do"
    ).replace("i3.png", fault.path.name)
    (tmp_path / "instances").rename(tmp_path / "masks")
    assert read_dataset(tmp_path).classes.names == ("class-0", "class-1", "class-2")


@pytest.mark.parametrize(("objects", "full"), [(249, False), (255, True), (256, True), (300, True)])
def test_a_map_of_8_bits_that_is_full_is_reported(tmp_path, objects, full):
    ids = np.zeros((60, 80), np.int32)
    places = [(row, column) for row in range(1, 60, 3) for column in range(1, 80, 3)]
    for number, (row, column) in enumerate(places[:objects], start=1):
        ids[row : row + 2, column : column + 2] = number
    for number in range(4):
        photo(tmp_path / "images" / f"i{number}.png", number, ids.shape)
        write(tmp_path / "instances" / f"i{number}.png", ids.astype(np.uint8))
    found = faults(inspect(tmp_path))
    assert (("full-map", "warning") in found) == full
    for number in range(4):
        write(tmp_path / "instances" / f"i{number}.png", ids.astype(np.uint16))
    assert (inspect(tmp_path).faults == ()) == (objects != 255)


def spread_ids(count, dtype):
    """Return ids from 1 to `count` with gaps, ten objects in each map."""

    def change(_ids, number):
        places = np.zeros(SIZE, np.int32)
        for place in range(10):
            row, column = divmod(place, 5)
            places[3 + 18 * row : 12 + 18 * row, 2 + 11 * column : 9 + 11 * column] = place + 1
        chosen = np.sort(np.random.default_rng(number).choice(np.arange(1, count + 1), 10, replace=False))
        return np.concatenate([[0], chosen]).astype(dtype)[places]

    return change


def test_ids_with_gaps_in_a_folder_of_masks_are_objects(tmp_path):
    dataset = read_dataset(tree(tmp_path, spread_ids(160, np.uint16), "masks", maps=20))
    assert dataset.classes.names == ("background", "object")
    assert [areas(dataset, place) for place in range(3)] == [[63] * 10] * 3
    (fault,) = dataset.faults
    assert (fault.kind, fault.message.endswith("read as ids of objects")) == ("ids-or-classes", True)
    (tmp_path / "masks").rename(tmp_path / "instances")
    assert read_dataset(tmp_path).faults == ()


def test_ids_of_8_bits_in_a_folder_of_masks_are_doubted_and_the_cures_work(tmp_path):
    root = tree(tmp_path / "a", spread_ids(20, np.uint8), "masks", maps=12)
    dataset = read_dataset(root)
    (fault,) = [fault for fault in dataset.faults if fault.kind == "ids-or-classes"]
    assert fault.severity == "warning"
    (root / "masks").rename(root / "instances")
    assert read_dataset(root).classes.names == ("background", "object")
    (root / "instances").rename(root / "masks")
    (root / "classes.txt").write_text("".join(f"{number},name-{number}\n" for number in range(21)))
    assert read_dataset(root).faults == ()


def few(ids, first):
    """Return the first three objects, with ids that count from `first`."""
    return np.where((ids > 0) & (ids < 4), ids - 1 + first, 0).astype(np.uint8)


@pytest.mark.parametrize("step", [1, 3])
def test_few_ids_that_run_on_from_map_to_map_are_doubted_and_the_cures_work(tmp_path, step):
    root = tree(tmp_path, lambda ids, number: few(ids, 1 + step * number), "masks")
    dataset = read_dataset(root)
    assert faults(dataset) == [("ids-or-classes", "warning")]
    (root / "classes.txt").write_text("".join(f"{index},name-{index}\n" for index in range(len(dataset.classes.names))))
    assert read_dataset(root).faults == ()
    (root / "classes.txt").unlink()
    (root / "masks").rename(root / "instances")
    assert read_dataset(root).faults == ()
    assert areas(read_dataset(root)) == AREAS[:3]


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        (lambda ids, number: few(ids, 1 + 3 * (number % 3)), ["separate-classes"]),  # the same values in a third
        (lambda ids, number: few(ids, 1 + number) * np.uint8(2), []),  # gaps
        (lambda ids, number: np.where(ids == 3, 0, few(ids, 1 + number)) * (ids != 2), []),  # one value in each mask
    ],
)
def test_few_values_that_do_not_run_on_are_classes(tmp_path, change, kinds):
    assert [fault.kind for fault in read_dataset(tree(tmp_path, change, "masks", maps=9)).faults] == kinds


def test_classes_of_several_regions_are_no_ids(tmp_path):
    def change(ids, number):
        classes = spread_ids(20, np.uint8)(ids, number)
        classes[38:, ::2] = classes[classes > 0].min()
        classes[:2, ::3] = classes.max()
        return classes

    faults_of = read_dataset(tree(tmp_path, change, "masks", maps=12)).faults
    assert "ids-or-classes" not in [fault.kind for fault in faults_of]


def test_maps_without_any_object_ask_for_objects(tmp_path):
    found = inspect(tree(tmp_path, lambda ids, _: np.zeros_like(ids, np.uint16)))
    (fault,) = [fault for fault in found.faults if fault.kind == "one-class"]
    assert fault.cure.startswith("label some objects, as no mask shows one, and check")


@pytest.mark.parametrize(
    ("change", "left_out"),
    [
        (lambda ids, number: (ids + number % 3 // 2).astype(np.uint8), 2),  # 1 is the background of some maps only
        (lambda ids, number: np.where(ids > 0, ids, 5 + number).astype(np.uint8), 6),  # each has another one
    ],
)
def test_maps_that_disagree_on_the_background_are_left_out(tmp_path, change, left_out):
    found = inspect(tree(tmp_path, change))
    said = [fault for fault in found.faults if fault.kind == "other-convention"]
    assert (len(said), found.images) == (left_out, 6 - left_out)
    assert "surrounds the others, as a background does" in said[0].message
    assert not any(fault.kind == "background-id" for fault in found.faults)


def test_maps_without_any_background_are_objects(tmp_path):
    def change(_ids, _number):
        rows, columns = np.indices(SIZE)
        return (1 + rows // 10 * 6 + columns // 10).astype(np.uint8)

    dataset = read_dataset(tree(tmp_path, change))
    assert (dataset.faults, areas(dataset)) == ((), [100] * 24)


def test_one_id_for_several_regions_beside_maps_of_ids(tmp_path):
    found = inspect(tree(tmp_path, lambda ids, number: (ids if number > 1 else ids > 0).astype(np.uint8)))
    (fault,) = [fault for fault in found.faults if fault.severity == "warning"]
    assert (fault.kind, fault.path.name in {"i0.png", "i1.png"}) == ("one-id", True)
    assert fault.message.startswith("2 maps hold one id for several regions, in 2 files such as i")


def strip(ids, _):
    ids = ids.astype(np.uint16)
    ids[36:] = 65535
    return ids


def test_an_id_of_65535_in_many_maps_may_be_ignored_and_the_cure_works(tmp_path):
    (fault,) = read_dataset(tree(tmp_path, strip)).faults
    assert (fault.kind, fault.severity) == ("white-id", "warning")
    assert fault.cure == "if it means that, use `read.ignore` 65535"
    cured = read_dataset(tmp_path, ReadOptions(ignore=65535))
    assert (cured.faults, areas(cured)) == ((), AREAS)
    assert np.count_nonzero(read_label(cured, cured.records[0], SIZE) == 255) == 4 * 60


CODED = np.array([0, 1000, 1001, 2000, 3007])


def test_ids_that_tell_classes_too_are_reported_and_the_cure_works(tmp_path):
    dataset = read_dataset(tree(tmp_path, lambda ids, _: CODED[ids].astype(np.uint16)))
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity) == ("coded-ids", "warning")
    assert "such as 1000 and 3007, look like class * 1000 + number (3 classes), but all are read as" in fault.message
    dataset = read_dataset(tree(tmp_path, lambda ids, _: (CODED[ids] // 1000).astype(np.uint8), "masks"))
    assert dataset.faults == ()
    assert {entry.index for entry in read_objects(dataset, dataset.records[0], SIZE)} == {1, 2, 3}


@pytest.mark.parametrize("ids", [[0, 1000, 1001, 1002, 1003], [0, 1000, 2500, 1002, 3001], [0, 1, 2, 3, 1001]])
def test_large_ids_need_not_tell_classes(tmp_path, ids):
    assert read_dataset(tree(tmp_path, lambda found, _: np.array(ids)[found].astype(np.uint16))).faults == ()
