"""What a diagnosis says of a training step that was not measured."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from maskwright.core.plan import Plan
from maskwright.workflows.diagnose_parts.cost import _machine


@pytest.mark.parametrize(
    ("model", "history", "said"),
    [("deeplabv3plus", [{"step": 2.0}], True), ("forest", [{"step": 1.0}], False), ("deeplabv3plus", [], False)],
)
def test_time_is_missing_only_where_there_are_steps(model: str, history: list[dict[str, float]], *, said: bool) -> None:
    """A forest has no training step, whatever the time."""
    plan = Plan()
    plan.model.name = model
    study: Any = SimpleNamespace(plan=plan, history=history)
    assert ("no time to measure a training step" in _machine(study, ())) is said
