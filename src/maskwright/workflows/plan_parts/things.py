"""The data as the task of a plan sees them, and which classes have objects where the format does not tell."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from maskwright.core.text import plural
from maskwright.data.formats import read_dataset
from maskwright.data.thing_classes import classes_with_objects
from maskwright.data.things import with_things
from maskwright.tasks import find_task

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.plan import Plan
    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import Dataset
    from maskwright.data.survey import Survey


def as_planned(dataset: Dataset, plan: Plan) -> Dataset:
    """Return the data as the task of a plan sees them.

    Raises:
        MaskwrightError: no class has a name in `objects.things`.
    """
    return find_task(plan.task).prepared(with_things(dataset, plan.objects.things))


def read_as_planned(root: Path, options: ReadOptions, plan: Plan) -> Dataset:
    """Read the data as the task of a plan sees them.

    Raises:
        MaskwrightError: as `read_dataset` and `as_planned`.
    """
    return as_planned(read_dataset(root, options.for_task(find_task(plan.task).annotation)), plan)


def with_stuff(dataset: Dataset, seen: Survey, plan: Plan) -> Dataset:
    """Take classes without a single object for stuff, if the task learns stuff, and write that into the plan."""
    classes = dataset.classes
    if not find_task(plan.task).stuff or classes.things is not None:
        return dataset
    things = frozenset(classes.objects) & classes_with_objects(dataset, seen)
    names = [classes.names[index] for index in sorted(things)]
    plan.objects.things = names
    bare = len(classes.objects) - len(things)
    plan.reasons["objects.things"] = (
        f"these classes have objects; {plural(bare, 'class', 'classes')} besides the background "
        f"{'has' if bare == 1 else 'have'} none"
    )
    return replace(dataset, classes=replace(classes, things=things))
