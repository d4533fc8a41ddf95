"""The folder of an export: written beside its place, and moved there when it is whole. Knows no model."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError
from maskwright.core.files import write_error
from maskwright.core.paths import MODEL_FILES, PARITY, check_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

_OWN = {*MODEL_FILES, "model.bin"}


def check_out(out: Path) -> None:
    """Refuse a folder that holds anything but an export of ours.

    Raises:
        MaskwrightError: it does, or it is a file.
    """
    check_folder(out)
    if out.is_dir() and any(out.iterdir()) and not (out / PARITY).is_file():
        raise MaskwrightError(f"{out} holds other files: choose another `out`", "out")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `out`, which takes its place on success and vanishes on failure.

    What else lies in `out`, such as reports of evaluations, is kept.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise write_error(out, error) from error
    try:
        yield folder
        try:
            folder.chmod(0o755)
            if out.exists():
                _keep(out, folder)
                shutil.rmtree(out)
            folder.rename(out)
        except OSError as error:
            raise write_error(out, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _keep(old: Path, new: Path) -> None:
    """Move what an export does not write from the old folder to the new one."""
    for entry in old.iterdir():
        if entry.name not in _OWN and not (new / entry.name).exists():
            shutil.move(entry, new / entry.name)
