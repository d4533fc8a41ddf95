"""The task `panoptic`: what it reads, how it decodes and judges, by hand and against a second implementation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tasks.blocks import blocks
from tests.tasks.panoptic_scenes import scene, write_panoptic
from tests.tasks.test_instance_decode import TOUCHING
from tests.tasks.test_instance_decode import ideal as ideal_depth

from maskwright.core.classes import IGNORE, Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.instances import Instance, Instances
from maskwright.core.records import Dataset, ImageRef, Record, Shape, Shapes
from maskwright.core.targets import Target
from maskwright.data.formats import read_dataset
from maskwright.data.readers import image_size
from maskwright.ops.instance_maps import from_map, to_map
from maskwright.tasks import find_task
from maskwright.tasks.base import Seen
from maskwright.tasks.panoptic_fit import StuffFit
from maskwright.tasks.panoptic_judge import PanopticJudge
from maskwright.tasks.panoptic_map import PanopticMap, composed, segments_of

TASK = find_task("panoptic")
# background, two classes of stuff, two of things
CLASSES = Classes(("background", "sky", "grass", "cow", "dog"), ((0, 0, 0),) * 5, frozenset({3, 4}))
COCO = Path(__file__).parents[3] / "shared" / "data" / "coco-tiny"


def box(left: int, top: int, right: int, bottom: int) -> tuple[float, ...]:
    return (left, top, right, top, right, bottom, left, bottom)


def judged(pictures: list[tuple[Target, PanopticMap]], classes: Classes = CLASSES):
    found = iter([result for _, result in pictures])
    judge = PanopticJudge(lambda _blocks, _size: [next(found)], classes)
    for number, (target, _) in enumerate(pictures):
        judge.update(str(number), (), target)
    return judge


# ---------------------------------------------------------------- what it reads


def shapes(*found: Shape) -> tuple[Target, Target]:
    """The target and the lesson of shapes."""
    record = Record("a.png", ImageRef(Path("a.png")), Shapes(Path("a.json"), found))
    dataset = Dataset(Path(), "coco", "", CLASSES, (record,))
    target, lesson = TASK.target(dataset, record, (8, 12)), TASK.lesson(dataset, record, (8, 12))
    np.testing.assert_array_equal(target.labels, lesson.labels)
    return target, lesson


def test_objects_do_not_overlap_and_stuff_has_none():
    target, lesson = shapes(
        Shape(1, (box(0, 0, 12, 4),)),
        Shape(3, (box(1, 1, 9, 7),)),
        Shape(4, (box(4, 2, 7, 5),)),
        Shape(2, (box(0, 7, 12, 8),)),
    )
    assert [(entry.index, entry.area) for entry in target.instances.objects] == [(4, 9), (3, 39)]
    assert target.labels[3].tolist() == [1, 3, 3, 3, 4, 4, 4, 3, 3, 1, 1, 1]
    assert target.labels[7].tolist() == [2] * 12
    assert lesson.values[-1, 3].tolist() == [0, 2, 2, 2, 1, 1, 1, 2, 2, 0, 0, 0]
    np.testing.assert_array_equal(TASK.truth(target).labels, target.labels)


def test_of_a_crowd_no_object_is_learnt():
    target, lesson = shapes(Shape(IGNORE, (box(1, 1, 9, 7),), crowd=3), Shape(3, (box(2, 2, 5, 5),)))
    assert [(entry.index, entry.crowd, entry.area) for entry in target.instances.objects] == [
        (3, False, 9),
        (3, True, 39),
    ]
    assert target.labels[3].tolist() == [0, IGNORE, 3, 3, 3, *[IGNORE] * 4, 0, 0, 0]
    assert np.isnan(lesson.values[:, 3, 6]).all()
    truth = TASK.truth(target)
    assert judged([(target, truth)]).score() == 1


def test_truth_of_a_panoptic_set_scores_one(tmp_path):
    rng = np.random.default_rng(1)
    dataset = TASK.prepared(read_dataset(write_panoptic(tmp_path / "data", [scene(rng) for _ in range(4)])))
    assert dataset.classes.things == {2, 3}
    targets = [TASK.target(dataset, record, image_size(record.image)) for record in dataset.records]
    scores = judged([(target, TASK.truth(target)) for target in targets], dataset.classes).compute()
    assert {key: scores.mean[key].value for key in ("pq", "pq_things", "pq_stuff", "rq", "sq_things")} == dict.fromkeys(
        ("pq", "pq_things", "pq_stuff", "rq", "sq_things"), 1
    )
    assert all(entry.values["pq"] == 1 for entry in scores.per_image)
    assert scores.mean["segments"].value == sum(
        len(segments_of(TASK.truth(target), dataset.classes)) for target in targets
    )


@pytest.mark.skipif(not COCO.exists(), reason="needs shared/data/coco-tiny")
def test_truth_of_coco_scores_one():
    dataset = TASK.prepared(read_dataset(COCO))
    pictures = []
    for record in dataset.records[:60]:
        target = TASK.target(dataset, record, image_size(record.image))
        pictures.append((target, TASK.truth(target)))
    scores = judged(pictures, dataset.classes).compute()
    assert any(entry.crowd for target, _ in pictures for entry in target.instances.objects)
    assert scores.score.value == 1
    assert scores.mean["pq_stuff"].value is None


def test_data_without_objects_are_refused():
    record = Record("a.png", ImageRef(Path("a.png")))
    with pytest.raises(MaskwrightError, match=r"gives the class of each pixel, but no objects"):
        TASK.check(Dataset(Path("data"), "folder", "", CLASSES, (record,)))
    with pytest.raises(MaskwrightError, match="needs another one"):
        TASK.channels(Classes.named(["cell"]))


# ---------------------------------------------------------------- decoding


def maps(labels: np.ndarray, objects: np.ndarray, count: int) -> torch.Tensor:
    """Maps of a network that is always right; `labels` (H, W) are the classes, `objects` the ids."""
    probabilities = 0.02 + (1 - 0.02 * count) * (np.arange(count)[:, None, None] == labels)
    return torch.cat([torch.from_numpy(probabilities.astype(np.float32)), ideal_depth(objects)[2:]])


def test_objects_lie_on_stuff_and_small_stuff_is_dropped():
    labels = np.where(np.arange(40)[:, None] < 20, 1, 2) * np.ones((1, 60), int)
    labels[TOUCHING > 0] = np.array([0, 3, 4, 3, 4])[TOUCHING[TOUCHING > 0]]
    labels[38:, 55:] = 1
    labels[0, :4] = 0
    found = TASK.decode(blocks(maps(labels, TOUCHING, 5), 7, 23), (40, 60), CLASSES, {"seed": 0.6})
    assert sorted(entry.index for entry in found.objects.objects) == [3, 3, 4, 4]
    np.testing.assert_array_equal(found.labels, labels)
    assert TASK.describe(found, CLASSES) == {
        "cow": 2,
        "dog": 2,
        "sky (pixels)": int((labels == 1).sum()),
        "grass (pixels)": int((labels == 2).sum()),
    }
    most = float((labels == 1).sum() + 1)
    assert TASK.decode(blocks(maps(labels, TOUCHING, 5)), (40, 60), CLASSES, {"stuff": most}).labels[38, 56] == IGNORE


def test_pixels_of_things_without_an_object_belong_to_nothing():
    labels = np.full((6, 6), 3, np.uint8)
    labels[0] = 1
    found = composed(labels, from_map(np.diag([0, 1, 1, 0, 0, 0]), [4]), CLASSES, 0)
    assert found.labels[1].tolist() == [IGNORE, 4, *[IGNORE] * 4]
    assert found.labels[0].tolist() == [1] * 6


# ---------------------------------------------------------------- panoptic quality


def test_scores_by_hand():
    labels = np.full((10, 10), 1, np.uint8)
    labels[5:], labels[9, 9] = 2, IGNORE
    objects = Instances((10, 10), (Instance(3, 0, 0, np.ones((2, 5), bool)), Instance(3, 3, 0, np.ones((2, 5), bool))))
    target = Target(composed(labels.copy(), objects, CLASSES, 0).labels, None, objects)
    guess = Instances(
        (10, 10), (Instance(3, 0, 0, np.ones((2, 4), bool), 0.9), Instance(4, 8, 8, np.ones((2, 2), bool)))
    )
    found = composed(np.where(labels == IGNORE, 2, labels).astype(np.uint8), guess, CLASSES, 0)
    scores = judged([(target, found)]).compute()
    sky = 30 / (30 + 2 + 10)  # two pixels of a cow and all of another are predicted as sky
    grass = 46 / 49  # one ignored pixel is not counted, three are predicted as a dog
    values = {entry.name: tuple(entry[key].value for key in ("pq", "sq", "rq")) for entry in scores.classes}
    assert values["sky"] == pytest.approx((sky, sky, 1))
    assert values["grass"] == pytest.approx((grass, grass, 1))
    assert values["cow"] == pytest.approx((0.8 / 1.5, 0.8, 1 / 1.5))
    assert values["dog"] == (0, 0, 0)
    assert scores.mean["pq_things"].value == pytest.approx(0.4 / 1.5)
    assert scores.mean["pq_stuff"].value == pytest.approx((sky + grass) / 2)
    assert scores.mean["pq"].value == pytest.approx((sky + grass + 0.8 / 1.5) / 4)
    assert (scores.mean["segments"].value, scores.mean["predicted"].value) == (4, 4)
    assert judged([(target, found)]).score() == pytest.approx(scores.score.value)
    assert [bin_.found + bin_.missed for bin_ in scores.objects.sizes] == [2]


def random_picture(rng: np.random.Generator) -> tuple[Target, PanopticMap]:
    """A truth with crowds and ignored pixels, and a prediction that resembles it, of patches of 4 x 4 pixels."""

    def patches(values: list[int]) -> np.ndarray:
        return np.kron(rng.choice(values, (6, 6)), np.ones((4, 4), int)).astype(np.uint8)

    def things() -> np.ndarray:
        return np.where(rng.random((24, 24)) < 0.95, patches([0, 0, 1, 2, 3]), 0).astype(np.int32)

    labels, ids = patches([0, 1, 1, 2, 2, IGNORE]), things()
    objects = from_map(ids, rng.integers(3, 5, 3).tolist())
    crowded = rng.random() < 0.5 and len(objects) > 0
    entries = [
        Instance(entry.index, entry.top, entry.left, entry.mask, crowd=bool(crowded and place == 0))
        for place, entry in enumerate(objects.objects)
    ]
    target = Target(composed(labels, objects, CLASSES, 0).labels, None, Instances((24, 24), tuple(entries)))
    again = np.where(rng.random((24, 24)) < 0.8, ids, things())
    guess = np.where(rng.random((24, 24)) < 0.8, labels, patches([0, 1, 2])).astype(np.uint8)
    indices = [entry.index for entry in objects.objects] + [3, 4, 3]
    return target, composed(guess, from_map(again, indices), CLASSES, 0)


def plain_quality(pictures: list[tuple[Target, PanopticMap]]) -> dict[int, tuple[float, float, float]]:
    """PQ, SQ and RQ by class from whole masks, with the rules of panopticapi for VOID and crowds; no code is shared."""
    tally = {index: [0.0, 0, 0, 0] for index in (1, 2, 3, 4)}
    for target, found in pictures:
        own = whole(target.instances, target.labels)
        void = (target.labels == IGNORE) & ~np.any(
            [mask for _, _, mask in own] + [np.zeros_like(target.labels)], axis=0
        )
        theirs = whole(found.objects, found.labels)
        used = {}
        for number, (index, crowd, mask) in enumerate(own):
            for place, (guess, _, other) in enumerate(theirs):
                iou = (mask & other).sum() / (mask | (other & ~void)).sum()
                if guess == index and not crowd and iou > 0.5:
                    used[place] = number
                    tally[index][0] += iou
                    tally[index][1] += 1
            tally[index][3] += not crowd and number not in used.values()
        for place, (guess, _, other) in enumerate(theirs):
            excuse = (other & void).sum() + sum((other & mask).sum() for k, crowd, mask in own if crowd and k == guess)
            tally[guess][2] += place not in used and excuse / other.sum() <= 0.5
    return {
        index: (iou / (tp + (fp + fn) / 2), iou / max(tp, 1), tp / (tp + (fp + fn) / 2))
        for index, (iou, tp, fp, fn) in tally.items()
        if tp + fp + fn
    }


def whole(objects: Instances, labels: np.ndarray) -> list[tuple[int, bool, np.ndarray]]:
    """Class, whether it is a crowd, and mask (H, W) of every segment."""
    found = []
    for entry in objects.objects:
        mask = np.zeros(labels.shape, bool)
        mask[entry.rows, entry.columns] = entry.mask
        found.append((entry.index, entry.crowd, mask))
    return found + [(index, False, labels == index) for index in (1, 2) if (labels == index).any()]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_panoptic_quality_equals_a_plain_computation(seed):
    rng = np.random.default_rng(seed)
    pictures = [random_picture(rng) for _ in range(3)]
    scores, expected = judged(pictures).compute(), plain_quality(pictures)
    found = {CLASSES.names.index(entry.name): entry for entry in scores.classes}
    for index in (1, 2, 3, 4):
        values = [found[index][key].value for key in ("pq", "sq", "rq")]
        assert values == pytest.approx(list(expected.get(index, (None,) * 3)), abs=1e-12)
    for name, members in (("pq", (1, 2, 3, 4)), ("pq_things", (3, 4)), ("pq_stuff", (1, 2))):
        known = [expected[index][0] for index in members if index in expected]
        assert scores.mean[name].value == (pytest.approx(np.mean(known)) if known else None)


# ---------------------------------------------------------------- fitting


def test_the_least_area_of_stuff_is_fitted():
    truth = np.full((40, 60), 1, np.uint8)
    truth[20:] = 2
    guess = truth.copy()
    half = truth.copy()
    half[:] = 1
    guess[:10] = 1
    wrong = half.copy()
    wrong[5:15, 5:15] = 2  # grass where there is none, of 100 pixels
    nothing = np.zeros((40, 60), np.int32)
    seen = [
        Seen("a", blocks(maps(guess, nothing, 5)), Target(truth, None, Instances((40, 60)))),
        Seen("b", blocks(maps(wrong, nothing, 5), 9), Target(half, None, Instances((40, 60)))),
    ]
    stuff = StuffFit(CLASSES)
    for entry in stuff.watched(iter(seen)):
        assert sum(block.maps.shape[1] for block in entry.blocks) == 40
    fitted = stuff.fitted()
    assert fitted.decoding == {"stuff": 256.0}
    assert "1.000 with it" not in fitted.notes[0]
    assert StuffFit(CLASSES).fitted().decoding == {}


def test_objects_and_stuff_are_fitted_together():
    labels = np.where(TOUCHING > 0, 3, 1).astype(np.uint8)
    target = Target(labels, None, from_map(TOUCHING, [3] * 4))
    dim = maps(labels, TOUCHING, 5)
    dim[-2] *= 0.45
    fitted = TASK.fit(iter([Seen("a", blocks(dim), target)]), 1, CLASSES, None)
    assert fitted.decoding["seed"] <= 0.4
    assert fitted.decoding["stuff"] == 0
    assert len(fitted.notes) == 1
    found = TASK.decode(blocks(dim), (40, 60), CLASSES, fitted.decoding)
    assert len(np.unique(to_map(found.objects))) == 5
