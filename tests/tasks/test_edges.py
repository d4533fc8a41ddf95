"""The task `edges`: what is learnt, decoded, scored, drawn and written."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from tests.tasks.blocks import blocks

from maskwright import losses
from maskwright.core.channels import Channels
from maskwright.core.classes import IGNORE
from maskwright.core.edges import Edges
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import EdgesPlan, LossPlan, Plan
from maskwright.core.targets import Target
from maskwright.data.edges import EDGE_CLASSES
from maskwright.data.geometry import CropView
from maskwright.data.results import written_by_us
from maskwright.data.targets import shrunk, warped, without
from maskwright.ops import draw
from maskwright.tasks import edge_judge, find_task
from maskwright.tasks.base import Seen
from maskwright.tasks.edge_loss import edge_targets
from maskwright.tasks.edge_map import EdgeMap, Linking
from maskwright.tasks.edge_pictures import compared

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TASK = find_task("edges")
SIZE = (240, 320)
"""Its diagonal is 400, so edges match within 3 pixels."""


def circle(radius: int = 70) -> NDArray[np.bool_]:
    """Draw a circle of one pixel."""
    picture = np.zeros(SIZE, np.uint8)
    cv2.circle(picture, (160, 120), radius, 1, 1)
    return picture > 0


def target(*people: NDArray[np.bool_]) -> Target:
    labels = np.any(people, axis=0).astype(np.uint8)
    return Target(labels, edges=Edges.of(people, SIZE))


def soft(drawn: NDArray[np.bool_], top: float = 0.9) -> torch.Tensor:
    """Return maps (1, H, W) with a ridge along what was drawn."""
    blurred = cv2.GaussianBlur(drawn.astype(np.float32), (0, 0), 1)
    return torch.from_numpy(top * blurred / blurred.max())[None]


def test_there_is_one_channel() -> None:
    assert TASK.channels(EDGE_CLASSES) == (Channels(name="edges", count=1, activation="sigmoid"),)


def test_disputed_pixels_are_left_out() -> None:
    shares = torch.tensor([[[[0.0, 0, 0, 0.2, 0, 0, 0.3, 0, 0, 0, torch.nan]]]])
    ignored = IGNORE
    expected = [0, 0, 0, ignored, 0, 0, 1, 0, 0, 0, ignored]
    assert edge_targets(shares, 0.3, 1)[0, 0].tolist() == expected
    expected = [0, 0, ignored, ignored, ignored, 1, 1, 1, 0, 0, ignored]
    assert edge_targets(shares, 0.3, 3)[0, 0].tolist() == expected
    assert edge_targets(shares, 0.2, 1)[0, 0].tolist()[3] == 1


def test_the_loss_is_that_of_the_plan_on_these_labels() -> None:
    plan = Plan(task="edges", loss=LossPlan(terms={"balanced_cross_entropy": 1.0, "dice": 0.5}))
    plan.edges = EdgesPlan(share=0.5, width=3)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1, 12, 10, generator=generator)
    shares = torch.rand(2, 1, 12, 10, generator=generator) * (torch.rand(2, 1, 12, 10, generator=generator) < 0.05)
    wanted = losses.weighted_sum(plan.loss, TASK.channels(EDGE_CLASSES)[0])(logits, edge_targets(shares, 0.5, 3))
    torch.testing.assert_close(TASK.loss(plan, EDGE_CLASSES)({"edges": logits}, {"edges": shares}), wanted)


def test_balanced_by_hand() -> None:
    """One edge and four pixels without: weights 4/5 and 1.1/5; losses ln 2 at logit 0, softplus(5) beside it."""
    plan = Plan(task="edges", loss=LossPlan(terms={"balanced_cross_entropy": 1.0}))
    shares = torch.tensor([[[[1.0, 0, 0, 0, 0]]]])
    logits = torch.tensor([[[[0.0, 5, 0, 0, 0]]]])
    found = TASK.loss(plan, EDGE_CLASSES)({"edges": logits}, {"edges": shares})
    losses_by_hand = 0.8 * np.log(2) + 0.22 * (np.log1p(np.exp(5)) + 3 * np.log(2))
    assert float(found) == pytest.approx(losses_by_hand / (0.8 + 4 * 0.22), abs=1e-6)


def test_shares_follow_the_crop() -> None:
    shares = np.zeros((1, *SIZE), np.float32)
    shares[0, 10, 20] = 0.4
    whole = Target(np.zeros(SIZE, np.uint8), shares)
    crop = warped(whole, CropView(np.eye(2), np.array([21.0, 11.0]), (4, 4)))
    encoded = TASK.encode(crop, EDGE_CLASSES)["edges"]
    assert encoded.shape == (1, 4, 4)
    assert np.argwhere(encoded[0] > 0).tolist() == [[1, 1]]
    assert encoded[0, 1, 1] == pytest.approx(0.4)


def test_edges_follow_the_working_size_and_gaps() -> None:
    drawn = np.zeros(SIZE, bool)
    drawn[20, 40] = True
    found = target(drawn)
    half = shrunk(found, (120, 160))
    assert half.edges is not None
    assert np.argwhere(half.edges.maps()[0]).tolist() == [[10, 20]]
    gone = np.zeros(SIZE, bool)
    gone[:30] = True
    left = without(found, gone)
    assert left.edges is not None
    assert not left.edges.people[0].size


def test_the_truth_scores_one() -> None:
    truth = target(circle(70), circle(70), np.zeros(SIZE, bool) | circle(70))
    judge = TASK.judge(EDGE_CLASSES, {})
    judge.update("a", blocks(soft(circle(70)), 100, 133), truth)
    scores = judge.compute()
    assert scores.headline == "ods"
    values = {key: estimate.value for key, estimate in scores.mean.items()}
    assert values["ods"] == values["ois"] == values["precision"] == values["recall"] == 1.0
    quick = TASK.judge(EDGE_CLASSES, {}, quick=True)
    assert quick.score() is None
    quick.update("a", blocks(soft(circle(70))), truth)
    assert quick.score() == 1.0


def test_a_quick_judge_does_not_look_for_the_shortest_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, bool]] = []

    def counted(strength: Any, people: Any, thresholds: int, *, pool: Any, quick: bool = False) -> Any:
        asked.append((thresholds, quick))
        return np.ones((thresholds, 4), np.int64)

    monkeypatch.setattr(edge_judge, "edge_counts", counted)
    for quick in (False, True):
        TASK.judge(EDGE_CLASSES, {}, quick=quick).update("a", blocks(soft(circle())), target(circle()))
    assert asked == [(99, False), (9, True)]


def test_the_seconds_of_a_judge_are_foretold_from_a_few_thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 5.0

    def slow(strength: Any, people: Any, thresholds: int, *, pool: Any) -> None:
        nonlocal now
        assert thresholds == 4
        now += 0.5 * thresholds

    def predicted() -> Any:
        nonlocal now
        now += 3.0
        yield from blocks(soft(circle()))

    monkeypatch.setattr(edge_judge, "cores", lambda: 4)
    monkeypatch.setattr(edge_judge, "workers", lambda: None)
    monkeypatch.setattr(edge_judge, "edge_counts", slow)
    monkeypatch.setattr(edge_judge.time, "monotonic", lambda: now)
    assert TASK.judging_seconds(predicted(), target(circle()), EDGE_CLASSES) == pytest.approx(3 + 0.5 * 99)
    assert now == 10.0


def test_what_is_found_where_nothing_is_known_does_not_count() -> None:
    truth = target(circle(70))
    maps = soft(circle(70) | circle(90))
    judge = TASK.judge(EDGE_CLASSES, {})
    judge.update("a", blocks(maps), truth)
    assert judge.compute().score.value < 0.9
    labels = truth.labels.copy()
    labels[(circle(90) | (soft(circle(90))[0].numpy() > 0)) & (labels == 0)] = IGNORE
    judge = TASK.judge(EDGE_CLASSES, {})
    judge.update("a", blocks(maps), Target(labels, edges=truth.edges))
    assert judge.compute().score.value == 1.0


def test_no_edge_anywhere_is_no_score() -> None:
    judge = TASK.judge(EDGE_CLASSES, {})
    with pytest.raises(MaskwrightError, match="nothing to score"):
        judge.compute()
    judge.update("a", blocks(soft(circle())), target(np.zeros(SIZE, bool)))
    assert judge.score() is None


def test_pixels_without_data_have_no_edge() -> None:
    maps = soft(circle())
    maps[0, :, :150] = torch.nan
    found = TASK.decode(blocks(maps, 100, 100), SIZE, EDGE_CLASSES, {"high": 0.4, "low": 0.2})
    assert np.isnan(found.strength[:, :150]).all()
    assert not found.lines[:, :148].any()
    assert found.lines[:, 152:].any()


def test_weak_ridges_continue_strong_ones() -> None:
    strong, weak = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
    strong[30, 20:40] = weak[30, 40:60] = weak[45, 20:60] = True
    strength = np.maximum(soft(strong)[0].numpy(), 0.5 * soft(weak)[0].numpy())
    both = EdgeMap(strength, Linking(0.6, 0.2)).lines
    assert both[29:32, 20:58].any(axis=0).all()
    assert not both[40:].any()
    assert not EdgeMap(strength, Linking(0.6, 0.6)).lines[:, 44:].any()


def test_the_fit_finds_the_thresholds() -> None:
    """The true circle has a strength of 0.6 and a false one of 0.3: the best threshold lies between."""
    true, false = circle(70), circle(90)
    maps = torch.from_numpy(np.maximum(soft(true, 0.6).numpy(), soft(false, 0.3).numpy()))
    seen = [Seen(str(number), blocks(maps), target(true)) for number in range(3)]
    found = TASK.fit(iter(seen), 3, EDGE_CLASSES, None)
    assert 0.2 < found.decoding["low"] <= found.decoding["high"] < 0.6
    assert re.search(r"F1 1\.000 on 3 validation images", found.notes[0])
    result = TASK.decode(blocks(maps), SIZE, EDGE_CLASSES, found.decoding)
    assert not (result.lines & (cv2.dilate(false.astype(np.uint8), np.ones((3, 3))) > 0)).any()
    assert TASK.fit(iter([]), 0, EDGE_CLASSES, None).decoding == {}


def test_the_fit_lets_weak_ridges_continue_strong_lines() -> None:
    """Half of the true circle is as weak as a false one, so one threshold cannot tell them apart."""
    true, false = circle(70), circle(90)
    weak = true.copy()
    weak[: SIZE[0] // 2] = False
    strength = np.maximum(soft(true & ~weak, 0.6).numpy(), soft(weak, 0.33).numpy())
    maps = torch.from_numpy(np.maximum(strength, soft(false, 0.33).numpy()))
    seen = [Seen(str(number), blocks(maps), target(true)) for number in range(3)]
    found = TASK.fit(iter(seen), 3, EDGE_CLASSES, None)
    assert found.decoding["low"] < found.decoding["high"]
    assert re.match(r"lines start at a strength of (0\.\d\d) and go on down to (?!\1)", found.notes[0])


def test_the_fit_keeps_its_deadline() -> None:
    seen = [Seen(str(number), blocks(soft(circle())), target(circle())) for number in range(3)]
    found = TASK.fit(iter(seen), 3, EDGE_CLASSES, 0.0)
    assert re.match(r"lines have a strength of at least 0\.\d\d: F1 .* on 1 validation image$", found.notes[0])
    assert found.decoding["low"] == found.decoding["high"]


def test_errors_by_hand() -> None:
    truth, missed, wrong = (np.zeros(SIZE, bool) for _ in range(3))
    truth[10, 10:70] = missed[30, 10:70] = wrong[50, 10:70] = True
    result = EdgeMap(soft(truth | wrong)[0].numpy(), Linking(0.5, 0.3))
    right, unseen, false = compared(target(truth | missed, truth | missed), result)
    assert right[10, 12:68].all()
    assert not right[20:].any()
    assert np.array_equal(unseen[30], missed[30])
    assert false[50, 12:68].all()
    painted = TASK.paint(np.zeros((*SIZE, 3), np.uint8), target(truth | missed), result, EDGE_CLASSES)
    assert [panel.title for panel in painted.panels] == ["image", "truth", "prediction", "errors"]
    assert painted.panels[3].pixels[50, 40].tolist() == list(draw.FALSE_POSITIVE)
    assert painted.panels[3].pixels[30, 40].tolist() == list(draw.FALSE_NEGATIVE)
    assert painted.note == (
        "50.0% of the pixels of predicted lines are near a drawn edge; 50.0% of the agreed edge pixels are missed."
    )
    nothing = TASK.paint(
        np.zeros((*SIZE, 3), np.uint8), target(truth), EdgeMap(np.zeros(SIZE, np.float32)), EDGE_CLASSES
    )
    assert nothing.note == "No edge is predicted."


def written(kind: str, folder: Path, result: EdgeMap) -> Path:
    writer = TASK.writers[kind]
    path = folder / f"{kind}{writer.suffix}"
    assert writer.write is not None
    writer.write(path, np.zeros((*SIZE, 3), np.uint8), result, EDGE_CLASSES)
    assert written_by_us(path)
    return path


def test_files(tmp_path: Path) -> None:
    result = EdgeMap(soft(circle())[0].numpy(), Linking(0.4, 0.2))
    result.strength[0, 0] = np.nan
    with Image.open(written("strength", tmp_path, result)) as picture:
        strength = np.asarray(picture)
    assert np.allclose(strength / 65535, np.nan_to_num(result.strength), atol=1e-5)
    with Image.open(written("thin", tmp_path, result)) as picture:
        assert np.array_equal(np.asarray(picture) == 255, result.lines)
    with Image.open(written("overlay", tmp_path, result)) as picture:
        assert picture.size == SIZE[::-1]
    found: dict[str, Any] = json.loads(written("geojson", tmp_path, result).read_text())
    lines = [np.array(feature["geometry"]["coordinates"]) for feature in found["features"]]
    assert len(lines) == len(result.traced()) >= 1
    distances = np.hypot(*(np.concatenate(lines) - (160.5, 120.5)).T)
    assert np.abs(distances - 70).max() < 1
    assert 0.5 < found["features"][0]["properties"]["strength"] <= 0.9
    svg = written("svg", tmp_path, result).read_text()
    assert svg.startswith('<svg xmlns="http://www.w3.org/2000/svg" width="320" height="240"')
    assert svg.count("<polyline ") == len(lines)
    assert TASK.describe(result, EDGE_CLASSES)["edge_pixels"] == result.lines.sum() > 300
