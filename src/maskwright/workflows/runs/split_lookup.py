"""Find out from a run folder which images its training has seen. Predicts nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from maskwright.core.plan import SplitPlan
from maskwright.core.plan_file import read_plan
from maskwright.core.records import SPLITS
from maskwright.core.text import plural
from maskwright.data.formats import ReadOptions
from maskwright.data.sequences import describe, read_sequences, with_sequences
from maskwright.data.split import grouped, with_splits
from maskwright.workflows.runs import run_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from maskwright.core.records import Dataset, Record

    Entries = Mapping[str, Mapping[str, Any]]


def reading(home: Path) -> ReadOptions:
    """Return how the run read its data; no options where the folder holds no run."""
    if not (home / run_folder.DATA).exists():
        return ReadOptions()
    return run_folder.read_options(run_folder.read_json(home / run_folder.DATA))


def like_training(home: Path, dataset: Dataset) -> tuple[Dataset, list[str]]:
    """Give each record the split that it had in the training, so that no image it saw counts as a test image.

    Records are recognised by their ids, wherever the data are now, also from a folder above or below that of the
    training. A record that the training did not know is a test image.

    Args:
        home: the run folder, or where else the model file lies.
        dataset: as it was read.

    Returns:
        The records with their splits and groups, and notes on where these come from.
    """
    if not (home / run_folder.SPLIT).exists():
        note = "the training images of this model are unknown; if some of these are among them, the scores are too good"
        return with_splits(dataset, SplitPlan(), 0), [note]
    entries = run_folder.read_json(home / run_folder.SPLIT)
    endings = _endings(entries)
    found = {record.id: _entry(record, entries, endings) for record in dataset.records}
    unseen = [record for record in dataset.records if found[record.id] is None]
    if len(unseen) == len(dataset.records):
        return _all_unseen(dataset)
    records = tuple(_placed(record, found[record.id]) for record in dataset.records)
    notes = []
    if run_folder.read_json(home / run_folder.DATA)["root"] != str(dataset.root.resolve()):
        known = len(dataset.records) - len(unseen)
        notes.append(
            f"{plural(known, 'image')} recognised by name, each in the part that it had in the training; `split=all` "
            "scores all"
        )
    if unseen:
        notes.append(f"{plural(len(unseen), 'image')} unknown to the training, scored as test images")
    return replace(dataset, records=records), notes


def with_groups(home: Path, records: Sequence[Record]) -> tuple[tuple[Record, ...], list[str]]:
    """Give groups to records without one: by the pattern of the run if it matches, otherwise by the sequences found.

    Args:
        home: the run folder, or where else the model file lies.
        records: those to be scored.

    Returns:
        The records, and which sequences were found.
    """
    loose = [record for record in records if record.group is None]
    plan = home / run_folder.PLAN
    pattern = read_plan(plan).split.group_by if plan.exists() else None
    if pattern is not None and any(re.search(pattern, record.id) for record in loose):
        named = {record.id: record for record in grouped(loose, pattern)}
        return tuple(named.get(record.id, record) for record in records), []
    found = read_sequences(loose)
    return tuple(with_sequences(records, found)), [describe(found)] if found else []


def _all_unseen(dataset: Dataset) -> tuple[Dataset, list[str]]:
    """Keep the parts of the layout; without any, all are test images."""
    if any(record.split for record in dataset.records):
        return with_splits(dataset, SplitPlan(), 0), []
    return replace(dataset, records=tuple(replace(record, split="test") for record in dataset.records)), []


def _placed(record: Record, entry: Mapping[str, Any] | None) -> Record:
    if entry is None:
        return replace(record, split="test")
    return replace(record, split=entry["split"], group=entry["group"])


def _entry(record: Record, entries: Entries, endings: Entries) -> Mapping[str, Any] | None:
    """Find the run's entry for a record: by its id, by an id that ends with it, or by the end of its own id."""
    parts = record.id.split("/")
    tails = ("/".join(parts[place:]) for place in range(1, len(parts)))
    exact = entries.get(record.id) or endings.get(record.id)
    return exact or next((entries[tail] for tail in tails if tail in entries), None)


def _endings(entries: Entries) -> Entries:
    """Return the entries by every ending of their ids; if several share one, the one seen most in training wins."""
    found: dict[str, Mapping[str, Any]] = {}
    for split in reversed(SPLITS):
        for name, entry in entries.items():
            if entry["split"] == split:
                parts = name.split("/")
                found.update({"/".join(parts[place:]): entry for place in range(1, len(parts))})
    return found
