"""Maps of objects that contradict the masks of classes beside them, or that show no object at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.data.layouts import photo, write

import maskwright
from maskwright.core.errors import MaskwrightError
from maskwright.data.fingerprint import fingerprint
from maskwright.data.formats import read_dataset
from maskwright.data.survey import survey
from maskwright.workflows.inspect import inspect

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.records import Fault

SIZE = (24, 32)
IDS = np.zeros(SIZE, np.uint8)
IDS[2:10, 2:12], IDS[12:20, 4:14], IDS[4:12, 18:28] = 1, 2, 3
CLASSES = np.array([0, 1, 1, 2], np.uint8)[IDS]
CLASSES[22:] = 3  # a floor, which has no objects


def tree(root: Path, odd: np.ndarray) -> Path:
    for number in range(6):
        photo(root / "images" / f"{number}.jpg", number, SIZE)
        write(root / "masks" / f"{number}.png", CLASSES)
        write(root / "instances" / f"{number}.png", odd if number == 3 else IDS)
    (root / "classes.txt").write_text("background\nnut\nbolt\nfloor\n")
    return root


def faults(root: Path) -> list[Fault]:
    dataset = read_dataset(root)
    return [fault for fault in fingerprint(survey(dataset), dataset).faults if fault.kind == "object-map"]


def test_maps_that_fit(tmp_path):
    missing_one = np.where(IDS == 3, 0, IDS).astype(np.uint8)
    assert faults(tree(tmp_path, missing_one)) == []


def test_a_map_without_the_objects_that_the_classes_show(tmp_path):
    (fault,) = faults(tree(tmp_path, np.zeros_like(IDS)))
    assert (fault.severity, fault.path.name) == ("warning", "3.png")
    assert "1 map of objects leaves out most of what the masks of classes show, 3.png, where 100%" in fault.message
    assert "of 240 pixels of classes with objects lie in none" in fault.message
    assert "an id for each object" in fault.cure


def test_an_object_where_the_classes_show_background(tmp_path):
    (fault,) = faults(tree(tmp_path, np.ones_like(IDS)))
    assert (fault.severity, fault.path.name) == ("warning", "3.png")
    assert fault.message.startswith("1 object in 1 map, 3.png, lies mostly where the masks of classes show something")


def test_training_on_objects_needs_one(tmp_path):
    """A Cityscapes set whose label ids were saved as its instance ids: each class is a crowd."""
    labels = np.where(IDS > 0, 26, 7).astype(np.uint8)
    for number in range(6):
        stem = f"ulm_{number}"
        photo(tmp_path / "leftImg8bit" / "train" / "ulm" / f"{stem}_leftImg8bit.png", number, SIZE)
        for kind in ("labelIds", "instanceIds"):
            write(tmp_path / "gtFine" / "train" / "ulm" / f"{stem}_gtFine_{kind}.png", labels)
    found = inspect(tmp_path, task="instance")
    assert found.obstacle is not None
    assert found.obstacle.startswith("none of 6 annotated images shows an object, only 6 crowds. Label some objects")
    assert inspect(tmp_path, task="panoptic").obstacle is None
    with pytest.raises(MaskwrightError, match="cannot be trained on: none of 6 annotated images shows an object"):
        maskwright.plan(tmp_path, maskwright.PlanRequest(task="instance", steps=2))
