"""Masks that fall into groups without a common value or colour, as where two people coded the same classes.

Knows no names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.records import Fault
from maskwright.core.text import listing, such_as

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from maskwright.core.naming import Naming
    from maskwright.core.records import ImageRef
    from maskwright.data.formats.meaning.scan import Scan

    Key = int | tuple[int, int, int]
    Shown = tuple[ImageRef, AbstractSet[Key]]

_FEWEST = 2
_MOST_GROUPS = 4
_BLACK: frozenset[Key] = frozenset({0, (0, 0, 0)})


class _Group(NamedTuple):
    """Masks that share values (or colours), directly or through others, and all of these values."""

    masks: list[ImageRef]
    values: frozenset[Key]
    several: int


def values_fault(scan: Scan, folder: Path) -> tuple[Fault, ...]:
    """Warn of groups of masks without a common value but the background."""
    groups = _groups([(held.mask, held.values.keys() - {255}) for held in scan.held])
    if not groups:
        return ()
    first, *others = (sorted(group.values, key=_order) for group in groups)
    maps = " ".join(f"`read.map` {high}={low}" for other in others for low, high in zip(first, other, strict=False))
    cure = f"if these mean the same, use {maps}; if not, list all values in classes.txt (id,name)"
    held = [", ".join(map(str, values)) for values in (first, *others)]
    return (_fault(folder, "values", groups, held, cure),)


def colors_fault(scan: Scan, folder: Path, naming: Naming) -> tuple[Fault, ...]:
    """Warn of groups of masks without a common colour but the background."""
    groups = _groups(list(zip(scan.painted, map(frozenset, scan.color_counts), strict=True)))
    if not groups:
        return ()
    cure = f"if these mean the same, save all masks in the same colours; if not, {naming.with_colors()}"
    held = [listing(sorted(map(str, group.values))) for group in groups]
    return (_fault(folder, "colours", groups, held, cure),)


def _fault(folder: Path, what: str, groups: Sequence[_Group], held: Sequence[str], cure: str) -> Fault:
    shown = [
        f"{len(group.masks)} ({such_as(len(group.masks), group.masks[0].name)}) hold {values}"
        for group, values in zip(groups, held, strict=True)
    ]
    message = (
        f"the masks in {folder.name}/ fall into {len(groups)} groups without common {what}: {'; '.join(shown)}; each "
        "is read as a class of its own"
    )
    return Fault("separate-classes", "warning", folder, message, cure)


def _groups(shown: Sequence[Shown]) -> list[_Group]:
    """Return the groups, those with the lowest values first; none if there is one.

    Three or more groups of a single value each are classes that occur alone.
    """
    if not shown:
        return []
    nothing: frozenset[Key] = frozenset()
    common = frozenset(shown[0][1]).intersection(*(values for _, values in shown))
    for aside in (nothing, common | _BLACK):
        groups = _joined([(mask, values - aside) for mask, values in shown])
        clear = all(len(group.values) >= _FEWEST <= group.several for group in groups)
        single = len(groups) == 2 and all(len(group.values) == 1 < len(group.masks) for group in groups)
        if single or (clear and 2 <= len(groups) <= _MOST_GROUPS):
            return sorted(groups, key=lambda group: min(map(_order, group.values)))
    return []


def _order(value: Key) -> tuple[int, str]:
    return (value, "") if isinstance(value, int) else (0, str(value))


def _joined(shown: Sequence[Shown]) -> list[_Group]:
    """Join masks that share a value; `several` counts those with several values."""
    groups: list[_Group] = []
    for mask, values in shown:
        if values:
            touched = [group for group in groups if group.values & values]
            groups = [group for group in groups if not group.values & values]
            masks = [one for group in touched for one in group.masks]
            several = sum(group.several for group in touched) + (len(values) > 1)
            groups.append(
                _Group([*masks, mask], frozenset(values).union(*(group.values for group in touched)), several)
            )
    return groups
