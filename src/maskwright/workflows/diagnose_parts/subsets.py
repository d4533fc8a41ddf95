"""Trains short runs on nested subsets of a run's training images, by the run's own plan. Scores nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from maskwright.core.events import Progress
from maskwright.core.seeds import generator
from maskwright.workflows.request import PlanRequest
from maskwright.workflows.runs import run_folder
from maskwright.workflows.runs.run_folder import Material
from maskwright.workflows.train import train

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from maskwright.core.events import Event, OnProgress
    from maskwright.core.plan import Plan
    from maskwright.core.records import Record

FEWEST_GROUPS = 12
"""Fewest groups of which whole ones are left out; of fewer, a part of each is."""
VALIDATION = 24
"""Validation images of a short run, which fit its thresholds and temperature."""


def ordered(records: Sequence[Record], seed: int) -> tuple[list[Record], bool]:
    """Shuffle training images so that each beginning of the list is a subset; groups stay together if there are enough.

    Returns:
        The images, and whether their groups stay together. Otherwise each beginning holds a part of every group.
    """
    rng = generator(seed, "subsets")
    named = {record.id if record.group is None else f"group {record.group}" for record in records}
    whole = len(named) >= FEWEST_GROUPS
    places = dict(zip(sorted(named), rng.permutation(len(named)), strict=True))
    shuffled = [records[place] for place in rng.permutation(len(records))]
    if whole:
        shuffled.sort(key=lambda record: places[record.id if record.group is None else f"group {record.group}"])
    return shuffled, whole


def beginning(records: Sequence[Record], share: float, *, whole: bool) -> list[Record]:
    """Return about a share of the ordered images, without a part of a group if they are whole."""
    number = max(1, round(share * len(records)))
    if whole:
        ends = [
            place
            for place in range(1, len(records) + 1)
            if place == len(records) or records[place].group is None or records[place].group != records[place - 1].group
        ]
        number = min(ends, key=lambda end: (abs(end - number), end))
    return list(records[:number])


def short_plan(plan: Plan, steps: int, seed: int) -> Plan:
    """Return the plan of a short run: as many steps as told, scored once, without early stop or postprocessors."""
    copy = plan.model_copy(deep=True)
    copy.seed = seed
    copy.train.steps, copy.train.budget_seconds = steps, None
    copy.train.validations, copy.train.patience = 1, 0
    copy.train.validation_images = min(copy.train.validation_images, 8)
    for name in type(copy.postprocess).model_fields:
        setattr(copy.postprocess, name, None)
    return copy


def trained(
    home: Path, material: Material, kept: Sequence[Record], plan: Plan, out: Path, device: str, report: OnProgress
) -> Path:
    """Train on some of a run's training images, and return the new run.

    Args:
        home: the run.
        material: its data.
        kept: the training images.
        plan: of the new run.
        out: the new run's folder, which does not exist.
        device: where to train.
        report: called with (steps done, steps in all).

    Raises:
        MaskwrightError: the folder cannot be written, or the training fails.
    """
    ids = {record.id for record in kept}
    validation = {record.id for record in _spread(material.dataset.part("val"), VALIDATION)}
    records = tuple(
        record
        for record in material.dataset.records
        if (record.split == "train" and record.id in ids) or record.id in validation
    )
    out.mkdir(parents=True)
    read = run_folder.read_options(run_folder.read_json(home / run_folder.DATA))
    part = Material(replace(material.dataset, records=records), material.presence)
    run_folder.begin(out, plan, run_folder.read_fingerprint(home), part, read)
    train(material.dataset.root, PlanRequest(device=device), resume=out, on_event=_steps(report))
    return out


def _steps(report: OnProgress) -> Callable[[Event], None]:
    """Pass on progress, and leave the notes of a short run aside."""

    def heard(event: Event) -> None:
        if isinstance(event, Progress):
            report(event.done, event.total)

    return heard


def _spread(records: Sequence[Record], most: int) -> Sequence[Record]:
    """Return an even sample."""
    return records[:: max(1, -(-len(records) // most))]
