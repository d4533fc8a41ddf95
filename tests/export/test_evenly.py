"""Held-out images and layers that an export is compared on: as many as asked for, spread evenly."""

from __future__ import annotations

import numpy as np
import pytest

from maskwright.core.channels import class_channels
from maskwright.exporting import layers, parity
from maskwright.workflows.export_parts.attempt import evenly


@pytest.mark.parametrize(("have", "asked", "given"), [(41, 40, 40), (3, 40, 3), (101, 100, 100), (80, 40, 40)])
def test_as_many_records_as_asked_for(have: int, asked: int, given: int) -> None:
    found = evenly(range(have), asked)
    assert len(set(found)) == given
    assert np.diff([-1, *found, have]).max() <= 2 + have // given


def test_a_container_comes_after_its_branches(monkeypatch: pytest.MonkeyPatch) -> None:
    modules = {"size": "pool", "a": "stem", "b": "pool.branch", "c": "pool"}
    order: list[str] = []

    def outputs(_file: object, last: dict[str, str], _tile: object) -> dict[str, np.ndarray]:
        order.extend(last)
        return {"stem": np.ones(4), "pool.branch": np.full(4, 1.5), "pool": np.full(4, 1.2)}

    monkeypatch.setattr(layers, "_openvino_outputs", outputs)
    monkeypatch.setattr(layers, "_torch_outputs", lambda *_: dict.fromkeys(("stem", "pool.branch", "pool"), np.ones(4)))
    from pathlib import Path

    assert layers.worst(None, Path("model.xml"), modules, np.zeros(1, np.uint8)) == [("pool.branch", 0.5)]  # type: ignore[arg-type]
    assert order == ["stem", "pool.branch", "pool"]


class Fixed:
    """A predictor of given maps."""

    def __init__(self, value: float) -> None:
        from maskwright.core.classes import Classes
        from maskwright.core.plan import DataPlan, ModelPlan
        from maskwright.models.bundle import Card, CardClasses

        self.value, self.engine = value, None
        self.card = Card(model=ModelPlan(), data=DataPlan(), classes=CardClasses.of(Classes.named(["a", "b"])))

    def maps(self, image: np.ndarray) -> np.ndarray:
        return np.full((2, *image.shape[:2]), self.value, np.float32)


def test_values_that_are_not_finite_never_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "_with_tile", lambda predictor, _size: predictor)
    image = np.zeros((8, 9, 3), np.uint8)
    assert [group.count for group in class_channels(2)] == [2]
    same = parity.agreement(Fixed(0.5), Fixed(0.5), [image])  # type: ignore[arg-type]
    broken = parity.agreement(Fixed(0.5), Fixed(np.nan), [image])  # type: ignore[arg-type]
    assert (same.labels, same.largest) == (1, 0)
    assert (broken.labels, broken.largest) == (0, np.inf)
