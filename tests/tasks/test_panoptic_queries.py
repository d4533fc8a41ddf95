"""Things and stuff by queries: what they learn and fit, and how they share pixels out, as transformers does."""

from __future__ import annotations

import weakref
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.tasks.panoptic_scenes import scene, write_panoptic

from maskwright.core.classes import IGNORE, Classes
from maskwright.core.instances import Instance, Instances
from maskwright.core.plan import DataPlan, ModelPlan, PredictPlan
from maskwright.core.targets import Target
from maskwright.data.formats import ReadOptions, read_dataset
from maskwright.inference.predictor import Predictor
from maskwright.models.bundle import Card, CardClasses
from maskwright.models.objects.reading import segments
from maskwright.tasks.base import Seen
from maskwright.tasks.block import Block
from maskwright.tasks.object_truths import object_truths
from maskwright.tasks.panoptic_map import shared_out
from maskwright.tasks.panoptic_queries import PanopticQueries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

TASK = PanopticQueries()
CLASSES = Classes(("sky", "grass", "ball", "crate"), ((0, 0, 0),) * 4, frozenset({2, 3}))


def segment(index: int, rows: slice, columns: slice, score: float, share: float) -> Instance:
    shape = rows.stop - rows.start, columns.stop - columns.start
    shares = np.full(shape, share, np.float16)
    return Instance(index, rows.start, columns.start, np.ones(shape, bool), score, shares=shares)


def test_segments_share_pixels_out_by_hand() -> None:
    """The sky holds columns 2 to 39 in two parts, which are one; the second ball's 0.9 x 0.6 loses to its 0.8 x 0.7.

    The crate keeps 4 of its 5 columns, which is not more than 80%, and the sky's first part 20 of 24, which is.
    """
    row = slice(0, 1)
    segments = (
        segment(2, row, slice(0, 2), 0.95, 1.0),
        segment(2, row, slice(8, 10), 0.9, 0.6),
        segment(0, row, slice(2, 26), 0.8, 0.7),
        segment(0, row, slice(22, 40), 0.8, 0.7),
        segment(3, row, slice(1, 6), 0.79, 0.75),
        segment(1, row, slice(0, 40), 0.2, 1.0),
    )
    labels, objects = shared_out(Instances((1, 40), segments), CLASSES, 0.3)
    assert labels.tolist() == [[2, 2, *[IGNORE] * 4, *[0] * 34]]
    assert [(entry.index, entry.left, entry.mask.tolist(), entry.score) for entry in objects.objects] == [
        (2, 0, [[True, True]], 0.95)
    ]
    everything, _ = shared_out(Instances((1, 40), segments[-1:]), CLASSES, 0.2)
    assert (everything == 1).all()


def test_the_background_is_no_segment() -> None:
    classes = Classes(("background", "ball"), ((0, 0, 0),) * 2)
    labels, objects = shared_out(Instances((2, 2), (segment(0, slice(0, 2), slice(0, 2), 0.9, 1.0),)), classes, 0.0)
    assert (labels == IGNORE).all()
    assert len(objects) == 0


class Queries:
    """An engine that finds these queries in any tile: logits of classes (Q, K + 2) and of masks (Q, h, w)."""

    batch = 1

    def __init__(self, logits: torch.Tensor, masks: torch.Tensor) -> None:
        self.logits, self.masks = logits, masks

    def objects(self, tiles: NDArray[np.uint8]) -> list[Any]:
        return [segments(self.logits, self.masks, 4) for _ in tiles]


@pytest.mark.parametrize("seed", range(4))
def test_post_processing_is_the_librarys(seed: int) -> None:
    """Masks are sharp, and stuff holds all pixels: elsewhere the library gives them to masks that do not hold them."""
    transformers = pytest.importorskip("transformers", reason="the judge, in the extra `dev`")
    rng = np.random.default_rng(seed)
    side, count = 96, 9
    rows, columns = np.indices((side, side))
    masks, classes = np.full((count, side, side), -20.0), [0, 1, *rng.integers(2, 4, count - 2)]
    masks[0], masks[1][60:] = 20, 20
    for place in range(2, count):
        middle, radius = rng.integers(10, side - 10, 2), rng.integers(8, 20)
        masks[place][np.hypot(rows - middle[0], columns - middle[1]) < radius] = 20
    scores = rng.permutation(np.linspace(0.55, 0.95, count - 2)).tolist()
    shares = np.full((count, 5), 1e-6)
    shares[np.arange(count), classes] = [0.52, 0.54, *scores]
    shares[:, 4] = 1 - shares[:, :4].sum(axis=1)
    logits, drawn = torch.from_numpy(shares).log().float(), torch.from_numpy(masks).float()
    outputs = SimpleNamespace(class_queries_logits=logits[None], masks_queries_logits=drawn[None])
    processor = transformers.Mask2FormerImageProcessor()
    theirs = processor.post_process_panoptic_segmentation(outputs, threshold=0.5, label_ids_to_fuse={0, 1})[0]
    wanted = theirs["segmentation"].numpy()

    nothing = torch.full((count, 1), -30.0)
    card = Card(
        task="panoptic",
        channels=TASK.channels(CLASSES),
        model=ModelPlan(name="mask2former"),
        classes=CardClasses.of(CLASSES),
        data=DataPlan(),
        predict=PredictPlan(tile=(384, 384)),
    )
    predictor = Predictor(Queries(torch.cat([nothing, logits], dim=1), drawn), card)  # type: ignore[arg-type]
    ours = predictor.result(np.zeros((384, 384, 3), np.uint8))
    labels = np.full(wanted.shape, IGNORE)
    for info in theirs["segments_info"]:
        labels[wanted == info["id"]] = info["label_id"]
    np.testing.assert_array_equal(ours.labels, labels)
    own = [info for info in theirs["segments_info"] if info["label_id"] in CLASSES.objects]
    assert 0 < len(own) < count - 2, "some segments are dropped"
    assert len(ours.objects) == len(own)
    for entry in ours.objects.objects:
        number = np.unique(wanted[entry.rows, entry.columns][entry.mask])
        info = next(info for info in own if info["id"] == number)
        assert (entry.index, entry.area) == (info["label_id"], (wanted == number).sum())
        assert entry.score == pytest.approx(info["score"], abs=0.02)


