"""Faults that say the same of several files, gathered, so that people read each sentence once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from maskwright.core.records import Fault


def like_faults(faults: Iterable[Fault]) -> list[list[Fault]]:
    """Gather the faults that differ only in the names of their files and in counts of pixels, in order."""
    groups: dict[str, list[Fault]] = {}
    for fault in faults:
        groups.setdefault(_pattern(fault), []).append(fault)
    return list(groups.values())


def _pattern(fault: Fault) -> str:
    """Return what a fault says, without the names of its file and without counts of pixels."""
    stem = re.escape(fault.path.stem)
    text = f"{fault.kind} {fault.severity} {fault.message} {fault.cure}".replace(str(fault.path), fault.path.name)
    return re.sub(rf"(?<!\w){stem}(?=\.[A-Za-z])|(?<=\()[\d,]+(?= pixels?\))", "", text)
