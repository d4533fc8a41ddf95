"""Whether an export still belongs to the model of its run. Knows no runtime and no network.

An export does not change with its run: when the model file is written again, by a new training or with newly fitted
settings, what was exported before is another model.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from maskwright.core.errors import MaskwrightError
from maskwright.core.files import read_text
from maskwright.core.paths import PARITY

if TYPE_CHECKING:
    from pathlib import Path

ORIGIN = "model_sha256"
"""Key in the comparison of an export for the hash of the model file that it was made from."""


def digest(model: Path) -> str:
    """Return the SHA-256 of a model file, and of the weights beside it if it has none, as hexadecimal text."""
    found = hashlib.sha256()
    for path in [model, *([model.with_suffix(".bin")] if model.suffix == ".xml" else [])]:
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: found)
    return found.hexdigest()


def check_origin(export: Path, model: Path) -> dict[str, Any]:
    """Refuse an export that was not made from this model.

    Args:
        export: its file; the comparison lies beside it.
        model: the model file of the run.

    Returns:
        The comparison.

    Raises:
        MaskwrightError: it was made from another one, or nothing says from which.
    """
    comparison = export.with_name(PARITY)
    cure = "export the model again, or delete the folder"
    try:
        found: dict[str, Any] = json.loads(read_text(comparison))
        origin = found[ORIGIN]
    except (ValueError, KeyError, TypeError):
        raise MaskwrightError(f"{comparison} does not say which model {export.name} was made from: {cure}") from None
    if origin != digest(model):
        raise MaskwrightError(f"{export} was made from another model than {model}, which has changed since: {cure}")
    return found
