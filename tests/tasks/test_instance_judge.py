"""The judge of objects, as workflows use it, and ground truth of real data as a prediction."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from tests.metrics.objects import box, image

from maskwright.core.classes import IGNORE, Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.instances import Instances
from maskwright.core.targets import Target
from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_label, read_objects
from maskwright.data.readers import read_image
from maskwright.metrics.object_judge import ObjectJudge
from maskwright.metrics.object_metrics import OBJECT_METRICS
from maskwright.tasks.instance_judge import InstanceJudge

DATA = Path(__file__).parents[3] / "shared/data"
CLASSES = Classes.named(("background", "cell"))
SIZE = (40, 50)


def judge(classes: Classes = CLASSES) -> InstanceJudge:
    """A judge to which a prediction comes as if it were its own blocks."""

    def decode(blocks, size: tuple[int, int]) -> Instances:
        assert blocks.size == size
        return blocks

    return InstanceJudge(decode, ObjectJudge(classes, outlines=True))


def target(*objects, labels: np.ndarray | None = None) -> Target:
    return Target(np.zeros(SIZE, np.uint8) if labels is None else labels, instances=image(*objects, size=SIZE))


def test_by_hand() -> None:
    judging = judge()
    judging.update("a", image(box(0, 0, 9, 9), size=SIZE), target(box(0, 0, 9, 9)), group="one")
    judging.update("b", image(size=SIZE), target(box(0, 0, 9, 9)), group="one")
    assert judging.score() == pytest.approx(2 / 3)
    scores = judging.compute()
    assert (scores.task, scores.headline, scores.score.value) == ("instance", "f1", pytest.approx(2 / 3))
    assert (scores.images, scores.groups) == (2, 1)
    assert [(entry.id, entry.group, entry.values["f1"]) for entry in scores.per_image] == [
        ("a", "one", 1),
        ("b", "one", 0),
    ]
    assert scores.headline_words == "F1"


def test_what_is_ignored_is_no_error() -> None:
    labels = np.zeros(SIZE, np.uint8)
    labels[20:] = IGNORE
    for top, value in ((15, 2 / 3), (16, 1.0)):
        judging = judge()
        found = image(box(0, 0, 9, 9), box(top, 0, 9, 9), size=SIZE)
        judging.update("a", found, target(box(0, 0, 9, 9), labels=labels))
        assert judging.score() == pytest.approx(value)


def test_nothing_scored() -> None:
    assert judge().score() is None
    with pytest.raises(MaskwrightError, match="nothing to score"):
        judge().compute()


def test_no_mask_is_kept() -> None:
    """Every array is a few numbers for an object or a pair, and the view of nothing larger."""
    objects = [box(place // 30, 5 * (place % 4), 30, 30) for place in range(300)]
    judging = judge()
    judging.update("a", image(*objects, size=SIZE), target(*objects))
    kept = judging._objects._images[0].compared
    sides = [getattr(side, field.name) for side in (kept.truth, kept.found) for field in fields(side)]
    for array in (*sides, kept.pairs, kept.shared, kept.excused):
        assert array.nbytes <= 16 * max(len(objects), len(kept.pairs))
        assert array.base is None or array.base.nbytes <= 2 * array.nbytes


@pytest.mark.skipif(not (DATA / "coco-tiny").is_dir(), reason="the real data is not here")
def test_the_ground_truth_of_coco_is_a_perfect_prediction() -> None:
    dataset = read_dataset(DATA / "coco-tiny")
    judging = judge(dataset.classes)
    for record in dataset.records:
        size = read_image(record.image).shape[:2]
        objects = Instances(size, tuple(read_objects(dataset, record, size)))
        found = Instances(size, tuple(entry for entry in objects.objects if not entry.crowd))
        judging.update(record.id, found, Target(read_label(dataset, record, size), instances=objects))
    scores = judging.compute()
    assert scores.mean["objects"].value > 500
    for metric in OBJECT_METRICS:
        if metric.unit == "share":
            assert scores.mean[metric.key].value == 1, metric.key
    assert scores.mean["count_error"].value == 0
