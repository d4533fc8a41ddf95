"""The decoding that validations use before anything is fitted."""

from __future__ import annotations

import pytest

from maskwright.core.plan import ModelPlan, Plan
from maskwright.tasks import find_task


@pytest.mark.parametrize(
    ("task", "model", "decoding"),
    [
        ("semantic", "swiftnet", {}),
        ("semantic", "mask2former", {}),
        ("instance", "swiftnet", {}),
        ("instance", "maskrcnn", {"score": 0.3}),
        ("instance", "mask2former", {"score": 0.7}),
    ],
)
def test_objects_have_a_least_score_that_suits_their_network(task: str, model: str, decoding: dict[str, float]) -> None:
    assert find_task(task).unfitted(Plan(task=task, model=ModelPlan(name=model))) == decoding
