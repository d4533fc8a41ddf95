"""Several mask files an image: do their names tell classes, or do they count objects?"""

from __future__ import annotations

import numpy as np
import pytest
from tests.data.layouts import SIZE, photo, write

from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_label

FOLDER_AN_IMAGE = ("{i}x/images/{i}x.png", "{i}x/masks/{n}.png")
FOLDER_A_CLASS = ("images/{i}x.png", "masks/{n}/{i}x.png")
END_OF_NAME = ("images/{i}x.png", "masks/{i}x_{n}.png")


def build(root, way, names):
    """Write an image for each list of names, with a mask of two pixels for each name."""
    for number, own in enumerate(names):
        photo(root / way[0].format(i=number), number)
        for place, name in enumerate(own):
            mask = np.zeros(SIZE, np.uint8)
            mask[place, :2] = 255
            write(root / way[1].format(i=number, n=name), mask)
    return root


def read(root):
    """Return the names of the classes, the pixels of each, and the kinds and words of the faults about names."""
    dataset = read_dataset(root)
    assert dataset.format == "layers"
    labels = np.stack([read_label(dataset, record, SIZE) for record in dataset.records])
    said = [fault for fault in dataset.faults if fault.kind == "objects-or-classes"]
    assert all(fault.severity == "warning" for fault in said)
    return dataset.classes.names[1:], np.bincount(labels.ravel()).tolist()[1:], said


def first_ones(*names):
    return [names[: 1 + number % len(names)] for number in range(6)]


COUNTED = [("1", "2", "3"), ("01", "02", "10"), ("1a", "2a", "3a"), ("a", "b", "c"), ("cell_a", "cell_b", "cell_c")]
COUNTED += [("object-1", "object-2", "object-3"), ("i", "ii", "iii"), ("1-a", "1-b", "2-a")]


@pytest.mark.parametrize("names", COUNTED)
def test_names_that_count_tell_objects(tmp_path, names):
    assert read(build(tmp_path, FOLDER_AN_IMAGE, first_ones(*names))) == (("object",), [2 * 12], [])


@pytest.mark.parametrize("names", [("1", "2"), ("a", "b"), ("1a", "2a"), ("cell_1", "cell_2")])
def test_the_same_count_in_every_image_may_tell_classes_and_the_cure_works(tmp_path, names):
    classes, pixels, (fault,) = read(build(tmp_path, FOLDER_AN_IMAGE, [names] * 3))
    assert (classes, pixels) == (("object",), [12])
    assert f"the names '{names[0]}' and '{names[1]}' only count, so each file is read as one object" in fault.message
    for path in list(tmp_path.glob("*/masks/*.png")):
        path.rename(path.with_stem("nut" if path.stem == names[0] else "bolt"))
    assert read(tmp_path) == (("bolt", "nut"), [6, 6], [])


@pytest.mark.parametrize("way", [FOLDER_A_CLASS, END_OF_NAME])
def test_folders_and_ends_of_names_that_count_are_read_as_classes_with_a_warning(tmp_path, way):
    classes, pixels, (fault,) = read(build(tmp_path / "data", way, [("a", "b")] * 3))
    assert (classes, pixels) == (("a", "b"), [6, 6])
    assert "the names 'a' and 'b' only count, and are read as those of classes" in fault.message
    objects = build(tmp_path / "objects", FOLDER_AN_IMAGE, [("1", "2"), ("1",), ("1", "2")])  # the cure
    assert read(objects) == (("object",), [10], [])


def test_folders_that_count_the_objects_of_each_image_tell_objects(tmp_path):
    assert read(build(tmp_path, FOLDER_A_CLASS, first_ones("obj1", "obj2", "obj3"))) == (("object",), [24], [])


@pytest.mark.parametrize(
    ("way", "names"), [(FOLDER_A_CLASS, ("1", "2")), (FOLDER_A_CLASS, ("a", "b")), (END_OF_NAME, ("a", "b"))]
)
def test_a_class_that_some_images_lack_may_look_like_a_count_and_the_cure_works(tmp_path, way, names):
    classes, pixels, (fault,) = read(build(tmp_path / "data", way, first_ones(*names)))
    assert (classes, pixels) == (("object",), [18])
    assert f"the names '{names[0]}' and '{names[1]}' only count" in fault.message
    assert "words for names, such as nut and bolt" in fault.cure
    cured = read(build(tmp_path / "cured", way, first_ones("nut", "bolt")))
    assert cured == (("bolt", "nut"), [6, 12], [])


