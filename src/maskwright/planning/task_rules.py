"""The rules of each task: one file per task, and the table of them. Knows no rule in detail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskwright.core.errors import unknown_name
from maskwright.planning import rules_instance, rules_semantic

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
        sized: rules about crop and batch, after those of all tasks.
        cropped: rules that apply after the crop is decided.
    """

    first: Rules = ()
    sized: Rules = ()
    cropped: Rules = ()


RULES: dict[str, TaskRules] = {
    "semantic": TaskRules(rules_semantic.FIRST, cropped=rules_semantic.CROPPED),
    "instance": TaskRules(rules_instance.FIRST, rules_instance.SIZED, rules_instance.CROPPED),
    "panoptic": TaskRules(rules_instance.FIRST, rules_instance.SIZED, rules_instance.CROPPED),
}


def rules_of(task: str) -> TaskRules:
    """Return the rules of a task.

    Raises:
        MaskwrightError: there are no rules for this task.
    """
    if task not in RULES:
        raise unknown_name("task with planning rules", task, RULES)
    return RULES[task]
