"""Apply the rules in order and keep what the user pinned. Knows no rule's inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maskwright.core.plan_file import validated
from maskwright.planning import rules_data, rules_learning, rules_time
from maskwright.planning.measure import step_cost

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from maskwright.core.plan import Plan
    from maskwright.planning.facts import Decision, Facts
    from maskwright.planning.measure import MakeOptimizer

RULES: tuple[Callable[[Facts, Plan], list[Decision]], ...] = (
    rules_data.normalisation,
    rules_data.working_resolution,
    rules_data.crop,
    rules_data.rare_classes,
    rules_data.flips,
    rules_data.zoom,
    rules_data.colour,
    rules_learning.architecture,
    rules_learning.fineness,
    rules_learning.starting_weights,
    rules_learning.loss,
    rules_learning.class_weights,
    rules_learning.optimiser,
    rules_learning.learning_rate,
    rules_time.precision,
)
MEASURED_RULES = (rules_time.batch, rules_time.steps, rules_time.validations)
LAST_RULES = (rules_time.averaging, rules_time.threads, rules_time.tiles)


def make(facts: Facts, pinned: Plan, pins: frozenset[str], make_optimizer: MakeOptimizer) -> Plan:
    """Decide everything that the user left open.

    Args:
        facts: what is known.
        pinned: a plan that holds the user's own values.
        pins: the dotted keys that are the user's; a pin on a section holds for all of it.
        make_optimizer: builds the planned optimiser, for the timing of a step.

    Returns:
        The plan, with a reason for each decision.

    Raises:
        MaskwrightError: the time is too short, or the pinned values do not go together.
    """
    plan = pinned
    for rule in RULES:
        plan = applied(plan, rule(facts, plan), pins)
    cost = step_cost(plan, len(facts.fingerprint.class_stats), facts.machine.device, make_optimizer)
    for measuring in MEASURED_RULES:
        plan = applied(plan, measuring(facts, plan, cost), pins)
    for rule in LAST_RULES:
        plan = applied(plan, rule(facts, plan), pins)
    return plan


def applied(plan: Plan, decisions: Sequence[Decision], pins: frozenset[str]) -> Plan:
    """Return the plan with the decisions that no pin forbids."""
    values = plan.model_dump(mode="json")
    for decision in decisions:
        if any(
            decision.key == pin or decision.key.startswith(f"{pin}.") or pin.startswith(f"{decision.key}.")
            for pin in pins
        ):
            continue
        target: dict[str, Any] = values
        *sections, last = decision.key.split(".")
        for section in sections:
            target = target[section]
        target[last] = decision.value
        values["reasons"][decision.key] = decision.reason
    return validated(values, "the planner")
