"""Which images train, which choose the model, and which judge it, without a leak between them. Opens no file itself.

Splits that the layout has are kept. What it lacks is made: all three out of one heap; test out of val (two halves:
one chooses the model, the other gives the honest score); val out of train. Whatever is divided is divided in clusters
(`data.clusters`) that share classes fairly (`data.stratify`). The result is a pure function of the data and the seed;
the order of the records does not matter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.errors import MaskwrightError
from maskwright.core.records import SPLITS, Fault
from maskwright.core.seeds import generator
from maskwright.data.clusters import LADDER, clusters
from maskwright.data.stratify import assign, part_targets
from maskwright.data.survey import survey as look_over

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from maskwright.core.plan import SplitPlan
    from maskwright.core.records import Dataset, Record, Split
    from maskwright.data.clusters import Strictness
    from maskwright.data.survey import Survey

Shares = dict["Split", float]


class TooFewImagesError(MaskwrightError):
    """There are fewer images, or groups, than parts to be made.

    Attributes:
        message: what there is and what is needed.
        cure: what to do, in the imperative.
    """

    def __init__(self, message: str, cure: str) -> None:
        super().__init__(f"{message}: {cure}")
        self.message = message
        self.cure = cure


@dataclass(frozen=True)
class _Task:
    """What to divide among which parts; `source` is the layout's part that is divided, None for everything."""

    source: Split | None
    shares: Shares


def with_splits(dataset: Dataset, split: SplitPlan, seed: int = 0, survey: Survey | None = None) -> Dataset:
    """Return the data set with a split on every record, and its group where there is one.

    Args:
        dataset: records, some or all of which may have a split from the layout. Records without annotation are
            dropped: they can neither train nor judge.
        split: shares, and the regular expression for groups.
        seed: decides between equally good ways to divide.
        survey: what was seen of the records (`data.survey.survey`), to spare a second reading. It is not needed, and
            nothing is read, where the layout has all that `split` asks for.

    Returns:
        The same data set with records sorted by id. `faults` says so where similar images had to be torn apart.

    Raises:
        TooFewImagesError: fewer images (or groups) than parts.
        MaskwrightError: shares that leave nothing for training, or a `group_by` that fits no image.
    """
    if split.val + split.test >= 1:
        raise MaskwrightError(
            f"split.val is {split.val:g} and split.test {split.test:g}: together they must stay below 1, "
            "so that something is left for training. Lower one of them"
        )
    annotated = [record for record in dataset.records if record.annotation is not None]
    records = grouped(sorted(annotated, key=lambda record: record.id), split.group_by)
    task = _task({record.split for record in records if record.split}, split)
    if task is None:
        kept = tuple(record if record.split else replace(record, split="train") for record in records)
        return replace(dataset, records=kept)
    chosen = [record for record in records if task.source is None or (record.split or "train") == task.source]
    if task.source == "val" and len(chosen) < len(task.shares):
        return replace(dataset, records=tuple(records), faults=(*dataset.faults, _no_test(dataset)))
    seen = look_over(replace(dataset, records=tuple(chosen))) if survey is None else survey
    sides, faults = divide(chosen, task.shares, seen, seed)
    placed = tuple(replace(record, split=sides.get(record.id, record.split or "train")) for record in records)
    return replace(dataset, records=placed, faults=(*dataset.faults, *faults))


def grouped(records: Sequence[Record], group_by: str | None) -> list[Record]:
    """Give each record the group that `group_by` finds in its id; without it, groups stay as the layout has them.

    Raises:
        MaskwrightError: no regular expression, or one that fits no record at all.
    """
    if group_by is None:
        return list(records)
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise MaskwrightError(
            f"split.group_by is {group_by!r}, which is no regular expression ({error}): give one, e.g. "
            "--group-by '(patient\\d+)_'"
        ) from None
    matches = [pattern.search(record.id) for record in records]
    if records and not any(matches):
        raise MaskwrightError(
            f"split.group_by is {group_by!r} and fits none of the {len(records)} images: "
            f"it is searched for in names such as {records[0].id!r}. Mend the pattern, or leave --group-by out"
        )
    return [
        replace(record, group=(match[1] if pattern.groups else match[0]) or None) if match else record
        for record, match in zip(records, matches, strict=True)
    ]


