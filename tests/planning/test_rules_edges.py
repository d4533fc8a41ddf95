"""The planning rules of edges."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from maskwright.core.fingerprint import EdgeStats, Spread
from maskwright.core.plan import Plan
from maskwright.planning import rules_edges
from maskwright.planning.task_rules import RULES

PEOPLE = EdgeStats(40, Spread(4, 5, 5, 7, 8), 0.018, 0.8)


def decided(edges: EdgeStats | None) -> dict[str, Any]:
    facts: Any = SimpleNamespace(fingerprint=SimpleNamespace(edges=edges, flip_horizontal=1.0), train_seconds=None)
    rules = RULES["edges"]
    found = [entry for rule in (*rules.first, *rules.cropped) for entry in rule(facts, Plan(task="edges"))]
    assert all(entry.reason for entry in found)
    return {entry.key: entry for entry in found}


def test_the_loss_balances_and_sees_every_pixel() -> None:
    found = decided(PEOPLE)
    assert found["loss.terms"].value == {"balanced_cross_entropy": 1.0}
    assert "edges are 1.8% of the pixels" in found["loss.terms"].reason
    assert found["loss.full_size"].value is True
    assert found["sampling.rare_share"].value == 0
    assert found["augment.zoom"].value == rules_edges.ZOOM


@pytest.mark.parametrize("edges", [None, replace(PEOPLE, agreement=None)])
def test_edges_of_masks_are_planned_too(edges: EdgeStats | None) -> None:
    assert set(decided(edges)) == set(decided(PEOPLE))