@pytest.mark.parametrize("way", [FOLDER_AN_IMAGE, FOLDER_A_CLASS])
def test_numbered_classes_are_classes(tmp_path, way):
    assert read(build(tmp_path, way, [("class_1", "class_2")] * 3)) == (("class_1", "class_2"), [6, 6], [])


def test_letters_that_do_not_count_tell_classes(tmp_path):
    assert read(build(tmp_path, FOLDER_AN_IMAGE, [("N", "C")] * 3)) == (("C", "N"), [6, 6], [])


@pytest.mark.parametrize("names", [[("nut", "bolt")], [("nut", "bolt"), ("washer", "gear")]])
def test_words_that_are_not_repeated_tell_classes_with_a_warning_and_the_cure_works(tmp_path, names):
    classes, pixels, (fault,) = read(build(tmp_path, FOLDER_AN_IMAGE, names))
    assert classes == tuple(sorted(name for own in names for name in own))
    assert sum(pixels) == 4 * len(names)
    assert "each is read as a class" in fault.message
    for folder in tmp_path.glob("*/masks"):
        for number, path in enumerate(sorted(folder.iterdir())):
            path.rename(path.with_stem(str(number)))
    assert read(tmp_path)[:2] == (("object",), [4 * len(names)])


def test_objects_with_words_for_classes_in_their_names_are_one_class_with_a_warning(tmp_path):
    names = [("nut_1", "nut_2", "bolt_1")] * 3
    classes, pixels, (fault,) = read(build(tmp_path, FOLDER_AN_IMAGE, names))
    assert (classes, pixels) == (("object",), [18])
    assert "begin with 'bolt' and 'nut', but all are read as objects of one class" in fault.message
    assert fault.cure.endswith("(bolt.png, nut.png)")
    assert read(build(tmp_path / "cured", FOLDER_AN_IMAGE, [("nut", "bolt")] * 3))[0] == ("bolt", "nut")


def test_names_of_one_image_each_tell_objects(tmp_path):
    names = [(f"{number}b61{number}", f"7{number}d3", f"f{number}x_nucleus_1") for number in range(3)]
    assert read(build(tmp_path, FOLDER_AN_IMAGE, names)) == (("object",), [18], [])


def test_numbers_in_some_names_of_folders_tell_nothing(tmp_path):
    names = ("m8", "nut", "stage2")
    assert read(build(tmp_path, FOLDER_A_CLASS, [names, names, names[:2]])) == (names, [6, 6, 4], [])


@pytest.mark.parametrize("extra", ["both", "first"])
def test_a_file_that_repeats_other_objects_is_reported_and_the_cure_works(tmp_path, extra):
    build(tmp_path, FOLDER_AN_IMAGE, [(f"{number}b61", f"{number}c7f") for number in range(3)])
    masks = np.zeros(SIZE, np.uint8)
    masks[: 2 if extra == "both" else 1, :2] = 255
    write(tmp_path / "1x/masks/extra.png", masks)
    (fault,) = read_dataset(tmp_path).faults
    assert (fault.kind, fault.severity) == ("overlap", "warning")
    assert fault.message.startswith("in 1 of 3 images looked at, 1x.png, a file shows what others show as well")
    (tmp_path / "1x/masks/extra.png").unlink()
    assert read_dataset(tmp_path).faults == ()


def test_an_object_inside_another_repeats_nothing(tmp_path):
    build(tmp_path, FOLDER_AN_IMAGE, [(f"{number}b61", f"{number}c7f") for number in range(3)])
    for number in range(3):
        mask = np.zeros(SIZE, np.uint8)
        mask[:2, :4] = 255  # twice as large as both others
        write(tmp_path / f"{number}x/masks/{number}d9a.png", mask)
    assert read_dataset(tmp_path).faults == ()
