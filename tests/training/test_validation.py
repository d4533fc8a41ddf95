from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from maskwright.core.classes import IGNORE, Classes
from maskwright.core.plan import DataPlan, ModelPlan, PredictPlan
from maskwright.core.targets import Target
from maskwright.models.bundle import Card, CardClasses
from maskwright.training.validation import PICTURES, Validator

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Bright(nn.Module):
    """Says class 1 where the first channel is above its mean, class 0 elsewhere."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([-x[:, 0], x[:, 0], torch.full_like(x[:, 0], -1e9)], dim=1)


class Pictures:
    """A logger that keeps what it is shown."""

    def __init__(self) -> None:
        self.shown: dict[str, tuple[int, NDArray[np.uint8]]] = {}

    def picture(self, name: str, image: NDArray[np.uint8], step: int) -> None:
        self.shown[name] = (step, image)


def card(classes: int = 3, **sections: Any) -> Card:
    return Card(
        model=ModelPlan(),
        classes=CardClasses.of(Classes.named([f"class-{index}" for index in range(classes)])),
        data=DataPlan(mean=[100.0] * 3, std=[50.0] * 3, **sections.get("data", {})),
        predict=PredictPlan(tile=(64, 64), **sections.get("predict", {})),
    )


def pair(truth: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Target]:
    """An image whose upper half is bright, with a truth."""
    image = np.zeros((8, 12, 3), np.uint8)
    image[:4] = 200
    return image, Target(truth)


def halves(upper: int, lower: int) -> NDArray[np.uint8]:
    truth = np.full((8, 12), lower, np.uint8)
    truth[:4] = upper
    return truth


def score(*truths: NDArray[np.uint8], of: Card | None = None, loggers: Any = (), step: int = 7) -> float | None:
    validator = Validator([pair(truth) for truth in truths], of or card(), torch.device("cpu"), loggers)
    return validator(Bright(), step)


def test_golden_scores() -> None:
    assert score(halves(1, 0)) == 1.0
    assert score(halves(0, 1)) == 0.0
    # Over both images: class 1 is right in 48 of 96 pixels, class 0 in 48 of 48 + 48; class 2 is nowhere.
    assert score(halves(1, 0), halves(0, 0)) == pytest.approx((48 / 96 + 96 / 144) / 2)
    assert score(halves(1, 2)) == pytest.approx(1 / 3)


def test_what_is_ignored_does_not_count() -> None:
    assert score(halves(IGNORE, 0)) == 1.0
    assert score(halves(1, IGNORE)) == 1.0


def test_where_nothing_can_be_told_there_is_no_score() -> None:
    assert score() is None
    assert score(halves(IGNORE, IGNORE)) is None
    single = Validator([pair(halves(0, 0))], card(classes=1), torch.device("cpu"))
    assert single(nn.Conv2d(3, 1, 1), 7) is None


def test_the_pairs_are_prepared_already() -> None:
    """Neither shrunk nor stretched once more, and predicted once, whatever the plan says of prediction."""
    settings = {
        "data": {"scale": 0.25, "value_range": [(0.0, 1.0)] * 3},
        "predict": {"flip": True, "scales": (0.5, 2.0)},
    }
    stripes = np.tile(np.array([0, 1], np.uint8), (8, 6))
    image = np.repeat(200 * stripes[..., None], 3, axis=2)
    assert Validator([(image, Target(stripes))], card(**settings), torch.device("cpu"))(Bright(), 1) == 1.0
    calls: list[int] = []

    class Counted(Bright):
        def forward(self, x: Tensor) -> Tensor:
            calls.append(len(x))
            return super().forward(x)

    Validator([pair(halves(1, 0))], card(**settings), torch.device("cpu"))(Counted(), 1)
    assert len(calls) == 1


def test_the_network_in_training_stays_as_it_is() -> None:
    """Prediction runs a copy: a memory format that changed would change the sums of the average, and so its bits."""

    class Trained(Bright):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)
            self.norm = nn.BatchNorm2d(3)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(self.conv(x))

    network = Trained().train()
    strides, before = network.conv.weight.stride(), {key: value.clone() for key, value in network.state_dict().items()}
    assert Validator([pair(halves(1, 0))], card(), torch.device("cpu"))(network, 1) is not None
    assert network.training
    assert network.norm.training
    assert network.conv.weight.stride() == strides
    assert network.conv.weight.is_contiguous()
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_the_first_pictures_are_shown_truth_beside_prediction() -> None:
    kept = Pictures()
    score(*[halves(0, 0)] * (PICTURES + 2), loggers=[kept], step=9)
    assert len(kept.shown) == PICTURES
    step, picture = kept.shown["validation/0-truth-and-prediction"]
    assert step == 9
    assert picture.shape == (8, 24, 3)
    assert not np.array_equal(picture[:2, :12], picture[:2, 12:])
    assert np.array_equal(picture[6:, :12], picture[6:, 12:])
