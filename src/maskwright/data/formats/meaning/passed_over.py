"""Tables of class names under names of files that are not searched: named in a warning, and not read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Fault
from maskwright.data.formats.meaning.tables import read_table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from maskwright.core.records import ImageRef
    from maskwright.data.formats.meaning.scan import Scan
    from maskwright.data.formats.meaning.tables import ClassTable

_NAME = re.compile(r".*(class|label|colou?r|categor|names|legend|palette).*\.(csv|txt|json)", re.IGNORECASE)
_MOST_BYTES = 65536
_WHITE = 255


def passed_over(root: Path, masks: Iterable[ImageRef], scan: Scan) -> tuple[Fault, ...]:
    """Name the first file in the root, beside the masks or in between that lists all that the masks hold.

    Args:
        root: the folder that the user gave.
        masks: the mask files, for which no table was found.
        scan: what they hold.
    """
    holding = {mask.path.parent for mask in masks}
    below = {folder for place in holding for folder in (place, *place.parents) if root in folder.parents}
    for folder in (root, *sorted(below)):
        for path in sorted(folder.iterdir()):
            if _NAME.fullmatch(path.name) and path.is_file() and _lists(path, scan):
                message = f"{path.name} lists the classes of the masks, but is not read under this name"
                cure = f"rename it to classes{path.suffix.lower()}, or give it as `read.classes`"
                return (Fault("unused", "warning", path, message, cure),)
    return ()


def _lists(path: Path, scan: Scan) -> bool:
    """Tell whether a file is a table with an id or a colour for all that the masks hold; 255 need not be listed."""
    if path.stat().st_size > _MOST_BYTES:
        return False
    try:
        table = read_table(path)
    except MaskwrightError:  # another kind of file, which nobody called a table
        return False
    names = {entry.name for entry in table.entries}
    return len(names) == len(table.entries) > 1 and _explains(table, scan)


def _explains(table: ClassTable, scan: Scan) -> bool:
    if scan.colored:
        return table.colored and scan.colors.keys() <= {entry.color for entry in table.entries}
    values, ids = scan.values.keys() - {_WHITE}, {entry.id for entry in table.entries}
    return values <= ids if table.numbered else values == ids
