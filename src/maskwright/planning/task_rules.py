"""The rules of each task: one file per task, and the table of them. Knows no rule in detail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskwright.core.errors import unknown_name
from maskwright.models.catalog import find_model
from maskwright.planning import (
    rules_edges,
    rules_instance,
    rules_objects,
    rules_pixels,
    rules_queries,
    rules_semantic,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from maskwright.core.plan import Plan
    from maskwright.planning.facts import Decision, Facts

Rules = tuple["Callable[[Facts, Plan], list[Decision]]", ...]


@dataclass(frozen=True)
class TaskRules:
    """Rules of one task.

    Attributes:
        first: rules that need only the facts and the user's values.
        cropped: rules that apply after the crop is decided.
        network: rules about the network and the batch, after those of all tasks. They apply once, before a step is
            measured.
        sized: rules about the crop, after those of all tasks, and again where the working resolution changes.
        needs: what becomes `Facts.needs`.
        last: rules that apply after all others.
        steps: whether an optimiser makes steps; otherwise none is measured, and no rule about them applies.
    """

    first: Rules = ()
    cropped: Rules = ()
    network: Rules = ()
    sized: Rules = ()
    needs: Callable[[Facts], tuple[tuple[float, str], ...]] = lambda _facts: ()
    last: Rules = ()
    steps: bool = True


def _of_objects(network: Rules, sized: Rules) -> TaskRules:
    """Return the rules of networks that emit objects."""
    return TaskRules(
        rules_objects.FIRST, network=network, sized=sized, needs=rules_instance.needs, last=rules_objects.LAST
    )


def _of_maps(network: Rules) -> TaskRules:
    """Return the rules of networks that emit maps in which objects are found."""
    return TaskRules(rules_instance.FIRST, rules_instance.CROPPED, network=network, needs=rules_instance.needs)


RULES: dict[str, TaskRules] = {
    "semantic": TaskRules(rules_semantic.FIRST, rules_semantic.CROPPED),
    "instance": _of_maps(rules_instance.NETWORK),
    "panoptic": _of_maps(rules_instance.PANOPTIC_NETWORK),
    "edges": TaskRules(rules_edges.FIRST, rules_edges.CROPPED, network=rules_edges.NETWORK),
}
LEARNED_RULES: dict[str, dict[str, TaskRules]] = {
    "regions": {"instance": _of_objects(rules_objects.NETWORK, rules_objects.SIZED)},
    "queries": {
        "semantic": TaskRules(
            rules_queries.SEMANTIC_FIRST, network=rules_queries.SEMANTIC_NETWORK, sized=rules_queries.SIZED
        ),
        "instance": _of_objects(rules_queries.INSTANCE_NETWORK, rules_queries.SIZED),
        "panoptic": _of_objects(rules_queries.PANOPTIC_NETWORK, rules_queries.SIZED),
    },
    "pixels": {"semantic": TaskRules(rules_pixels.FIRST, last=rules_pixels.LAST, steps=False)},
}
"""What a training compares (`ModelEntry.learns`) -> the rules of each task, except for maps, which follow `RULES`."""


def rules_of(plan: Plan) -> TaskRules:
    """Return the rules of a plan's task, as its network serves it.

    Raises:
        MaskwrightError: there are no rules for this task.
    """
    rules = LEARNED_RULES.get(find_model(plan.model.name).learns, RULES)
    if plan.task not in rules:
        raise unknown_name("task with planning rules", plan.task, rules)
    return rules[plan.task]
