"""Scribbles of images: which file belongs to which image, and its labels. Spreads nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from maskwright.core.errors import MaskwrightError
from maskwright.core.text import plural
from maskwright.data.formats.walk import files_below
from maskwright.data.readers import IMAGE_SUFFIXES, read_mask

if TYPE_CHECKING:
    from pathlib import Path, PurePosixPath

    import numpy as np
    from numpy.typing import NDArray

    from maskwright.workflows.predict_parts.sources import Found


class Scribble(NamedTuple):
    """What is drawn on an image: labels uint8 (H, W), and the colours (256, 3) of a palette file."""

    labels: NDArray[np.uint8]
    palette: NDArray[np.uint8] | None


def with_scribbles(found: Found, folder: Path) -> tuple[Found, dict[PurePosixPath, Path]]:
    """Keep the images that have a scribble, and return the file of each by the name of the picture.

    A scribble has the path of its image below the source, but for the suffix.

    Raises:
        MaskwrightError: there is no such folder, no image has a scribble, or two files are that of one image.
    """
    if not folder.is_dir():
        raise MaskwrightError(f"{folder} is not a folder: give the folder of the scribbles", "scribbles")
    files: dict[str, Path] = {}
    for file in files_below(folder, IMAGE_SUFFIXES):
        place = file.relative_to(folder).with_suffix("").as_posix()
        if place in files:
            raise MaskwrightError(f"{files[place]} and {file} are scribbles of one image: remove one", "scribbles")
        files[place] = file
    drawn = {
        picture.name: files[place]
        for picture in found.pictures
        if picture.image.page is None and (place := picture.relative.with_suffix("").as_posix()) in files
    }
    if not drawn:
        raise MaskwrightError(
            f"{folder} holds {plural(len(files), 'image file')}, and none is the scribble of an image: give each the "
            "path and name of its image, e.g. deep/a.png for deep/a.jpg",
            "scribbles",
        )
    notes = list(found.notes)
    if without := len(found.pictures) - len(drawn):
        notes.append(f"{plural(without, 'image')} without a scribble in {folder} left out")
    if idle := sorted(set(files.values()) - set(drawn.values())):
        notes.append(f"{plural(len(idle), 'scribble')} of no image given, such as {idle[0]}")
    kept = [picture for picture in found.pictures if picture.name in drawn]
    return found._replace(pictures=kept, notes=tuple(notes)), drawn


def read_scribble(path: Path, image: NDArray[Any], nothing: int) -> Scribble:
    """Read the scribble of an image (H, W, C).

    Raises:
        MaskwrightError: it cannot be read, has another size or colours, holds values that are no labels, or never
            `nothing`.
    """
    raw = read_mask(path)
    labels = None if raw.lossy else raw.indices()
    if labels is None:
        kind = "was compressed with loss" if raw.lossy else "holds colours"
        raise MaskwrightError(f"{path} {kind}, but a scribble has one value a label: save it as a grey or palette PNG")
    if labels.shape != image.shape[:2]:
        sizes = [f"{shape[1]}x{shape[0]}" for shape in (labels.shape, image.shape)]
        raise MaskwrightError(f"{path} is {sizes[0]} pixels, but its image is {sizes[1]}: draw it at this size")
    if labels.min() < 0 or labels.max() > 255:
        raise MaskwrightError(f"{path} holds values from {labels.min()} to {labels.max()}: use labels from 0 to 255")
    if not (labels == nothing).any():
        raise MaskwrightError(
            f"{path} has no pixel of the value {nothing}, which means that nothing is drawn: set `ignore` to the value "
            "of these pixels"
        )
    return Scribble(labels.astype("uint8"), raw.palette)
