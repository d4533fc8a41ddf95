"""Apply the rules in order and keep the values that the user pinned. Knows no rule in detail."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from maskwright.core.plan_file import validated
from maskwright.planning import rules_data, rules_learning, rules_time
from maskwright.planning.task_rules import Rules, rules_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from maskwright.core.plan import Plan
    from maskwright.core.plan_learning import OptimPlan
    from maskwright.planning.cost import Measure, StepCost
    from maskwright.planning.facts import Decision, Facts

MeasuredRules = tuple["Callable[[Facts, Plan, StepCost], list[Decision]]", ...]

FIRST_RULES: Rules = (
    rules_data.normalisation,
    rules_data.working_resolution,
    rules_data.flips,
    rules_data.colour,
    rules_learning.architecture,
    rules_learning.starting_weights,
    rules_data.weights_normalisation,
    rules_learning.discriminator,
    rules_learning.optimiser,
    rules_learning.backbone_rate,
    rules_time.precision,
    rules_time.usual_batch,
)
SIZED_RULES: Rules = (rules_data.crop, rules_learning.fineness)
CROPPED_RULES: Rules = (rules_data.zoom,)
LENGTH_RULES: MeasuredRules = (rules_time.batch, rules_time.steps, rules_time.validations, rules_time.threads)
LAST_RULES: Rules = (rules_learning.learning_rate, rules_time.averaging, rules_time.tiles, rules_time.window)
STEP_RULES: Rules = (
    rules_learning.starting_weights,
    rules_data.weights_normalisation,
    rules_learning.discriminator,
    rules_learning.optimiser,
    rules_learning.backbone_rate,
    rules_time.precision,
    rules_learning.learning_rate,
    rules_time.averaging,
)
"""Those of the rules above that only a training by steps of an optimiser follows."""


def make(facts: Facts, pinned: Plan, pins: frozenset[str], measure: Measure) -> Plan:
    """Decide everything that the user did not set.

    Args:
        facts: what is known; the time spent on measuring is subtracted from its `train_seconds`.
        pinned: a plan that holds the user's values.
        pins: the dotted keys that the user set; a pin on a section applies to all of it.
        measure: measures one step of a plan.

    Returns:
        The plan, with a reason for each decision.

    Raises:
        MaskwrightError: the time is too short, or the pinned values contradict each other.
    """
    if "data.channels" in pins:
        facts = replace(facts, channels=pinned.data.channels)
    own = rules_of(pinned)
    facts = replace(facts, needs=own.needs(facts))
    first = (*own.first, *FIRST_RULES, *own.network, *SIZED_RULES, *own.sized, *CROPPED_RULES, *own.cropped)
    plan = _decided(pinned, first, facts, pins)
    if own.steps:
        plan, facts, cost = _affordable(plan, facts, pins, measure)
        plan = _decided(plan, own.cropped, facts, pins)
        for rule in LENGTH_RULES:
            plan = applied(plan, rule(facts, plan, cost), pins)
    return _decided(plan, (*LAST_RULES, *own.last), facts, pins)


def _affordable(plan: Plan, facts: Facts, pins: frozenset[str], measure: Measure) -> tuple[Plan, Facts, StepCost]:
    """Measure a step and make it cheaper if too few fit; a narrower network is measured again.

    The load from other programs during the measurement is ignored: it may be gone a moment later, while the network
    and its resolution stay.
    """

    def measured(facts: Facts) -> tuple[Facts, StepCost]:
        cost = measure(plan)
        left = None if facts.train_seconds is None else facts.train_seconds - cost.spent_seconds
        return replace(facts, train_seconds=left), cost

    facts, cost = measured(facts)
    usual = plan.model
    plan = applied(plan, rules_time.widths(facts, plan, cost.undisturbed()), pins)
    if plan.model != usual:
        facts, cost = measured(facts)
    scale = plan.data.scale
    plan = applied(plan, rules_time.resolution(facts, plan, cost.undisturbed()), pins)
    if plan.data.scale != scale:
        plan = _decided(plan, (*SIZED_RULES, *rules_of(plan).sized), facts, pins)
    plan = applied(plan, rules_time.smaller_crop(facts, plan, cost.undisturbed()), pins)
    return _decided(plan, CROPPED_RULES, facts, pins), facts, cost


def _decided(plan: Plan, rules: Rules, facts: Facts, pins: frozenset[str]) -> Plan:
    steps = rules_of(plan).steps
    for rule in rules:
        if steps or rule not in STEP_RULES:
            plan = applied(plan, rule(facts, plan), pins)
    return plan


def learnt_by_rule(plan: Plan, pins: frozenset[str]) -> OptimPlan:
    """Return the optimiser and its learning rates that the rules choose for the start of a plan."""
    plan = plan.model_copy(update={"optim": plan.optim.model_copy(update={"backbone_lr": 1.0})})
    for rule in (rules_learning.optimiser, rules_learning.backbone_rate, rules_learning.learning_rate):
        plan = applied(plan, rule(None, plan), pins)
    return plan.optim


def applied(plan: Plan, decisions: Sequence[Decision], pins: frozenset[str]) -> Plan:
    """Return the plan with all decisions whose keys are not pinned."""
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
