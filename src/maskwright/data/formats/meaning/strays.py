"""Values that are rare enough to be annotation errors, named with the mask and a cure. Decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.classes import IGNORE
from maskwright.core.records import Fault
from maskwright.core.text import agree, plural
from maskwright.data.formats.meaning.scan import FEW_STRAYS

if TYPE_CHECKING:
    from maskwright.core.naming import Naming
    from maskwright.data.formats.meaning.entries import Meaning
    from maskwright.data.formats.meaning.scan import Scan


def stray_faults(meaning: Meaning, scan: Scan, naming: Naming) -> tuple[Fault, ...]:
    """Report the values that may be annotation errors, or the first of many."""
    shown = meaning.strays if len(meaning.strays) <= FEW_STRAYS else meaning.strays[:1]
    return tuple(_stray(value, meaning, scan, naming, len(meaning.strays) - len(shown)) for value in shown)


def _stray(value: int, meaning: Meaning, scan: Scan, naming: Naming, more: int) -> Fault:
    pixels, holders, mask = scan.values[value], scan.holders[value], scan.first[value]
    fill = plural(pixels, "pixel")
    masks = f"{holders} of {plural(scan.looked, 'scanned mask' if scan.looked < scan.masks else 'mask')}"
    first = "" if holders == 1 else ", of which this is the first"
    index = meaning.values[value]
    now = "is ignored" if index == IGNORE else f"counts as {meaning.classes.names[index]}"
    others = f"; {plural(more, 'other value')} {agree(more, 'is', 'are')} treated the same" if more else ""
    black = f" or `read.map` {value}=0" if 0 in meaning.values else ""
    return Fault(
        "stray-value",
        "warning",
        mask.path,
        f"{mask.name} holds the value {value}, which is rare ({fill} in {masks}{first}) and {now}{others}",
        f"if it is an annotation error, correct the mask, or use `read.map` {value}=ignore{black}; if it is a class, "
        f"{naming.with_values([value])}",
    )
