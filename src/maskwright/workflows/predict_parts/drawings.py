"""Scribbles and masks drawn on images: which file belongs to which image, and its labels. Moves nothing."""

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


class Drawing(NamedTuple):
    """What is drawn on an image: labels (H, W), uint8 or uint16, and the colours (256, 3) of a palette file."""

    labels: NDArray[np.uint8] | NDArray[np.uint16]
    palette: NDArray[np.uint8] | None


def with_drawings(found: Found, folder: Path, kind: str) -> tuple[Found, dict[PurePosixPath, Path]]:
    """Keep the images that have a drawing, and return the file of each by the name of the picture.

    A drawing has the path of its image below the source, but for the suffix.

    Args:
        found: the images.
        folder: of the drawings.
        kind: `scribble` or `mask`.

    Raises:
        MaskwrightError: there is no such folder, no image has a drawing, or two files are that of one image.
    """
    key = f"{kind}s"
    if not folder.is_dir():
        raise MaskwrightError(f"{folder} is not a folder: give the folder of the {kind}s", key)
    files: dict[str, Path] = {}
    for file in files_below(folder, IMAGE_SUFFIXES):
        place = file.relative_to(folder).with_suffix("").as_posix()
        if place in files:
            raise MaskwrightError(f"{files[place]} and {file} are {kind}s of one image: remove one", key)
        files[place] = file
    drawn = {
        picture.name: files[place]
        for picture in found.pictures
        if picture.image.page is None and (place := picture.relative.with_suffix("").as_posix()) in files
    }
    if not drawn:
        raise MaskwrightError(
            f"{folder} holds {plural(len(files), 'image file')}, and none is the {kind} of an image: give each the "
            "path and name of its image, e.g. deep/a.png for deep/a.jpg",
            key,
        )
    notes = list(found.notes)
    if without := len(found.pictures) - len(drawn):
        notes.append(f"{plural(without, 'image')} without a {kind} in {folder} left out")
    if idle := sorted(set(files.values()) - set(drawn.values())):
        notes.append(f"{plural(len(idle), kind)} of no image given, such as {idle[0]}")
    kept = [picture for picture in found.pictures if picture.name in drawn]
    return found._replace(pictures=kept, notes=tuple(notes)), drawn


def read_drawing(path: Path, image: NDArray[Any], nothing: int | None = None) -> Drawing:
    """Read the drawing of an image (H, W, C).

    Args:
        path: of the drawing.
        image: its image.
        nothing: value of a scribble where nothing is drawn, and labels are then 0 to 255; None for a mask, whose labels
            are 0 to 65535.

    Raises:
        MaskwrightError: it cannot be read, has another size or colours, holds values that are no labels, or never
            `nothing`.
    """
    kind, most = ("mask", 65535) if nothing is None else ("scribble", 255)
    raw = read_mask(path)
    labels = None if raw.lossy else raw.indices()
    if labels is None:
        why = "was compressed with loss" if raw.lossy else "holds colours"
        raise MaskwrightError(f"{path} {why}, but a {kind} has one value a label: save it as a grey or palette PNG")
    if labels.shape != image.shape[:2]:
        sizes = [f"{shape[1]}x{shape[0]}" for shape in (labels.shape, image.shape)]
        raise MaskwrightError(f"{path} is {sizes[0]} pixels, but its image is {sizes[1]}: draw it at this size")
    if labels.min() < 0 or labels.max() > most:
        raise MaskwrightError(f"{path} holds values from {labels.min()} to {labels.max()}: use labels from 0 to {most}")
    if nothing is not None and not (labels == nothing).any():
        raise MaskwrightError(
            f"{path} has no pixel of the value {nothing}, which means that nothing is drawn: set `ignore` to the value "
            "of these pixels"
        )
    return Drawing(labels.astype("uint8" if labels.max() <= 255 else "uint16"), raw.palette)
