"""Cell Tracking Challenge: frames in 01/, and object ids in 01_GT/SEG/ (gold truth) or 01_ST/SEG/ (silver truth).

The gold truth is drawn by people, for few frames and sometimes for few cells of a frame; the silver truth is computed,
for all. The markers in 01_GT/TRA/ tell which cells a frame has (Maška et al. 2023).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Dataset, Fault, ImageRef
from maskwright.core.text import agree, listing, plural
from maskwright.data.formats.folder import Layout, dataset_of
from maskwright.data.formats.pairing.stacks import ImagePair
from maskwright.data.formats.walk import folder_name, images_below, record_id
from maskwright.data.readers import DecodeError, read_mask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.read_options import ReadOptions

_TRUTHS = ("GT", "ST")
_MOST_LACKING = 0.1
"""Share of the cells of a frame that may lack an outline before the frame is left out."""


class _Truth(NamedTuple):
    """The object ids of a frame: whether the file cannot be read, the share of markers without an object, the file."""

    unreadable: bool
    lacking: float
    path: Path


def detect(root: Path) -> str | None:
    """Find a folder of frames beside its 01_GT/ or 01_ST/ with SEG/ or TRA/."""
    sequences = _sequences(root)
    return f"{listing([f'{name}/' for name in sequences])} with SEG/ or TRA/ in _GT/ or _ST/" if sequences else None


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read sequences of the Cell Tracking Challenge in 2D; each is a group.

    Raises:
        MaskwrightError: no frame has object ids, or the sequences are volumes.
    """
    sequences = _sequences(root)
    if not sequences:
        raise MaskwrightError(
            f"{root} is not laid out as the Cell Tracking Challenge: it needs frames such as 01/t000.tif and object "
            "ids such as 01_GT/SEG/man_seg000.tif"
        )
    pairs: list[ImagePair] = []
    faults: list[Fault] = []
    for name in sequences:
        found, more = _sequence(root, name)
        pairs, faults = [*pairs, *found], [*faults, *more]
    if not pairs:
        name = next(iter(sequences))
        if not any(_has(root, name, ("SEG",)) for name in sequences):
            raise MaskwrightError(
                f"{root}: {name}_GT/TRA/ holds markers that track cells and need not cover them, and there is no SEG/ "
                f"with their outlines: add {name}_GT/SEG/ or {name}_ST/SEG/ of the same data set; if the markers cover "
                f"the cells, copy each {name}_GT/TRA/man_track000.tif to {name}_GT/SEG/man_seg000.tif"
            )
        reason = f" ({faults[0].message})" if faults else ""
        raise MaskwrightError(
            f"{root}: no frame such as {name}/t000.tif has a map of object ids such as man_seg000.tif"
            f"{reason}. Volumes are not read: save their slices as images"
        )
    words = f"{listing([f'{name}/' for name in sequences])}, each with the object ids in its SEG/"
    return dataset_of(root, pairs, options, Layout("cell-tracking", words, faults, instances=True))


def _sequences(root: Path) -> list[str]:
    """Return the names of the folders of frames that have a folder of object ids or markers."""
    if not root.is_dir():
        return []
    folders = [path.name for path in sorted(root.iterdir()) if path.is_dir()]
    return [name for name in folders if _has(root, name, ("SEG", "TRA"))]


def _has(root: Path, name: str, kinds: tuple[str, ...]) -> bool:
    return any((root / f"{name}_{truth}" / kind).is_dir() for truth in _TRUTHS for kind in kinds)


def _numbered(folder: Path, start: str) -> dict[int, Path]:
    """Return the files such as t000.tif by their number; those of slices (man_seg_000_012.tif) have another name."""
    files = images_below(folder) if folder.is_dir() else []
    found = ((re.fullmatch(rf"{start}(\d+)", path.stem), path) for path in files)
    return {int(match[1]): path for match, path in found if match and path.parent == folder}


def _sequence(root: Path, name: str) -> tuple[list[ImagePair], list[Fault]]:
    """Pair the frames of a sequence with the truth that covers most of their cells."""
    folder = root / name
    frames = _numbered(folder, "t")
    truths = [_numbered(root / f"{name}_{truth}" / "SEG", "man_seg") for truth in _TRUTHS]
    markers = _numbered(root / f"{name}_GT" / "TRA", "man_track")
    pairs: list[ImagePair] = []
    partial: list[Path] = []
    faults: list[Fault] = []
    for number, image in frames.items():
        files = [maps[number] for maps in truths if number in maps]
        if not files:
            continue
        marked = _ids(markers[number]) if number in markers else None
        best = min((_truth(file, marked) for file in files), key=lambda truth: truth[:2])
        if best.lacking > _MOST_LACKING:
            message = (
                f"{record_id(root, best.path)} has no object for {100 * best.lacking:.0f} % of the cells that "
                f"{record_id(root, markers[number])} marks, which would count as background"
            )
            cure = f"complete it, or add {name}_ST/SEG/{best.path.name}"
            faults.append(Fault("incomplete", "error", image, message, cure))
            continue
        partial += [best.path] if best.lacking else []
        pairs.append(ImagePair(record_id(root, image), ImageRef(image), ImageRef(best.path), None, name))
    return pairs, [*faults, *_about(root, folder, len(frames), len(pairs) + len(faults), partial)]


def _truth(path: Path, marked: NDArray[Any] | None) -> _Truth:
    """Compare the objects in `path` with the markers of the frame; without markers, nothing is lacking."""
    objects = _ids(path)
    if objects is None or marked is None or objects.shape != marked.shape:
        return _Truth(unreadable=objects is None, lacking=0.0, path=path)
    cells = np.unique(marked[marked != 0])
    covered = np.unique(marked[(marked != 0) & (objects != 0)])
    return _Truth(unreadable=False, lacking=1 - len(covered) / len(cells) if len(cells) else 0.0, path=path)


def _ids(path: Path) -> NDArray[Any] | None:
    """Return a map of ids; None if it is damaged or holds none, which is reported if its pixels are asked for."""
    try:
        return read_mask(path).indices()
    except DecodeError:
        return None


def _about(root: Path, folder: Path, frames: int, drawn: int, partial: list[Path]) -> Iterator[Fault]:
    """Report frames without a truth, and those whose truth lacks a few cells."""
    where = folder_name(root, folder)
    if drawn < frames:
        count = frames - drawn
        message = f"{plural(count, 'frame')} of {frames} in {where} {agree(count, 'has', 'have')} no map of object ids"
        yield Fault(
            "unlabelled",
            "note",
            folder,
            f"{message} and {agree(count, 'is', 'are')} not used",
            "nothing needs to be done",
        )
    if partial:
        message = (
            f"{plural(len(partial), 'map')} of object ids, such as {record_id(root, partial[0])}, "
            f"{agree(len(partial), 'lacks', 'lack')} up to {100 * _MOST_LACKING:.0f} % of the cells that "
            f"{folder.name}_GT/TRA/ marks, which count as background"
        )
        yield Fault("incomplete", "warning", partial[0], message, "complete the maps, or remove their frames")
