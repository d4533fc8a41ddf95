"""Classes with objects and without: as a plan names them, and merged for a task of objects alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import maskwright as mw
from maskwright.core.classes import IGNORE, Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.fingerprint import Fingerprint
from maskwright.core.records import Dataset, ImageRef, MaskFile, Record
from maskwright.data.fingerprint import fingerprint
from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_label, read_objects
from maskwright.data.survey import survey
from maskwright.data.things import objects_alone, with_things
from maskwright.tasks import find_task

SIZE = (24, 32)


def pairs(root: Path, count: int = 12) -> Path:
    """Masks of sky, grass, cow and an ignored frame, without background, with maps of ids beside them."""
    rng = np.random.default_rng(0)
    for number in range(count):
        labels = np.zeros(SIZE, np.uint8)
        labels[12:] = 1
        ids = np.zeros(SIZE, np.uint16)
        ids[4:10, 3:10], ids[4:10, 10:16], ids[14:20, 20:28] = 1, 2, 3
        labels[ids > 0] = 2
        labels[:, -1] = 255
        image = np.array([[90, 150, 220], [60, 140, 60], [180, 90, 40], [0, 0, 0]], np.uint8)[np.minimum(labels, 3)]
        for folder, pixels in (("images", image), ("masks", labels), ("instances", ids)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            noise = rng.integers(0, 20, image.shape).astype(np.uint8) if folder == "images" else np.uint8(0)
            Image.fromarray(pixels + noise).save(root / folder / f"{number:02d}.png")
    (root / "classes.txt").write_text("sky\ngrass\ncow\n")
    return root


def test_everything_without_objects_becomes_the_background(tmp_path):
    dataset = read_dataset(pairs(tmp_path / "data", 1))
    record = dataset.records[0]
    before = read_label(dataset, record, SIZE)
    assert dataset.classes.things is None
    assert objects_alone(dataset) is dataset
    merged = objects_alone(with_things(dataset, ["cow"]))
    assert merged.classes.names == ("background", "cow")
    assert merged.classes.colors[1] == dataset.classes.colors[2]
    after = read_label(merged, record, SIZE)
    np.testing.assert_array_equal(after, np.array([0, 0, 1] + [IGNORE] * 253, np.uint8)[before])
    assert [(entry.index, entry.area) for entry in read_objects(merged, record, SIZE)] == [(1, 42), (1, 36), (1, 48)]
    assert [entry.index for entry in read_objects(dataset, record, SIZE)] == [2, 2, 2]


def test_an_object_mostly_on_background_is_of_the_class_under_the_rest_of_it(tmp_path):
    """Whether or not a plan names the classes that have objects; one on stuff is none of them either way."""
    data = pairs(tmp_path / "data", 1)
    (data / "classes.txt").write_text("background\ngrass\ncow\n")
    labels = np.zeros(SIZE, np.uint8)
    labels[12:], labels[4:10, 3:5], labels[14:20, 20:22] = 1, 2, 2  # 12 of 42 pixels of the first object, of the third
    Image.fromarray(labels).save(data / "masks" / "00.png")
    dataset = with_things(read_dataset(data), ["cow"])
    for seen, cow in ((dataset, 2), (objects_alone(dataset), 1)):
        found = read_objects(seen, seen.records[0], SIZE)
        assert [entry.area for entry in found if entry.index == cow] == [42]


def test_objects_of_masks_are_counted_and_no_regions(tmp_path):
    """Two of the three cows touch: they are one region."""
    found = fingerprint(survey(read_dataset(pairs(tmp_path / "data", 2))))
    sky, grass, cow = found.class_stats
    assert (cow.objects, cow.size.low, cow.size.high) == (6, pytest.approx(6), pytest.approx(48**0.5))
    assert (sky.objects, grass.objects) == (2, 2)
    assert found.shown_objects == (False, False, True)
    assert Fingerprint.from_json(found.to_json()).shown_objects == (False, False, True)


def test_crowds_are_no_objects_of_their_class(tmp_path):
    data = pairs(tmp_path / "data", 1)
    dataset = read_dataset(data)
    crowds = replace(dataset.records[0].objects, crowds=(1, 2, 3))
    dataset = replace(dataset, records=(replace(dataset.records[0], objects=crowds),))
    assert [entry.objects for entry in fingerprint(survey(dataset)).class_stats] == [1, 1, 0]


def test_a_background_keeps_its_name():
    classes = Classes(("sky", "void", "cow"), ((1, 1, 1), (2, 2, 2), (3, 3, 3)), frozenset({2}))
    merged = objects_alone(Dataset(Path(), "folder", "", classes, ()))
    assert merged.classes == Classes(("void", "cow"), ((2, 2, 2), (3, 3, 3)))
    assert merged.merged == (0, 0, 1)
    alone = Dataset(Path(), "folder", "", Classes(("void", "cow"), ((2, 2, 2), (3, 3, 3)), frozenset({1})), ())
    assert objects_alone(alone) is alone


def test_a_class_that_is_not_there_is_refused(tmp_path):
    dataset = read_dataset(pairs(tmp_path / "data", 1))
    with pytest.raises(MaskwrightError, match=r"'cows'.*cow"):
        with_things(dataset, ["cows"])
    assert with_things(dataset, ["sky"]).classes.things == {0}


def test_cityscapes_is_learnt_as_objects(tmp_path):
    ids = np.full(SIZE, 7, np.uint16)
    ids[0:4, 0:6], ids[8:12, 3:9], ids[14, 0:8] = 26_000, 24_001, 24
    for folder, end in (
        ("leftImg8bit", "leftImg8bit"),
        ("gtFine", "gtFine_labelIds"),
        ("gtFine", "gtFine_instanceIds"),
    ):
        path = tmp_path / folder / "train" / "ulm" / f"ulm_{end}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        labels = np.where(ids >= 1000, ids // 1000, ids).astype(np.uint8)
        pixels = ids if "instance" in end else labels if "label" in end else np.zeros((*SIZE, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    task = find_task("instance")
    dataset = task.prepared(read_dataset(tmp_path))
    assert dataset.classes.names[:3] == ("background", "person", "rider")
    assert len(dataset.classes) == 9
    target = task.target(dataset, dataset.records[0], SIZE)
    assert [dataset.classes.names[entry.index] for entry in target.instances.objects] == ["person", "person", "car"]
    assert [entry.crowd for entry in target.instances.objects] == [True, False, False]
    assert sorted(np.unique(target.labels).tolist()) == [0, 1, 3, IGNORE]
    assert task.channels(dataset.classes)[0].count == 9


SETTINGS = ["model.pretrained=false", "sampling.crop=[32,32]", "model.options.widths=[16,24,32,48]"]


def test_classes_without_an_object_are_stuff(tmp_path):
    data = pairs(tmp_path / "data")
    result = mw.train(data, mw.PlanRequest(steps=2, settings=SETTINGS, task="panoptic"), out=tmp_path / "run")
    assert mw.load(result.run).classes.things == {2}
    plan = (result.run / "plan.yaml").read_text()
    assert "these classes have objects; 2 classes besides the background have none" in plan
    again = mw.evaluate(result.run, data)
    assert {key: again.scores.mean[key].value is not None for key in ("pq_things", "pq_stuff")} == {
        "pq_things": True,
        "pq_stuff": True,
    }
    (result.run / "report.html").unlink()
    mw.train(resume=result.run)


def test_the_refusal_names_a_cure_that_works(tmp_path):
    data = pairs(tmp_path / "data")
    with pytest.raises(MaskwrightError, match=r"name the classes that have objects in `objects.things`"):
        mw.plan(data, mw.PlanRequest(steps=2, settings=SETTINGS, task="instance"))
    request = mw.PlanRequest(steps=2, settings=[*SETTINGS, "objects.things=[cow]"], task="instance")
    assert mw.plan(data, request).objects.things == ["cow"]


def test_without_a_usable_image_the_faults_say_why(tmp_path):
    dataset = Dataset(tmp_path, "coco", "", Classes.named(["background", "cell"]), ())
    find_task("instance").check(dataset)


def test_masks_of_classes_alone_tell_no_objects(tmp_path):
    record = Record("a.png", ImageRef(tmp_path / "a.png"), MaskFile(ImageRef(tmp_path / "b.png"), "index"))
    dataset = Dataset(tmp_path, "folder", "", Classes.named(["background", "cell"]), (record,))
    with pytest.raises(
        MaskwrightError, match=r"gives the class of each pixel, but no objects: .* rename masks/ to instances/ if"
    ):
        find_task("instance").check(dataset)
