"""Paired differences of two models: by hand, against a bootstrap, and for the scores of every task."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tests.metrics.objects import flat_scene, scene

from maskwright.core.classes import Classes
from maskwright.core.errors import MaskwrightError
from maskwright.metrics import Judge
from maskwright.metrics.edge_summary import ImageEdges, edge_scores
from maskwright.metrics.intervals import _student
from maskwright.metrics.object_overlap import compare
from maskwright.metrics.object_summary import ComparedImage, object_scores
from maskwright.metrics.paired import check_same, difference, rows_of
from maskwright.metrics.panoptic_summary import panoptic_scores
from maskwright.metrics.scores import ClassScores, Estimate, ImageScore, Metric, Scores

ERROR = Metric("mae", "Mean error", "Mean distance.", unit="", higher_is_better=False)
CLASSES = Classes.named(("background", "cell", "grain"))


def of_values(values: list[float], groups: list[str | None] | None = None) -> Scores:
    """Return the scores of a mean over images, or over groups of equal size."""
    names = [None] * len(values) if groups is None else groups
    keys = list(dict.fromkeys(name or str(place) for place, name in enumerate(names)))
    sums = {key: [value for value, name in zip(values, names, strict=True) if (name or None) == key] for key in keys}
    total, count = sum(values), len(values)
    if groups is None:
        without = [(total - value) / (count - 1) for value in values]
    else:
        without = [(total - sum(sums[key])) / (count - len(sums[key])) for key in keys]
    return Scores(
        task="depth",
        metrics=(ERROR,),
        image_metrics=(ERROR,),
        headline="mae",
        images=count,
        groups=0,
        classes=(),
        mean={"mae": Estimate(total / count, None, None, np.array(without))},
        per_image=tuple(ImageScore(str(place), name, {"mae": values[place]}) for place, name in enumerate(names)),
    )


def judged(seed: int, wrong: float, images: int = 24) -> Scores:
    """Judge label maps of three classes, each pixel wrong with a probability that depends on the image."""
    judge = Judge(CLASSES.names, surfaces=False)
    for place in range(images):
        hard = np.random.default_rng(place)
        truth = hard.integers(0, 3, (20, 20)).astype(np.uint8)
        rng = np.random.default_rng((seed, place))
        flip = rng.random(truth.shape) < wrong * (0.2 + hard.random())
        judge.update(str(place), np.where(flip, (truth + 1) % 3, truth).astype(np.uint8), truth)
    return judge.compute()


def test_the_one_sided_table_agrees_with_scipy() -> None:
    freedom = np.geomspace(1, 1e5, 500)
    np.testing.assert_allclose(_student(freedom, one_sided=True), stats.t.ppf(0.95, freedom), rtol=0.004)


def test_by_hand() -> None:
    # The second is larger by 1 and by 3 in turn: mean 2, standard error sqrt(6 x 1 / 30) = 0.44721. The squares of the
    # six deviations are alike, so 1.5 x 6 = 9 degrees of freedom, cut to 5: t = 2.5706, and one-sided 2.0150.
    first = [5.0, 50, 500, 7, 70, 700]
    second = [value + change for value, change in zip(first, [1, 3] * 3, strict=True)]
    found = difference(of_values(first), of_values(second), "mae")
    assert found.value == pytest.approx(2)
    assert (found.low, found.high) == pytest.approx((2 - 2.5706 * 0.44721, 2 + 2.5706 * 0.44721), rel=1e-3)
    least = difference(of_values(first), of_values(second), "mae", one_sided=True)
    assert least.low == pytest.approx(2 - 2.0150 * 0.44721, rel=1e-3)


def test_groups_count_once() -> None:
    first, groups = [1.0, 2, 3, 4, 5, 6, 7, 8], ["a", "a", "b", "b", "c", "c", "d", "d"]
    second = [value + change for value, change in zip(first, [1, 1, 3, 3, 1, 1, 3, 3], strict=True)]
    found = difference(of_values(first, groups), of_values(second, groups), "mae")
    # Four rows that differ by 1 and 3: standard error sqrt(4 / 12), three degrees of freedom: t = 3.1824.
    assert found.low == pytest.approx(2 - 3.1824 * (1 / 3) ** 0.5, rel=1e-3)


def test_too_few_images_give_no_interval() -> None:
    first, second = of_values([1.0, 2, 3]), of_values([2.0, 3, 5])
    assert difference(first, second, "mae") == Estimate(pytest.approx(4 / 3), None, None)


def test_images_that_tell_nothing_apart_give_no_interval() -> None:
    first = of_values([1.0, 2, 3, 4, 5])
    assert difference(first, first, "mae") == Estimate(0.0, None, None)
    # Every image moves the same way, so no row moves the difference.
    assert difference(first, of_values([2.0, 3, 4, 5, 6]), "mae").low is None


def test_the_interval_is_that_of_a_bootstrap_of_the_images() -> None:
    """IoU is no mean over images, so the bootstrap sums the counts of the images drawn, and takes the difference."""
    first, second = judged(1, 0.30), judged(2, 0.26)
    found = difference(first, second, "iou")
    assert found.low is not None
    assert found.high is not None
    counts = [_counts(seed, wrong) for seed, wrong in ((1, 0.30), (2, 0.26))]
    rng, drawn = np.random.default_rng(0), []
    for _ in range(4000):
        chosen = rng.integers(0, 24, 24)
        drawn.append(_iou(counts[1][chosen].sum(0)) - _iou(counts[0][chosen].sum(0)))
    assert found.value == pytest.approx(_iou(counts[1].sum(0)) - _iou(counts[0].sum(0)))
    width = stats.t.ppf(0.975, 23) * float(np.std(drawn))
    assert (found.high - found.low) / 2 == pytest.approx(width, rel=0.2)


def _counts(seed: int, wrong: float) -> np.ndarray:
    rows = []
    for place in range(24):
        hard = np.random.default_rng(place)
        truth = hard.integers(0, 3, (20, 20))
        flip = np.random.default_rng((seed, place)).random(truth.shape) < wrong * (0.2 + hard.random())
        seen = np.where(flip, (truth + 1) % 3, truth)
        rows.append([[((seen == k) & (truth == k)).sum(), ((seen == k) | (truth == k)).sum()] for k in range(3)])
    return np.array(rows, np.float64)


def _iou(counts: np.ndarray) -> float:
    return float((counts[:, 0] / counts[:, 1]).mean())


def test_the_pair_is_sharper_than_its_parts() -> None:
    first, second = judged(1, 0.30), judged(2, 0.20)
    found, alone = difference(first, second, "iou"), second.score
    assert _width(found) < 0.7 * _width(alone)


def _width(estimate: Estimate) -> float:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.high - estimate.low


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9)), min_size=4, max_size=9), st.randoms())
def test_turned_round_and_in_another_order_it_is_the_same(pairs: list[tuple[float, float]], random) -> None:
    first, second = (of_values([pair[place] for pair in pairs]) for place in (0, 1))
    there, back = difference(first, second, "mae"), difference(second, first, "mae")
    assert there.value == -back.value  # type: ignore[operator]
    assert (there.low is None) == (back.low is None)
    if there.low is not None and back.high is not None:
        assert there.low == pytest.approx(-back.high)
    order = list(range(len(pairs)))
    random.shuffle(order)
    rows = second.mean["mae"].without
    assert rows is not None
    mixed = replace(
        second,
        per_image=tuple(second.per_image[place] for place in order),
        mean={"mae": replace(second.mean["mae"], without=rows[order])},
    )
    assert difference(first, mixed, "mae") == there


def test_a_class_is_compared_by_its_own_images() -> None:
    first, second = judged(1, 0.30), judged(2, 0.20)
    found = [difference(first, second, "iou", name) for name in CLASSES.names]
    values = [entry.value for entry in found]
    assert np.mean(values) == pytest.approx(difference(first, second, "iou").value)  # type: ignore[arg-type]
    assert all(entry.low is not None for entry in found)


@pytest.mark.parametrize("task", ["semantic", "instance", "panoptic", "edges"])
def test_every_task_knows_its_rows_also_after_a_trip_through_json(task: str) -> None:
    first, second = (scores_of(task, seed) for seed in (0, 1))
    for scores in (first, second):
        assert scores.score.without is not None
        assert len(scores.score.without) == len(rows_of(scores)) == 12
    found = difference(first, second, first.headline)
    assert found.low is not None
    read = [Scores.from_json(json.loads(json.dumps(each.to_json(), allow_nan=False))) for each in (first, second)]
    assert difference(*read, first.headline) == found
    for entry in first.classes:
        assert difference(*read, first.headline, entry.name) == difference(first, second, first.headline, entry.name)


def scores_of(task: str, seed: int) -> Scores:
    if task == "semantic":
        return judged(seed, 0.2, 12)
    if task == "edges":
        rows = []
        for place in range(12):
            rng = np.random.default_rng((seed, place))
            truth = 20 + place
            found = np.sort(rng.integers(5, 40, 3))[::-1]
            right = np.minimum(np.minimum(found, truth) - rng.integers(0, 4), truth)
            rows.append(
                ImageEdges(
                    str(place), None, np.stack([right, np.full(3, truth), right, found], axis=1).astype(np.int64)
                )
            )
        return edge_scores("edges", rows)
    draw = flat_scene if task == "panoptic" else scene
    pictures = []
    for place in range(12):
        truth, _ = draw(place)
        _, prediction = draw(place if (place + seed) % 2 else place + 100)
        pictures.append(ComparedImage(str(place), None, compare(truth, prediction)))
    if task == "panoptic":
        return panoptic_scores("panoptic", replace(CLASSES, things=frozenset({1})), pictures)
    return object_scores("instance", CLASSES, pictures)


def test_other_images_classes_and_tasks_are_refused() -> None:
    first, second = of_values([1.0, 2, 3, 4]), of_values([1.0, 2, 3, 4, 5])
    with pytest.raises(MaskwrightError, match=r"not scored on the same images \(for example 4\)"):
        check_same(first, second)
    with pytest.raises(MaskwrightError, match="one model is for the task depth, the other for edges"):
        check_same(first, replace(first, task="edges"))
    named = replace(first, classes=(ClassScores("road", 1, 1, {}),))
    with pytest.raises(MaskwrightError, match="the same classes"):
        check_same(first, named)
    grouped = of_values([1.0, 2, 3, 4], ["a", "a", "b", "b"])
    with pytest.raises(MaskwrightError, match="not scored on the same images"):
        check_same(first, grouped)


def test_an_undefined_value_has_no_difference() -> None:
    first = of_values([1.0, 2, 3, 4])
    nothing = replace(first, mean={"mae": Estimate(None, None, None)})
    assert difference(first, nothing, "mae") == Estimate(None, None, None)
