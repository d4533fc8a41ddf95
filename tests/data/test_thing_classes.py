"""Classes with few objects, where only some images are searched for objects."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.data.layouts import photo, write

from maskwright.core.seeds import generator
from maskwright.data import survey as survey_module
from maskwright.data.fingerprint import fingerprint, for_training
from maskwright.data.formats import read_dataset
from maskwright.data.survey import survey
from maskwright.data.thing_classes import ENOUGH, classes_with_objects

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.data.survey import Survey

SIZE = (24, 32)
IMAGES = 16
LATE = int(generator(0, "survey").permutation(IMAGES)[-1])
"""The image that is read last, and so not searched."""


@pytest.fixture(autouse=True)
def few_are_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey_module, "OBJECT_IMAGES", ENOUGH)


def with_objects(seen: Survey) -> set[str]:
    return {seen.dataset.classes.names[index] for index in classes_with_objects(seen.dataset, seen)}


def in_searched(seen: Survey) -> set[str]:
    return {seen.dataset.classes.names[index] for index in seen.instances.classes}


def coco(root: Path) -> Path:
    """Two cups in each image, and in the last one a dog and a crowd of birds."""
    drawn = [(number, 3, left, 0) for number in range(IMAGES) for left in (2, 12)]
    drawn += [(LATE, 5, 22, 0), (LATE, 8, 27, 1)]
    objects = [
        {
            "id": place,
            "image_id": number + 1,
            "category_id": category,
            "iscrowd": crowd,
            "bbox": [left, 4, 4, 6],
            "area": 24,
            "segmentation": [[left, 4, left + 4, 4, left + 4, 10, left, 10]],
        }
        for place, (number, category, left, crowd) in enumerate(drawn, start=1)
    ]
    images = []
    for number in range(IMAGES):
        photo(root / "images" / f"{number:02}.jpg", number, SIZE)
        images.append({"id": number + 1, "file_name": f"{number:02}.jpg", "height": SIZE[0], "width": SIZE[1]})
    categories = [{"id": number, "name": name} for number, name in ((3, "cup"), (5, "dog"), (8, "bird"), (9, "fish"))]
    content = {"images": images, "annotations": objects, "categories": categories}
    (root / "instances.json").write_text(json.dumps(content))
    return root


def test_objects_that_a_file_lists_are_counted_in_all_images(tmp_path):
    seen = survey(read_dataset(coco(tmp_path)))
    assert in_searched(seen) == {"cup"}
    assert with_objects(seen) == {"cup", "dog", "bird"}
    stats = {entry.name: entry for entry in fingerprint(seen).class_stats}
    assert {name: entry.objects for name, entry in stats.items() if entry.annotated} == {"cup": 2 * IMAGES, "dog": 1}


def test_in_training_only_its_own_objects_are_counted(tmp_path):
    seen = survey(read_dataset(coco(tmp_path)))
    late = f"{LATE:02}"
    parts = (
        replace(record, split="val" if record.image.path.stem == late else "train") for record in seen.dataset.records
    )
    dataset = replace(seen.dataset, records=tuple(parts))
    stats = {entry.name: entry for entry in for_training(fingerprint(seen, dataset), seen, dataset).class_stats}
    assert (stats["cup"].objects, stats["dog"].objects) == (2 * (IMAGES - 1), 0)


def test_a_class_of_masks_is_looked_for_where_it_is_shown(tmp_path):
    ids, classes = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    ids[4:10, 4:12], classes[4:10, 4:12], classes[20:] = 1, 1, 2
    for number in range(IMAGES):
        own, names = ids.copy(), classes.copy()
        if number == LATE:
            own[4:10, 20:28], names[4:10, 20:28] = 2, 3
        photo(tmp_path / "images" / f"{number:02}.jpg", number, SIZE)
        write(tmp_path / "masks" / f"{number:02}.png", names)
        write(tmp_path / "instances" / f"{number:02}.png", own)
    (tmp_path / "classes.txt").write_text("background\nnut\nfloor\nbolt\n")
    seen = survey(read_dataset(tmp_path))
    assert in_searched(seen) == {"nut"}
    assert with_objects(seen) == {"nut", "bolt"}
