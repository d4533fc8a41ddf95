"""What becomes of each image: files in an output folder, or a failure that stops no other image. Knows no model."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from maskwright.core.errors import MaskwrightError, out_of_memory
from maskwright.core.files import check_name, write_error
from maskwright.core.paths import check_folder
from maskwright.data.results import written_by_us

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence
    from pathlib import Path

    from maskwright.workflows.predict_parts.pictures import Picture

T = TypeVar("T")

PARTS = ".parts"
"""What the name of a hidden folder with the finished rows of a scan ends in."""


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
        risk: how much of it is likely to be wrong, 0..1 (`diagnosis.risk`); None where that is unknown.
    """

    source: Path
    files: dict[str, Path]
    summary: dict[str, int | float]
    page: int | None = None
    risk: float | None = None


@dataclass(frozen=True)
class PredictedVideo:
    """What was written for one video.

    Attributes:
        source: the file, or `camera:0`.
        files: kind -> file, or folder with a file a frame; `frames` is the list of frames.
        frames: number of frames with a result.
        broken: number of frames that cannot be decoded.
        frames_per_second: with a result, decoding and writing included.
        flicker: shares of pixels whose label changes along the motion, as predicted and smoothed; None if the video was
            not smoothed.
        risks: number and risk of each frame with a result; empty unless a rule of rejection was given.
    """

    source: Path
    files: dict[str, Path]
    frames: int
    broken: int
    frames_per_second: float
    flicker: tuple[float, float] | None = None
    risks: tuple[tuple[int, float | None], ...] = ()


@dataclass(frozen=True)
class PredictResult:
    """Result of a verb that writes files for images.

    Attributes:
        outputs: every file written.
        failures: every image or source without a result.
        images: one entry per image with a result, in order.
        notes: what was left out although one might expect it.
        videos: one entry per video with a result.
        rejected: those of the images and frames whose risk is too high, the riskiest first; None if no rule was
            given. A frame has its number as `page`, and no files.
    """

    outputs: tuple[Path, ...]
    failures: list[Failure]
    images: tuple[Predicted, ...]
    notes: tuple[str, ...] = ()
    videos: tuple[PredictedVideo, ...] = ()
    rejected: tuple[Predicted, ...] | None = None


class Unusable(Exception):  # noqa: N818 (it never leaves the workflow)
    """This image has no result; the others may have."""


def make_room(out: Path, files: Iterable[Path]) -> None:
    """Make the output folder, and refuse to overwrite a file that maskwright did not write.

    Raises:
        MaskwrightError: there is such a file, or the folder cannot be made.
    """
    check_folder(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(out, error) from error
    for file in files:
        if os.path.lexists(file) and not written_by_us(file):
            raise not_ours(str(file))


def not_ours(file: str) -> MaskwrightError:
    """Build the error for a file that is not overwritten."""
    return MaskwrightError(
        f"{file} exists and was not written by maskwright, so it is not overwritten: choose another `out`"
    )


def check_names(picture: Picture, out: Path, files: Mapping[str, Path]) -> None:
    """Refuse an image whose name is too long for its results.

    Raises:
        Unusable: so it is.
    """
    try:
        for part in {part for file in files.values() for part in file.relative_to(out).parts}:
            check_name(out, part)
    except MaskwrightError as error:
        raise unusable(picture, error) from error


def unusable(picture: Picture, error: Exception) -> Unusable:
    """Say why an image has no result, with its name."""
    if out_of_memory(error):
        first = next(iter(str(error).splitlines()), type(error).__name__)
        return Unusable(f"{picture.image} needs more memory than is free: cut it into parts ({first})")
    message = str(error)
    return Unusable(message if str(picture.image) in message else f"{picture.image}: {message}")


def usable(picture: Picture, items: Iterable[T]) -> Generator[T]:
    """Pass on what is computed of an image.

    Raises:
        Unusable: it cannot be computed, or memory does not suffice.
    """
    try:
        yield from items
    except (MaskwrightError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not out_of_memory(error):
            raise
        raise unusable(picture, error) from error


def kind_names(save: str | Sequence[str]) -> list[str]:
    """Return the names of kinds of files, from a list or from one text with commas between them."""
    return [name.strip() for text in ([save] if isinstance(save, str) else save) for name in text.split(",")]
