"""What must be there before work begins: data, and the file of a model. Opens nothing, and imports nothing slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from pathlib import Path

MODEL_FILE = "model.safetensors"


def existing(root: Path) -> Path:
    """Return the path of data, which is there.

    Raises:
        MaskwrightError: it is not.
    """
    if not root.exists():
        near = f", and {root.parent} does not exist either" if not root.parent.exists() else ""
        raise MaskwrightError(f"{root} does not exist{near}: check the path")
    return root


def model_file(run: Path, option: str = "") -> Path:
    """Return the file of a model: the one in a run folder, or `run` itself.

    Args:
        run: what the user named.
        option: how it was given, with a blank behind it, to begin the message with.

    Raises:
        MaskwrightError: it is not there.
    """
    if run.is_dir():
        if not (run / MODEL_FILE).is_file():
            raise MaskwrightError(
                f"{option}{run} holds no {MODEL_FILE}: give the folder of a finished run, or a model file"
            )
        return run / MODEL_FILE
    if not run.exists():
        raise MaskwrightError(f"{option}{run} does not exist: give the folder of a run, or a {MODEL_FILE}")
    return run
