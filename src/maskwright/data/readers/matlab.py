"""Drawn edges in MATLAB files, as the Berkeley Segmentation Dataset keeps them; read as data, so no code runs."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.data.readers.errors import DecodeError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.records import ImageRef

SUFFIX = ".mat"
_MAGIC = b"MATLAB"
_CELLS, _FIELD = "groundTruth", "Boundaries"
_DAMAGE = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    MemoryError,
    UnboundLocalError,  # of SciPy's reader, for an unknown order of bytes
    struct.error,
    zlib.error,
)


def read_drawings(file: ImageRef) -> list[NDArray[np.bool_]]:
    """Read the edges (H, W) that each person drew: the field `Boundaries` of the cells of `groundTruth`.

    Raises:
        DecodeError: the file is missing, damaged, of version 7.3, or holds no such maps.
    """
    cells = np.ravel(_variables(file).get(_CELLS, ()))
    try:
        drawn = [_plane(_unpacked(_unpacked(cell)[_FIELD])) for cell in cells]
    except (ValueError, KeyError, IndexError, TypeError):
        drawn = []
    if not drawn:
        message = f"holds no cells named {_CELLS} with a field {_FIELD} of numbers (no NaN) for each person"
        cure = "save it as the Berkeley data set does, or save a PNG for each person in a folder edges/"
        raise DecodeError("unreadable", file, message, cure)
    return drawn


def may_hold_drawings(path: Path) -> bool:
    """Tell whether a file names a variable `groundTruth`; a MATLAB file that cannot be read may."""
    from scipy.io import whosmat  # takes longer to import than looking at a small data set
    from scipy.io.matlab import MatReadError

    begins = b""
    try:
        with path.open("rb") as stream:
            begins = stream.read(len(_MAGIC))
        return any(name == _CELLS for name, _, _ in whosmat(path))
    except (*_DAMAGE, MatReadError, NotImplementedError):
        return begins == _MAGIC


def _variables(file: ImageRef) -> dict[str, Any]:
    from scipy.io import loadmat  # takes longer to import than looking at a small data set
    from scipy.io.matlab import MatReadError

    try:
        with file.path.open("rb") as stream:
            return dict(loadmat(stream, variable_names=[_CELLS]))
    except FileNotFoundError:
        raise DecodeError("unreadable", file, "does not exist", "check the path") from None
    except NotImplementedError:
        message = "is a MATLAB file of version 7.3, which is not read"
        raise DecodeError("unreadable", file, message, "save it with -v7 in MATLAB") from None
    except (*_DAMAGE, MatReadError):
        message = "cannot be read as a MATLAB file"
        raise DecodeError("unreadable", file, message, "copy it again from its source, or remove it") from None


def _unpacked(value: Any) -> Any:
    """Take a value out of the arrays of one element that MATLAB's cells and structures become."""
    while isinstance(value, np.ndarray) and value.size == 1 and value.dtype == object:
        value = value.flat[0]
    return value


def _plane(values: Any) -> NDArray[np.bool_]:
    """Return where numbers (H, W) are not 0.

    Raises:
        TypeError: they are no numbers in two axes, or some are missing (NaN).
    """
    found = np.asarray(values.todense() if hasattr(values, "todense") else values)
    if found.ndim != 2 or found.dtype.kind not in "buif" or np.isnan(found).any():
        raise TypeError
    return found != 0
