"""A task is refused, by inspect as by plan, where the annotations tell nothing of what it learns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.data.layouts import photo, write

import maskwright as mw
from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from pathlib import Path


def masks(root: Path, *values: int) -> Path:
    mask = np.resize(np.array(values, np.uint8), (1, 48)).repeat(32, axis=0)
    for number in range(6):
        photo(root / "images" / f"{number}.png", number, mask.shape)
        write(root / "masks" / f"{number}.png", mask)
    return root


@pytest.mark.parametrize("values", [(0, 255), (0, 1, 2)])
@pytest.mark.parametrize("task", ["instance", "panoptic"])
def test_masks_of_classes_are_no_objects(tmp_path, values, task):
    masks(tmp_path, *values)
    for refused in (mw.inspect, mw.plan):
        with pytest.raises(MaskwrightError, match="gives the class of each pixel, but no objects"):
            refused(tmp_path, task=task)
    assert mw.inspect(tmp_path, task="semantic").trainable


def test_outlines_outside_of_all_images_are_the_reason_given(tmp_path):
    images, objects = [], []
    for number in range(1, 7):
        photo(tmp_path / f"{number}.png", number, (32, 48))
        images.append({"id": number, "file_name": f"{number}.png", "width": 48, "height": 32})
        outline = [[200.0, 4.0, 220.0, 4.0, 220.0, 24.0, 200.0, 24.0]]
        objects.append({"id": number, "image_id": number, "category_id": 1, "segmentation": outline})
    content = {"images": images, "categories": [{"id": 1, "name": "cell"}], "annotations": objects}
    (tmp_path / "instances.json").write_text(json.dumps(content))
    assert not mw.inspect(tmp_path, task="instance").trainable
    words = "no image with a usable annotation is left.*first fault: .*the outlines of 6 of 6 images lie far outside"
    with pytest.raises(MaskwrightError, match=words):
        mw.plan(tmp_path, task="instance")


def test_the_cure_for_masks_without_objects_works(tmp_path):
    masks(tmp_path, 0, 255)
    (tmp_path / "masks").rename(tmp_path / "instances")
    found = mw.inspect(tmp_path, task="instance")
    assert found.trainable
    assert found.objects.objects == 6 * 24
