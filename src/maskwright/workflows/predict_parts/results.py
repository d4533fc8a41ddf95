"""What a verb that makes files from images returns, and the room for these files. Knows no model and loads no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.errors import MaskwrightError, out_of_memory
from maskwright.core.files import check_name, write_error
from maskwright.core.paths import check_folder
from maskwright.data.results import written_by_us

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from maskwright.workflows.predict_parts.pictures import Picture


class Failure(NamedTuple):
    """An image, or a source, without a result.

    Attributes:
        path: of the image or source.
        reason: path, value, rule and cure.
    """

    path: Path
    reason: str


@dataclass(frozen=True)
class Predicted:
    """What was written for one image.

    Attributes:
        source: the image file.
        files: kind -> file.
        summary: the result as plain numbers by name; for a label map class name -> pixels.
        page: of a stack, counted from 0; None for a file that is one image.
    """

    source: Path
    files: dict[str, Path]
    summary: dict[str, int | float]
    page: int | None = None


@dataclass(frozen=True)
class PredictResult:
    """Result of a prediction.

    Attributes:
        outputs: every file written.
        failures: every image or source without a result.
        images: one entry per predicted image, in order.
        notes: what was left out although one might expect it.
    """

    outputs: tuple[Path, ...]
    failures: list[Failure]
    images: tuple[Predicted, ...]
    notes: tuple[str, ...] = ()


def make_room(out: Path, targets: Iterable[Path]) -> None:
    """Make the output folder, and refuse to overwrite a file that maskwright did not write.

    Raises:
        MaskwrightError: such a file exists, or the folder cannot be made.
    """
    check_folder(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(out, error) from error
    for file in targets:
        if os.path.lexists(file) and not written_by_us(file):
            raise MaskwrightError(
                f"{file} exists and was not written by a prediction, so it is not overwritten: choose another `out`"
            )


def check_names(out: Path, files: Iterable[Path]) -> None:
    """Refuse results with a name that is too long for the file system.

    Raises:
        MaskwrightError: a name is too long.
    """
    for part in {part for file in files for part in file.relative_to(out).parts}:
        check_name(out, part)


def why(picture: Picture, error: Exception) -> str:
    """Say why an image has no result: the message of the error, with the image's name."""
    if out_of_memory(error):
        first = next(iter(str(error).splitlines()), type(error).__name__)
        return f"{picture.image} needs more memory than is free: cut it into parts ({first})"
    message = str(error)
    return message if str(picture.image) in message else f"{picture.image}: {message}"
