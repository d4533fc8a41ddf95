"""Drawn edges in MATLAB files, as the Berkeley Segmentation Dataset keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.records import ImageRef
from maskwright.core.text import listing
from maskwright.data.readers.errors import DecodeError
from maskwright.data.readers.mat_file import read_variable, variable_names

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SUFFIX = ".mat"
_MAGIC = b"MATLAB"
_CELLS, _FIELD = "groundTruth", "Boundaries"


def read_drawings(file: ImageRef) -> list[NDArray[np.bool_]]:
    """Read the edges (H, W) that each person drew: the field `Boundaries` of the cells of `groundTruth`.

    Raises:
        DecodeError: the file is missing, damaged, of version 4 or 7.3, or holds no such maps.
    """
    value = read_variable(file, _CELLS)
    if isinstance(value, dict):
        drawn = [_plane(entry) for entry in value.get(_FIELD, np.empty(0)).flat]
    else:
        drawn = [_plane(_field(cell)) for cell in (() if value is None else value.flat)]
    found = [plane for plane in drawn if plane is not None]
    if not found or len(found) < len(drawn):
        message = f"holds no cells named {_CELLS} with a field {_FIELD} of numbers (no NaN) for each person"
        if value is None:
            message += f", but {listing([name for name in variable_names(file) if name]) or 'nothing'}"
        cure = "save it as the Berkeley data set does, or save a PNG for each person in a folder edges/"
        raise DecodeError("unreadable", file, message, cure)
    return found


def may_hold_drawings(path: Path) -> bool:
    """Tell whether a file names a variable `groundTruth`; a MATLAB file that cannot be read may."""
    try:
        return _CELLS in variable_names(ImageRef(path))
    except DecodeError:
        return _begins_as_matlab(path)


def _begins_as_matlab(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def _unpacked(value: Any) -> Any:
    """Take a value out of cells of one element."""
    while isinstance(value, np.ndarray) and value.size == 1 and value.dtype == object:
        value = value.flat[0]
    return value


def _field(cell: Any) -> Any:
    """Return the field `Boundaries` of one structure; None if there is none."""
    structure = _unpacked(cell)
    values = structure.get(_FIELD) if isinstance(structure, dict) else None
    return values.flat[0] if values is not None and values.size == 1 else None


def _plane(value: Any) -> NDArray[np.bool_] | None:
    """Return where numbers (H, W) are not 0; None if they are no numbers in two axes, or some are missing (NaN)."""
    found = _unpacked(value)
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind not in "buif" or np.isnan(found).any():
        return None
    return np.asarray(found != 0)
