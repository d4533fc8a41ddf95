"""Which images train, which choose the model, and which judge it, without a leak between them. Opens no file itself.

Splits that the layout has are kept. What it lacks is made: all three parts from one heap; test from val (one half
chooses the model, the other gives the honest score); val from train. What is divided is divided in clusters
(`data.clusters`) that share classes fairly (`data.stratify`). Sequences of frames (`data.sequences`), found or given by
the layout, stay whole where every part then gets at least half of its images; otherwise they are cut into contiguous
blocks, and a fault says so. The result is a pure function of the data and the seed; the order of the records does not
matter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.errors import MaskwrightError
from maskwright.core.records import SPLITS, Fault
from maskwright.core.seeds import generator
from maskwright.core.text import agree, plural
from maskwright.data.clusters import STRICTNESS, borders, clusters
from maskwright.data.sequences import find_sequences, grouped_frames, sequences_note, with_sequences
from maskwright.data.stratify import assign, part_targets
from maskwright.data.survey import survey as look_over

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from maskwright.core.plan import SplitPlan
    from maskwright.core.records import Dataset, Record, Split
    from maskwright.data.clusters import Strictness
    from maskwright.data.sequences import Frames
    from maskwright.data.survey import Survey

Shares = dict["Split", float]
_LEAST_FILLED = 0.5
"""Part of its images that each part must get for sequences and near-duplicates to stay whole."""


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
class _Division:
    """What to divide among which parts; `source` is the layout's part that is divided, None for everything."""

    source: Split | None
    shares: Shares


