"""Whether an export is as it was written, and still belongs to the model of its run. Knows no runtime and no network.

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
FILES = "files_sha256"
"""Key there for the hash of each file of the export itself, by name."""


def parts(model: Path) -> list[Path]:
    """Return the files of a model: its file, and the weights beside it if it has none."""
    return [model, *([model.with_suffix(".bin")] if model.suffix == ".xml" else [])]


def digest(model: Path) -> str:
    """Return the SHA-256 of a model file, and of the weights beside it if it has none, as hexadecimal text."""
    found = hashlib.sha256()
    for path in parts(model):
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: found)
    return found.hexdigest()


def digests(model: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a model that is there, by name."""
    found = {}
    for path in parts(model):
        if path.is_file():
            with path.open("rb") as file:
                found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def check_whole(model: Path) -> None:
    """Refuse an export whose files are not those that were compared with the model: a damaged one predicts other masks.

    Nothing is known, and nothing refused, of a file without a comparison beside it: that of a run, or one that was
    moved alone; nor of one whose comparison has no hash of it, as those of earlier versions.

    Args:
        model: file of a model; if it is an export, the comparison lies beside it.

    Raises:
        MaskwrightError: a file, or the comparison, is damaged.
    """
    comparison = model.with_name(PARITY)
    if not comparison.is_file():
        return
    try:
        wanted = dict(json.loads(read_text(comparison)).get(FILES, {}))
    except (MaskwrightError, ValueError, TypeError, AttributeError):
        raise MaskwrightError(
            f"{comparison} is damaged, so nothing says whether {model.name} is whole: copy the folder again, or export "
            "again"
        ) from None
    for name, found in digests(model).items() if wanted else ():
        if wanted.get(name, found) != found:
            raise MaskwrightError(
                f"{model.with_name(name)} is not as it was exported: its SHA-256 is {found}, and {PARITY} beside it "
                f"says {wanted[name]}. Copy the folder again, or export again"
            )


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
