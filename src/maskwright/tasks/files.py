"""The mark that every file of a prediction carries, whatever its task. Writes nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MARK = "maskwright-prediction"


def written_by_us(path: Path) -> bool:
    """Tell whether a file is a result of a prediction, by the mark near its start or at its end."""
    try:
        with path.open("rb") as stream:
            head = stream.read(4096)
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - 64))
            return MARK.encode() in head + stream.read()
    except OSError:
        return False  # whoever reads the file for its content will say what is wrong with it