def divide(
    records: Sequence[Record], shares: Mapping[Split, float], seen: Survey, seed: int
) -> tuple[dict[str, Split], list[Fault]]:
    """Divide records among the parts of `shares` (sum 1), each part getting at least one.

    Returns:
        The part of each record id, and a fault where near-duplicates could not stay together.

    Raises:
        TooFewImagesError: fewer images, or groups, than parts.
    """
    parts = [part for part in SPLITS if shares.get(part, 0) > 0]
    if len(records) < len(parts):
        raise _too_few(f"{_count(len(records), 'image')} cannot be divided into {_listed(parts)}", len(parts))
    ordered = sorted(records, key=lambda record: record.id)
    targets = part_targets(len(ordered), [shares[part] for part in parts])
    found, strictness = _clusters(ordered, targets, seen)
    if len(found) < len(parts):
        raise _too_few(
            f"the {len(ordered)} images form {_count(len(found), 'group')}, and a group stays on one side, so they "
            f"cannot be divided into {_listed(parts)}",
            len(parts),
        )
    shown = np.stack([seen.shown(record.id) for record in ordered]).astype(np.int64)
    presence = np.stack([shown[members].sum(axis=0) for members in found])
    sizes = np.array([len(members) for members in found])
    order = generator(seed, "split").permutation(len(found))
    sides: dict[str, Split] = {}
    for members, part in zip(found, assign(presence, sizes, targets, order), strict=True):
        sides.update(dict.fromkeys((ordered[member].id for member in members), parts[part]))
    faults = [] if strictness == "similar" else [_torn(ordered, strictness)]
    return sides, faults


def _task(present: set[Split], split: SplitPlan) -> _Task | None:
    """Say what there is to divide, or None when the layout's own splits are all that is asked for."""
    if present >= set(SPLITS):
        return None
    if present == {"train", "val"}:
        if not split.test:
            return None
        return _Task("val", {"val": 0.5, "test": 0.5} if split.val else {"test": 1.0})
    if present == {"train", "test"}:
        return _Task("train", {"train": 1 - split.val, "val": split.val}) if split.val else None
    return _Task(None, {"train": 1 - split.val - split.test, "val": split.val, "test": split.test})


def _clusters(records: Sequence[Record], targets: list[int], seen: Survey) -> tuple[list[list[int]], Strictness]:
    """Keep together as much as can be while every part still gets something near its share.

    Where all images look alike (one scene, one fixture), similarity says nothing about leaks and must give way.
    """
    block = min(targets)
    others = len(records) - max(targets)
    least = clusters(records, seen.gallery, block, "groups")
    for strictness in LADDER:
        found = clusters(records, seen.gallery, block, strictness)
        if found == least:
            return least, "similar" if strictness == LADDER[0] else "groups"
        if len(found) >= len(targets) and len(records) - max(map(len, found)) >= others / 2:
            return found, strictness
    raise AssertionError("the last rung is `least` itself")


def _torn(records: Sequence[Record], strictness: Strictness) -> Fault:
    which = "near-duplicates" if strictness == "identical" else "near-duplicates and even copies"
    return Fault(
        "near-duplicate-split",
        "warning",
        records[0].image.path.parent,
        f"most of these {len(records)} images look alike, so {which} had to fall on different sides of the split, "
        "and scores may be too good",
        "say what belongs together with --group-by PATTERN (patient, site, day), or give train, val and test folders",
    )


def _no_test(dataset: Dataset) -> Fault:
    return Fault(
        "no-test",
        "warning",
        dataset.root,
        "val holds a single image, which cannot both choose the model and judge it, so there is no test part",
        "add images to val, or a test folder",
    )


def _too_few(what: str, needed: int) -> TooFewImagesError:
    return TooFewImagesError(
        f"{what}, which takes at least {needed}",
        "add more, or do without a part: `maskwright train` and `plan` take --set split.test=0, and for training "
        "without any check --set split.val=0 too",
    )


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
