"""What must be there before work begins, and what must not be in the way. Opens nothing, and imports nothing slow."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeGuard

from maskwright.core.errors import MaskwrightError

_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]+:")
"""First part of a path that was an address: `gs:` of gs://bucket/folder."""
MODEL_FILE = "model.safetensors"
EXPORT_FILES = {"onnx": "model.onnx", "openvino": "model.xml", "torch": MODEL_FILE}
"""What an export can be written for, and the name of its file."""
MODEL_FILES = (MODEL_FILE, "model.onnx", "model.xml")
"""What a folder may hold: a trained model, or an export of one for ONNX or OpenVINO."""
EXPORTS = "exports"
"""Folder of a run for its exports."""
PARITY = "parity.json"
"""Comparison of an export with the model that it was made from, in the folder of the export."""


def path_of(value: Any, key: str, what: str) -> Path:
    """Return a path that a caller from Python gave; `key` is the argument, and `what` belongs there.

    Raises:
        MaskwrightError: it is no path.
    """
    try:
        return Path(value)
    except TypeError:
        shown = "None" if value is None else f"of type {type(value).__name__}"
        raise MaskwrightError(
            f"`{key}` is {shown}, and it must be a path (text or pathlib.Path): give {what}"
        ) from None


def is_remote(place: object) -> TypeGuard[str]:
    """Tell whether a place lies in an object store."""
    return isinstance(place, str) and place.startswith("s3://")


def address(path: Path) -> str | None:
    """Return the address that a path was made from, which merged its slashes; None if it was none: `gs://bucket/a`."""
    if not _SCHEME.fullmatch(path.parts[0] if len(path.parts) > 1 else ""):
        return None
    return str(path).replace(":/", ":///" if path.parts[0] == "file:" else "://", 1)


def existing(root: Path, key: str | None = None) -> Path:
    """Return the path of data, which is there; `key` is the setting that holds it.

    Raises:
        MaskwrightError: it is not.
    """
    if not root.exists():
        near = f", and {root.parent} does not exist either" if not root.parent.exists() else ""
        raise MaskwrightError(f"{root} does not exist{near}: check the path", key)
    return root


def model_file(run: Path, key: str | None = None) -> Path:
    """Return the file of a model: the one in a run folder, or `run` itself; `key` is the setting that holds it.

    Raises:
        MaskwrightError: it is not there.
    """
    if run.is_dir():
        file = next((run / name for name in MODEL_FILES if (run / name).is_file()), None)
        if file is None:
            raise MaskwrightError(f"{run} has no {MODEL_FILE}: give the folder of a finished run, or a model file", key)
        return file
    if not run.exists():
        raise MaskwrightError(f"{run} does not exist: give the folder of a run, or a {MODEL_FILE}", key)
    return run


def check_folder(out: Path) -> None:
    """Refuse a place where no folder can be or be made.

    Raises:
        MaskwrightError: it is a file, lies below one, or is the address of an object store.
    """
    url = address(out)
    if url is not None:
        rule = "only predict writes to an object store, which it takes as text, s3://BUCKET/PREFIX"
        raise MaskwrightError(f"`out` {url} is no folder: {rule}. Name a folder")
    if out.exists() and not out.is_dir():
        raise MaskwrightError(f"`out` {out} is a file: name a folder")
    _check_above(out)


def check_file(out: Path, example: str) -> None:
    """Refuse a place where no file can be written; `example` is a name for one.

    Raises:
        MaskwrightError: it is a folder, or lies below a file.
    """
    if out.is_dir():
        raise MaskwrightError(f"`out` {out} is a folder: name a file, e.g. {out / example}")
    _check_above(out)


def _check_above(out: Path) -> None:
    above = next(place for place in (out, *out.parents) if place.exists())
    if above != out and not above.is_dir():
        raise MaskwrightError(f"`out` {out} cannot be created, because {above} is a file: choose another `out`")
