"""What a diagnosis says of a training step that was not measured."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from maskwright.core.plan import Plan, PredictPlan
from maskwright.workflows.diagnose_parts.cost import _machine, _variants


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


@pytest.mark.parametrize("scales", [(), (0.5, 2.0)])
def test_a_model_that_averages_sizes_is_compared_with_its_own_size(scales: tuple[float, ...]) -> None:
    changes: list[dict[str, Any]] = []

    class Card:
        predict = PredictPlan(scales=scales)

        def model_copy(self, update: dict[str, Any]) -> Any:
            changes.append(update["predict"].model_dump(exclude_defaults=True))
            return self

    study: Any = SimpleNamespace(predictor=SimpleNamespace(card=Card(), engine=None, postprocessor=None))
    names = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("maskwright.workflows.diagnose_parts.cost.Predictor", lambda *_: None)
        names = [name for name, _ in _variants(study)]
    assert ("no further sizes" in names) is bool(scales)
    if scales:
        assert changes[names.index("no further sizes")] == {}
