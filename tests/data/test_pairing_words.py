"""Words and sizes in the names of masks and of folders that an image does not share with its mask."""

from __future__ import annotations

import numpy as np
import pytest
from tests.data.layouts import SIZE, labels, photo, write

from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_pair

MASKS = [labels([0, 1]), labels([0, 2]), labels([2, 0, 1])]


def save(root, image, mask):
    """Write three images and masks; in their names, `{}` is the number."""
    for number, shown in enumerate(MASKS):
        photo(root / image.format(number), number)
        write(root / mask.format(number), shown)
    return root


def require_pairs(root, image):
    dataset = read_dataset(root)
    assert [record.id for record in dataset.records] == [image.format(number) for number in range(3)]
    for record, shown in zip(dataset.records, MASKS, strict=True):
        np.testing.assert_array_equal(read_pair(dataset, record)[1], shown)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/P{}.png", "labels/P{}_instance_color_RGB.png"),  # iSAID
        ("images/im{}.jpg", "labels/im{}.ah.png"),  # STARE
        ("images/7_{}.jpg", "masks/7_{} vessel-left.png"),
        ("images/{}_cell.jpg", "masks/{}_cell_trimap.png"),  # the image has a word of the shared end
        ("images/case {}.jpg", "masks/lesion_case {}.png"),
        ("images/train/Case_{}.JPG", "masks/train/case_{}_lesion.png"),
    ],
)
def test_words_that_all_masks_share_are_no_part_of_the_name_of_the_image(tmp_path, image, mask):
    require_pairs(save(tmp_path, image, mask), image)


@pytest.mark.parametrize(
    "mask",
    [
        "masks/{}_1.png",  # a number may be part of the name of another image
        "masks/{}vessel.png",
        "masks/other_{}_vessel.png",
    ],
)
def test_what_may_be_the_name_of_another_image_pairs_nothing(tmp_path, mask):
    with pytest.raises(MaskwrightError, match="no image and mask have the same name"):
        read_dataset(save(tmp_path, "images/{}.jpg", mask))


def test_an_end_that_one_mask_lacks_pairs_nothing(tmp_path):
    save(tmp_path, "images/{}.jpg", "masks/{}_vessel.png")
    (tmp_path / "masks/2_vessel.png").rename(tmp_path / "masks/2_lesion.png")
    with pytest.raises(MaskwrightError, match="no image and mask have the same name"):
        read_dataset(tmp_path)


def test_a_mask_with_the_name_of_its_image_counts_before_shared_words(tmp_path):
    save(tmp_path, "images/{}_vessel.jpg", "masks/{}_vessel.png")
    for number in range(3):
        photo(tmp_path / f"images/{number}.jpg", 9 + number)
    dataset = read_dataset(tmp_path)
    assert [record.id for record in dataset.records] == [f"images/{number}_vessel.jpg" for number in range(3)]


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("images_512", "masks_512"),
        ("train_images_256x256", "train-masks-256x256"),
        ("images1024px", "masks1024px"),
        ("images", "labels_512"),
        ("images_512x512", "masks_512"),
    ],
)
def test_the_size_in_the_name_of_a_folder(tmp_path, images, masks):
    image = images + "/{}.jpg"
    require_pairs(save(tmp_path, image, masks + "/{}.png"), image)


def test_images_of_two_sizes_have_the_masks_of_theirs(tmp_path):
    save(tmp_path, "images_128/{}.jpg", "masks_128/{}.png")
    for number, shown in enumerate(MASKS):
        photo(tmp_path / f"images_256/{number}.jpg", number, (2 * SIZE[0], 2 * SIZE[1]))
        write(tmp_path / f"masks_256/{number}.png", shown.repeat(2, 0).repeat(2, 1))
    dataset = read_dataset(tmp_path)
    assert [read_pair(dataset, record)[1].shape[0] // SIZE[0] for record in dataset.records] == [1, 1, 1, 2, 2, 2]
