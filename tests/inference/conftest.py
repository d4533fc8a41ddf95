"""Tiny networks and cards: enough to tell whether prediction treats them right."""

from __future__ import annotations

from typing import Any, Protocol

import pytest
import torch
from torch import nn

from maskwright.core.classes import Classes
from maskwright.core.plan import DataPlan, ModelPlan, PredictPlan
from maskwright.inference import Predictor
from maskwright.models.bundle import Card, CardClasses


@pytest.fixture(autouse=True)
def _quiet(one_thread: None) -> None:
    """One thread for all: other numbers of them round otherwise."""


class Make(Protocol):
    def __call__(self, net: nn.Module, classes: int = 3, **settings: Any) -> Predictor: ...


@pytest.fixture
def make() -> Make:
    """Return a maker of predictors; keywords go to the card's data and predict sections, or to the card."""

    def build(net: nn.Module, classes: int = 3, **settings: Any) -> Predictor:
        parts: dict[str, dict[str, Any]] = {"data": {}, "predict": {}, "card": {}}
        for name, value in settings.items():
            part = (
                "data" if name in DataPlan.model_fields else "predict" if name in PredictPlan.model_fields else "card"
            )
            parts[part][name] = value
        card = Card(
            model=ModelPlan(),
            classes=CardClasses.of(Classes.named([f"class{index}" for index in range(classes)])),
            data=DataPlan(**parts["data"]),
            predict=PredictPlan(**parts["predict"]),
            **parts["card"],
        )
        return Predictor.of(net, card, "cpu")  # type: ignore[arg-type]

    return build


@pytest.fixture
def small_net() -> nn.Module:
    """Two 3x3 convolutions with random weights: a pixel sees two pixels around it."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 3, 3, padding=1))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(2)
    return net
