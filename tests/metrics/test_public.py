from __future__ import annotations

import numpy as np
import pytest
import torch

from maskwright import metrics
from maskwright.core.errors import MaskwrightError
from maskwright.core.instances import Instance, Instances


def test_what_is_promised_is_there_and_has_a_docstring() -> None:
    assert metrics.__all__ == sorted(metrics.__all__)
    for name in metrics.__all__:
        assert getattr(metrics, name).__doc__


def test_masks_to_numbers_with_the_public_names_alone() -> None:
    truth = np.array([[0, 0, 1, 255]], np.uint8)
    prediction = np.array([[0, 1, 1, 1]], np.uint8)
    counts = metrics.per_class(metrics.confusion_matrix(prediction, truth, 2))
    assert metrics.iou(counts).tolist() == [0.5, 0.5]
    assert metrics.mean_defined(metrics.dice(counts)) == pytest.approx(2 / 3)
    judge = metrics.Judge(["ground", "thing"])
    judge.update("a.png", prediction, truth)
    scores = judge.compute()
    assert isinstance(scores, metrics.Scores)
    assert scores.mean["iou"].value == 0.5


def test_objects_of_another_program_with_the_public_names_alone() -> None:
    truth = np.zeros((20, 30), np.uint16)
    truth[2:8, 2:8], truth[12:18, 12:18] = 7, 60_000
    found = np.zeros((20, 30), np.int64)
    found[2:8, 2:8], found[10:12, 25:29] = 1 << 40, 2
    judge = metrics.ObjectJudge()
    judge.update("a.png", found, truth)
    scores = judge.compute().mean
    assert (scores["f1"].value, scores["predicted"].value, scores["aji"].value) == (0.5, 2, 36 / (72 + 8))


@pytest.mark.parametrize("names", [("background", "cell"), ("cell", "background"), ("cell",)])
def test_the_objects_of_a_map_are_of_a_class_with_objects(names: tuple[str, ...]) -> None:
    ids = np.zeros((8, 8), np.uint64)
    ids[:2, :2], ids[5:, 5:] = 2**60, 2**60 + 1  # the same number in float64
    judge = metrics.ObjectJudge(names)
    judge.update("a.png", ids, ids)
    scores = judge.compute()
    assert [entry.name for entry in scores.classes] == ["cell"]
    assert (judge.score(), scores.mean["objects"].value) == (1.0, 2)


def test_objects_of_the_background_are_refused() -> None:
    with pytest.raises(MaskwrightError, match="the only class is background, which has no objects"):
        metrics.ObjectJudge(["background"])
    objects = Instances((4, 4), (Instance(0, 0, 0, np.ones((2, 2), bool)),))
    with pytest.raises(MaskwrightError, match=r"class index 0, but .* an index among 1, 2"):
        metrics.ObjectJudge(["background", "a", "b"]).update("a.png", objects, objects)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            np.zeros((4, 4)),
            r"a.png: the instance map is an array of float64 of shape \(4, 4\), but it must be int",
        ),
        (np.zeros((4, 4, 3), np.uint8), r"of uint8 of shape \(4, 4, 3\)"),
        (np.full((4, 4), -1), "one id from 1 for each object"),
        (np.zeros((4, 5), np.uint8), r"image of \(4, 5\) \(height, width\), and the annotated ones in one of \(4, 4\)"),
        (Instances((4, 4), (Instance(2, 0, 0, np.ones((2, 2), bool)),)), r"class index 2, but there are 2 classes"),
        (Instances((4, 4), (Instance(1, 0, 0, np.zeros((2, 2), bool)),)), "has 0 pixels and a score of 1: it must"),
        (Instances((4, 4), (Instance(1, 3, 0, np.ones((2, 2), bool)),)), "at row 3, column 0 has 4 pixels .* within"),
        (Instances((4, 4), (Instance(1, 0, 0, np.ones((2, 2), bool), np.nan),)), "a score of nan: .* a finite score"),
        (np.zeros((0, 4), np.uint8), r"of uint8 of shape \(0, 4\)"),
        ([[0.5, 1]], "of float64 of shape"),
    ],
)
def test_what_is_no_instance_map_is_refused(found, words: str) -> None:
    with pytest.raises(MaskwrightError, match=words):
        metrics.ObjectJudge().update("a.png", found, np.zeros((4, 4), np.uint8))


def test_masks_of_whole_images_count_like_masks_of_boxes() -> None:
    whole = np.zeros((20, 30), bool)
    whole[3:9, 12:20] = True
    judge = metrics.ObjectJudge()
    large, tight = (Instance(1, *place) for place in ((0, 0, whole), (3, 12, np.ones((6, 8), bool))))
    judge.update("a.png", Instances((20, 30), (large,)), Instances((20, 30), (tight,)))
    scores = judge.compute().mean
    assert (scores["f1"].value, scores["mask_ap"].value, scores["box_ap"].value) == (1, 1, 1)


def test_maps_may_be_lists_and_tensors_but_no_image_counts_twice() -> None:
    judge = metrics.ObjectJudge()
    judge.update("a.png", [[0, 1], [0, 2]], torch.tensor([[0, 1], [0, 2]]))
    assert judge.compute().mean["f1"].value == 1
    with pytest.raises(MaskwrightError, match=r"a.png was judged before: give each image a name of its own"):
        judge.update("a.png", [[0, 1]], [[0, 1]])