def with_splits(dataset: Dataset, split: SplitPlan, seed: int = 0, survey: Survey | None = None) -> Dataset:
    """Return the data set with a split on every record, and its group where there is one.

    Args:
        dataset: records, some or all of which may have a split from the layout. Records without annotation are
            dropped: they can neither train nor judge.
        split: shares, and the regular expression for groups. Without it, sequences are groups.
        seed: decides between equally good ways to divide.
        survey: what was seen of the records (`data.survey.survey`), to spare a second reading. Without it, nothing is
            read where the layout has all that `split` asks for, and no sequences are looked for.

    Returns:
        The same data set with records sorted by id. The split is None for frames that were left out where a sequence
        was cut. `faults` names the sequences found, those cut, and similar images on different sides.

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
    division = _division({record.split for record in records if record.split}, split)
    chosen = [record for record in records if division and _is_divided(record, division)]
    seen = look_over(replace(dataset, records=tuple(chosen))) if survey is None and chosen else survey
    found: Frames = {}
    if seen is not None and split.group_by is None:
        found = find_sequences((record.id for record in records if record.group is None), seen.similarity)
        records = with_sequences(records, found)
    faults = [sequences_note(found, dataset.root)] if found else []
    sides: Mapping[str, Split | None] = {record.id: record.split or "train" for record in records}
    if division is not None and seen is not None:
        chosen = [record for record in records if _is_divided(record, division)]
        if division.source == "val" and len(chosen) < len(division.shares):
            faults.append(_no_test(dataset))
        else:
            cuttable = grouped_frames(chosen) | found if split.group_by is None else {}
            made, more = divide(chosen, division.shares, seen, seed, cuttable)
            sides, faults = {**sides, **made}, [*faults, *more]
    placed = tuple(replace(record, split=sides[record.id]) for record in records)
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
            f"split.group_by is {group_by!r}, which is not a valid regular expression ({error}): give one such as "
            "`split.group_by=(patient\\d+)_`"
        ) from None
    matches = [pattern.search(record.id) for record in records]
    if records and not any(matches):
        raise MaskwrightError(
            f"split.group_by is {group_by!r} and matches none of {plural(len(records), 'image')}: it is searched for "
            f"in names such as {records[0].id!r}. Correct the pattern, or leave `split.group_by` out"
        )
    return [
        replace(record, group=(match[1] if pattern.groups else match[0]) or None) if match else record
        for record, match in zip(records, matches, strict=True)
    ]


def divide(
    records: Sequence[Record], shares: Mapping[Split, float], seen: Survey, seed: int, sequences: Frames | None = None
) -> tuple[dict[str, Split | None], list[Fault]]:
    """Divide records among the parts of `shares` (sum 1), each part getting at least one.

    Args:
        records: with their groups, which stay whole.
        shares: of the parts.
        seen: the survey of the records.
        seed: decides between equals.
        sequences: those of the groups that may be cut where there are too few of them.

    Returns:
        The part of each record id, None where it is left out at a cut; and a fault where sequences were cut or
        near-duplicates could not stay together.

    Raises:
        TooFewImagesError: fewer images, or groups, than parts.
    """
    parts = [part for part in SPLITS if shares.get(part, 0) > 0]
    if len(records) < len(parts):
        raise _too_few(f"{_count(len(records), 'image')} cannot be divided into {_listed(parts)}", len(parts))
    ordered = sorted(records, key=lambda record: record.id)
    here = {record.group for record in ordered}
    cuttable = {name: frames for name, frames in (sequences or {}).items() if name in here}
    targets = part_targets(len(ordered), [shares[part] for part in parts])
    shown = np.stack([seen.shown(record.id) for record in ordered]).astype(np.int64)
    found, places, cut, strictness = _kept_together(ordered, targets, shown, seen, seed, cuttable)
    if len(found) < len(parts):
        raise _too_few(
            f"the {agree(len(ordered), 'image forms', f'{len(ordered)} images form')} {_count(len(found), 'group')}, "
            "and a group stays on one side, so they "
            f"cannot be divided into {_listed(parts)}",
            len(parts),
        )
    sides: dict[str, Split] = {}
    for members, place in zip(found, places, strict=True):
        sides.update(dict.fromkeys((ordered[member].id for member in members), parts[place]))
    left_out = borders(cut, sides, seen.similarity)
    faults = [_cut(ordered, cut, len(left_out), parts)] if cut else []
    if strictness != "similar":
        faults.append(_torn(ordered, strictness))
    return {name: None if name in left_out else side for name, side in sides.items()}, faults


def _kept_together(
    records: Sequence[Record],
    targets: Sequence[int],
    shown: NDArray[np.int64],
    seen: Survey,
    seed: int,
    cuttable: Frames,
) -> tuple[list[list[int]], list[int], Frames, Strictness]:
    """Keep together as much as can be while each part still gets enough of its images.

    Where all images look alike (one scene, one fixture), similarity says nothing about leaks and must give way; and
    where sequences are too few, they are cut.

    Returns:
        The clusters, the part of each, the sequences that were cut, and what kept the clusters together.
    """
    found: list[list[int]] = []
    places: list[int] = []
    for cut in ({}, cuttable) if cuttable else ({},):
        tried = {rung: clusters(records, seen.similarity, rung, cut, min(targets)) for rung in STRICTNESS}
        for rung, found in tried.items():
            places = []
            if len(found) >= len(targets):
                presence = np.stack([shown[members].sum(axis=0) for members in found])
                sizes = np.array([len(members) for members in found])
                places = assign(presence, sizes, targets, generator(seed, "split").permutation(len(found)))
                filled = np.bincount(places, weights=sizes, minlength=len(targets))
                if (filled >= _LEAST_FILLED * np.asarray(targets)).all():
                    return found, places, cut, rung
    # Groups are as they are, however unequal; where they alone decide, no near-duplicates were torn apart.
    return found, places, cut, "similar" if found == tried["similar"] else "groups"


def _is_divided(record: Record, division: _Division) -> bool:
    return division.source is None or (record.split or "train") == division.source


def _division(present: set[Split], split: SplitPlan) -> _Division | None:
    """Say what there is to divide, or None when the layout's own splits are all that is asked for."""
    if present >= set(SPLITS):
        return None
    if present == {"train", "val"}:
        if not split.test:
            return None
        return _Division("val", {"val": 0.5, "test": 0.5} if split.val else {"test": 1.0})
    if present == {"train", "test"}:
        return _Division("train", {"train": 1 - split.val, "val": split.val}) if split.val else None
    return _Division(None, {"train": 1 - split.val - split.test, "val": split.val, "test": split.test})


def _cut(records: Sequence[Record], cut: Frames, left_out: int, parts: Sequence[str]) -> Fault:
    gap = f" and {_count(left_out, 'frame')} at the cuts left out" if left_out else ""
    return Fault(
        "sequence-cut",
        "warning",
        records[0].image.path.parent,
        f"{_count(len(cut), 'sequence')} cannot give {_listed(parts)} whole sequences, so each was cut into contiguous "
        f"blocks{gap}: the scores hold for these scenes only",
        "add images of other scenes, or a test folder with other scenes",
    )


def _torn(records: Sequence[Record], strictness: Strictness) -> Fault:
    which = "near-duplicates" if strictness == "identical" else "near-duplicates and even copies"
    return Fault(
        "near-duplicate-split",
        "warning",
        records[0].image.path.parent,
        f"most of these {len(records)} images look alike, so {which} had to be put into different splits, and scores "
        "may be too good",
        "define what belongs together with `split.group_by` (patient, site, day), or give train, val and test folders",
    )


def _no_test(dataset: Dataset) -> Fault:
    return Fault(
        "no-test",
        "warning",
        dataset.root,
        "val has only one image, which cannot both select the model and test it, so there is no test split",
        "add images to val, or add a test folder",
    )


def _too_few(what: str, needed: int) -> TooFewImagesError:
    return TooFewImagesError(
        f"{what}, which takes at least {needed}",
        "add more, or leave a split out: set `split.test=0`, and for training without any validation `split.val=0` too",
    )


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
