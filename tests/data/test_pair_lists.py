"""Lists that name an image and its mask in each line."""

from __future__ import annotations

import pytest
from tests.data.layouts import SIZE, labels, pairs, photo, write

from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_label

# The mask of images/N shows the values 0 and N + 1, and lies under the name of the next image.
NEXT = {"00": "01", "01": "02", "02": "03", "03": "00"}


def crossed(root):
    for number, (image, mask) in enumerate(NEXT.items()):
        photo(root / f"images/{image}.jpg", number)
        write(root / f"masks/{mask}.png", labels([0, number + 1]))
    return root


def shown(dataset):
    """Return the greatest class in the mask of each image."""
    return {record.image.path.stem: int(read_label(dataset, record, SIZE).max()) for record in dataset.records}


LISTS = {
    "PaddleSeg": {
        "train.txt": "images/00.jpg masks/01.png\nimages/01.jpg masks/02.png\n",
        "val.txt": "images/02.jpg masks/03.png\nimages/03.jpg masks/00.png\n",
    },
    "a table": {
        "pairs.csv": "id,image,mask\n"
        + "".join(f"{image},images/{image}.jpg,{mask}.png\n" for image, mask in NEXT.items())
    },
    "paths of another machine, Windows": {
        "all.csv": "mask;image\r\n"
        + "".join(f"D:\\x\\masks\\{mask}.png;D:\\x\\images\\{image}.jpg\r\n" for image, mask in NEXT.items())
    },
}


@pytest.mark.parametrize("case", LISTS)
def test_a_list_that_contradicts_the_names_is_followed_with_a_warning(tmp_path, case):
    crossed(tmp_path)
    assert shown(read_dataset(tmp_path)) == {"00": 4, "01": 1, "02": 2, "03": 3}  # by name, each is another's
    for name, text in LISTS[case].items():
        (tmp_path / name).write_text(text)
    dataset = read_dataset(tmp_path)
    assert shown(dataset) == {"00": 1, "01": 2, "02": 3, "03": 4}
    (warning,) = [fault for fault in dataset.faults if fault.severity == "warning"]
    names = " and ".join(LISTS[case])
    verb = "pair" if len(LISTS[case]) > 1 else "pairs"
    assert warning.message == (
        f"{names} {verb} 4 images with another mask than their names would, such as images/00.jpg with masks/01.png"
    )
    for name in LISTS[case]:  # the cure
        (tmp_path / name).unlink()
    assert shown(read_dataset(tmp_path))["00"] == 4


def test_a_list_pairs_names_that_have_nothing_in_common(tmp_path):
    for number, name in enumerate("abcd"):
        photo(tmp_path / f"images/{name}.jpg", number)
        write(tmp_path / f"masks/{9 - number}.png", labels([0, number + 1]))
    rows = [f"images/{name}.jpg,masks/{9 - number}.png\n" for number, name in enumerate("abcd")]
    (tmp_path / "train.csv").write_text("image,mask\n" + "".join(rows))
    dataset = read_dataset(tmp_path)
    assert shown(dataset) == {"a": 1, "b": 2, "c": 3, "d": 4}
    (fault,) = dataset.faults
    assert (fault.kind, fault.severity) == ("pair-list", "note")


def test_images_that_the_list_lacks_are_not_used(tmp_path):
    crossed(tmp_path)
    (tmp_path / "pairs.csv").write_text("images/00.jpg,masks/01.png\nimages/02.jpg,masks/03.png\n")
    dataset = read_dataset(tmp_path)
    assert shown(dataset) == {"00": 1, "02": 2}  # the second and third of the classes 0, 1 and 3
    assert dataset.faults[-1].message == (
        "2 images with a mask, such as images/01.jpg, are not in pairs.csv, and are not used"
    )


@pytest.mark.parametrize(
    "text",
    [
        "images/00.jpg,masks/00.png\nimages/01.jpg,masks/01.png\n",  # as the names do
        "images/00.jpg,masks/01.png\nimages/00.jpg,masks/02.png\n",  # parts of one mask, or a doubt
        "images/00.jpg,images/01.jpg\nimages/01.jpg,images/02.jpg\n",  # two images, such as a stereo pair
        "images/00.jpg,masks/01.png\na,b\nc,d\ne,f\n",
        "image,mask\n",
        "",
    ],
)
def test_other_lists_change_nothing(tmp_path, text):
    pairs(tmp_path, [0, 1], count=3)
    (tmp_path / "list.csv").write_text(text)
    dataset = read_dataset(tmp_path)
    assert {record.image.path.stem: record.annotation.path.stem for record in dataset.records} == {
        name: name for name in ("00", "01", "02")
    }
    assert dataset.faults == ()


def test_a_long_field_is_no_list(tmp_path):
    pairs(tmp_path, [0, 1], count=3)
    (tmp_path / "list.csv").write_text(f"images/00.jpg,masks/01.png\n{'1 ' * 100_000},3\n")
    assert read_dataset(tmp_path).faults == ()
