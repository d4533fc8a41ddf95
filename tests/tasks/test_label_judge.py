"""Scores from blocks of probabilities, without the probabilities of the whole image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tasks.blocks import blocks

from maskwright.core.classes import IGNORE, Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.targets import Target
from maskwright.metrics import Judge
from maskwright.tasks.label_judge import LabelJudge

NAMES = ("road", "car", "sky")
CLASSES = Classes.named(NAMES)


def image(seed: int, size: tuple[int, int], classes: int = 3) -> tuple[torch.Tensor, np.ndarray]:
    """Probabilities (K, H, W) and a truth of which a part is ignored."""
    rng = np.random.default_rng(seed)
    maps = rng.dirichlet(np.ones(classes), size).transpose(2, 0, 1).astype(np.float32)
    truth = rng.choice(np.array([*range(classes), IGNORE], np.uint8), size)
    return torch.from_numpy(maps), truth


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    height=st.integers(1, 14),
    width=st.integers(1, 14),
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
)
def test_blocks_of_any_size_are_scored_like_whole_probabilities(
    seed: int, height: int, width: int, rows: int, columns: int
) -> None:
    """The judge of whole images is the second opinion; calibration looks at every fourth pixel, wherever blocks end."""
    whole, parts = Judge(NAMES, 1.7), LabelJudge(CLASSES, 1.7)
    for index in range(2):
        maps, truth = image(seed + index, (height, width))
        whole.update(str(index), maps.numpy(), truth, group=str(index))
        parts.update(str(index), blocks(maps, rows, columns), Target(truth), group=str(index))
    assert parts.compute() == whole.compute()


def test_a_quick_judge_finds_the_same_headline() -> None:
    full, quick = LabelJudge(CLASSES), LabelJudge(CLASSES, quick=True)
    for index in range(3):
        maps, truth = image(index, (9, 8))
        for judge in (full, quick):
            judge.update(str(index), blocks(maps, 4), Target(truth))
    assert quick.score() == pytest.approx(full.compute().score.value)


def test_a_quick_judge_by_hand() -> None:
    judge = LabelJudge(CLASSES, quick=True)
    maps = torch.eye(3)[:, torch.tensor([[0, 0, 1, 1]])]
    judge.update("a", blocks(maps), Target(np.array([[0, 1, 1, IGNORE]], np.uint8)))
    assert judge.score() == pytest.approx((1 / 2 + 1 / 2) / 2)


def test_without_a_labelled_pixel_there_is_no_score() -> None:
    judge = LabelJudge(CLASSES, quick=True)
    assert judge.score() is None
    maps, truth = image(0, (4, 4))
    judge.update("a", blocks(maps), Target(np.full_like(truth, IGNORE)))
    assert judge.score() is None
    with pytest.raises(MaskwrightError, match="nothing to score"):
        LabelJudge(CLASSES).compute()


def test_a_single_class_has_no_headline_to_choose_by() -> None:
    judge = LabelJudge(Classes.named(["there"]), quick=True)
    judge.update("a", blocks(torch.tensor([[[0.2, 0.9]]])), Target(np.array([[0, 0]], np.uint8)))
    assert judge.score() is None
    with pytest.raises(MaskwrightError, match="the only class is there, so there is nothing to mistake it for"):
        LabelJudge(Classes.named(["there"]))