def test_tiles_show_stuff_once_and_things_whole() -> None:
    """Two blocks that overlap: the ball in both is one, and so is the sky, although its parts disagree."""
    left, right = slice(0, 6), slice(4, 10)
    rows, size = slice(0, 8), (8, 10)
    ball = slice(1, 3)
    blocks = []
    for columns, own, sky in ((left, slice(3, 6), slice(0, 5)), (right, slice(4, 7), slice(5, 10))):
        found = (segment(3, ball, own, 0.9, 0.9), segment(1, rows, sky, 0.8, 0.6))
        blocks.append(Block(rows, columns, torch.empty(0, 8, 6), Instances(size, found)))
    result = TASK.decode(blocks, size, CLASSES, {})
    (entry,) = result.objects.objects
    assert (entry.index, entry.left, entry.mask.shape) == (2, 3, (2, 4))
    wanted = np.zeros(size, np.uint8)
    wanted[1:3, 3:7] = 2
    np.testing.assert_array_equal(result.labels, wanted)


def test_a_lesson_has_a_segment_for_each_thing_and_each_class_of_stuff(tmp_path: Path) -> None:
    image, ids, classes = scene(np.random.default_rng(0))
    ids[:3, :5] = 0  # nobody knows
    data = read_dataset(write_panoptic(tmp_path, [(image, ids, classes)] * 3), ReadOptions())
    lesson = TASK.lesson(data, data.records[0], ids.shape)
    encoded = {name: torch.from_numpy(value[None]) for name, value in TASK.encode(lesson, data.classes).items()}
    (truth,) = object_truths(encoded, TASK.order(data.classes))
    assert sorted(truth.rows.tolist()) == sorted(index + 1 for index in classes)
    np.testing.assert_array_equal(truth.unknown.numpy(), ids == 0)
    for number, row in zip(truth.numbers.tolist(), truth.rows.tolist(), strict=True):
        own = ids[truth.ids.numpy() == number]
        assert len(np.unique(own)) == 1
        assert classes[own[0] - 1] == row - 1
        assert (ids == own[0]).sum() == len(own)


def test_the_least_score_and_the_least_area_are_fitted_by_panoptic_quality() -> None:
    """True things score 0.7 and false ones 0.5; false stuff has 20 pixels, and true stuff the rest."""
    size = (20, 20)
    ball = segment(3, slice(4, 9), slice(4, 9), 0.7, 1.0)
    found = (
        segment(1, slice(0, 20), slice(0, 20), 0.95, 0.5),
        ball,
        segment(3, slice(12, 16), slice(2, 6), 0.5, 1.0),
        segment(2, slice(18, 19), slice(0, 20), 0.9, 1.0),
    )
    labels = np.zeros(size, np.uint8)
    labels[4:9, 4:9] = 2
    truth = Instances(size, (Instance(2, 4, 4, np.ones((5, 5), bool)),))
    block = Block(slice(0, 20), slice(0, 20), torch.empty(0, *size), Instances(size, found))
    seen = [Seen(str(number), [block], Target(labels, instances=truth)) for number in range(3)]
    fitted = TASK.fit(iter(seen), 3, CLASSES, None)
    assert fitted.decoding == {"score": 0.6, "stuff": 64.0}
    assert fitted.notes[0].startswith("minimum score of a segment fitted on 3 validation images: 0.6 (PQ: ")
    judge = TASK.judge(CLASSES, fitted.decoding)
    judge.update("a", [block], seen[0].target)
    assert judge.score() == pytest.approx(judge.compute().mean["pq"].value)
    assert judge.compute().mean["pq_things"].value == 1.0
    early = TASK.judge(CLASSES, {})
    early.update("a", [block], seen[0].target)
    assert early.score() > early.compute().mean["pq"].value, "nothing is fitted yet, so other least scores count too"
    assert TASK.fit(iter([]), 0, CLASSES, None).decoding == {}


def test_the_segments_of_an_image_are_let_go_once_they_are_compared() -> None:
    """Those of stuff have the probability of each pixel: a few hundred images would hold gigabytes."""
    size, held = (20, 20), []
    stuff = segment(1, slice(0, 20), slice(0, 20), 0.95, 0.5)

    def seen() -> Iterator[Seen]:
        for number in range(4):
            assert not any(image() for image in held[:-1])
            target = Target(np.zeros(size, np.uint8), instances=Instances(size))
            held.append(weakref.ref(target))
            block = Block(slice(0, 20), slice(0, 20), torch.empty(0, *size), Instances(size, (stuff,)))
            yield Seen(str(number), [block], target)

    assert "fitted on 4 validation images" in TASK.fit(seen(), 4, CLASSES, None).notes[0]
