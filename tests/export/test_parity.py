"""The figures of the comparison, by hand, and that tiles of two sizes are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.workflows import toy_data as toy

import maskwright as mw
from maskwright.core.channels import Channels
from maskwright.exporting.parity import Agreement, Parity, Side, agreement, labels
from maskwright.inference.predictor import Predictor

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor


class SmallOnly:
    """An engine that is right for the tiles of the card, and wrong for larger ones."""

    def __init__(self, engine: Any) -> None:
        self.engine, self.device, self.batch = engine, engine.device, engine.batch

    def forward(self, tiles: Any) -> Tensor:
        maps: Tensor = self.engine.forward(tiles)
        return -maps if max(tiles.shape[1:3]) > 100 else maps


def test_a_network_that_is_right_at_one_size_only_is_found(run: Path) -> None:
    trained = mw.load(run, "cpu")
    image, _ = toy.picture(5)
    assert agreement(trained, trained, [image]) == Agreement(1, 1.0, 0.0)
    found = agreement(trained, Predictor(SmallOnly(trained.engine), trained.card), [image])
    assert found.labels < 0.98
    assert found.largest > 0.3


def parity(score: float, same: float) -> Parity:
    return Parity("IoU", True, (64, 64), Agreement(8, same, 0.1), Side(0.80, 12.0, 100), Side(score, 4.0, 50))


def test_the_loss_is_in_points_and_the_rule_in_the_message() -> None:
    assert parity(0.794, 1).loss == pytest.approx(0.6)
    assert parity(0.794, 1).speedup == 3
    assert parity(0.794, 1).fault(0.7) is None
    assert parity(0.794, 1).fault(0.5) == "the export loses 0.60 points of IoU, and 0.5 are allowed"
    assert parity(0.8, 0.975).fault(0.5) == "only 97.5 % of the pixels keep their label, and 98 % must"
    assert parity(0.8, 0.975).fault(0.5, rounded=True) is None
    assert parity(0.8, 1).fault(0.5, exact=True) == "the maps differ by up to 0.1, and 0.01 is the limit in float32"
    assert parity(0.794, 0.975).fault(0.5, rounded=True) == "the export loses 0.60 points of IoU, and 0.5 are allowed"


def test_a_higher_error_is_a_loss() -> None:
    found = Parity("RMSE", False, (64, 64), Agreement(8, 1, 0.1), Side(0.10, 12.0, 100), Side(0.13, 4.0, 50))
    assert found.loss == pytest.approx(3)
    assert found.fault(0.5) == "the export loses 3.00 points of RMSE, and 0.5 are allowed"


def test_labels_of_each_activation() -> None:
    maps = np.array([[[0.6, 0.2]], [[0.3, 0.7]]], np.float32)
    assert labels(maps, [Channels(name="classes", count=2, activation="softmax")]).tolist() == [[0, 1]]
    assert labels(maps, [Channels(name="mask", count=1, activation="sigmoid")]).tolist() == [[1, 0]]
