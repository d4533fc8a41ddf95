"""Two folders whose files have equal names, and no name tells which holds masks: what the pictures hold tells it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.records import Fault
from maskwright.data.formats.pairing import naming
from maskwright.data.formats.pairing.matching import File
from maskwright.data.formats.pairing.pairs import Divided, paired
from maskwright.data.formats.walk import folder_name, parts_below
from maskwright.data.readers import DecodeError, image_size, is_lossy, read_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from maskwright.data.formats.pairing.naming import Role
    from maskwright.data.formats.pairing.pairs import Pairing

_FEWEST_MASKS, _MOST_OPENED = 3, 8
# A mask holds at most so many colours, and was saved without loss; an image holds more than so many.
_FEW, _MANY = 32, 64
_SIDE = 256


def with_twins(root: Path, paths: Sequence[Path], pairing: Pairing) -> Pairing:
    """Pair the files of two folders if no name tells the masks, but the pictures do.

    Args:
        root: of the data set.
        paths: every image file below it.
        pairing: the pairs by name.

    Returns:
        The pairs with a note, or `pairing` if names tell masks, or a picture leaves doubt.
    """
    folders: defaultdict[tuple[str, ...], list[File]] = defaultdict(list)
    for path in () if pairing.masks else paths:
        place = naming.place(parts_below(root, path) or (path.name,))
        folders[place.key[1:-1]].append(File(path, place))
    if len(folders) != 2 or min(map(len, folders.values())) < _FEWEST_MASKS:
        return pairing
    first, second = folders.values()
    try:
        return _paired(root, first, second) or _paired(root, second, first) or pairing
    except DecodeError:  # a picture that cannot be read leaves doubt too
        return pairing


def _paired(root: Path, images: list[File], masks: list[File]) -> Pairing | None:
    """Return the pairs if pictures look like images and masks, have equal sizes, and no mask is left over."""
    if not all(map(_is_image, _some(images))) or not all(map(_is_mask, _some(masks))):
        return None
    found = paired(root, Divided(_as("image", images), _as("mask", masks), []))
    if len(found.pairs) < len(masks):
        return None
    if any(image_size(pair.image) != image_size(pair.mask) for pair in _some(found.pairs)):
        return None
    return found._replace(faults=(*found.faults, _note(root, found)))


def _note(root: Path, found: Pairing) -> Fault:
    image, mask = (folder_name(root, path.parent) for path in found.pairs[0][:2])
    message = (
        f"no name tells which pictures are masks; those in {mask} are read as masks, since they hold few colours and "
        f"those in {image} many"
    )
    cure = "name the two folders images/ and masks/ to avoid this note"
    return Fault("found-masks", "note", found.pairs[0].mask.parent, message, cure)


def _as(role: Role, files: Sequence[File]) -> list[File]:
    """Give files a role, and the name alone to be paired by."""
    return [File(path, place._replace(role=role, key=(place.key[0], place.key[-1]))) for path, place, _ in files]


def _some(items: Sequence[Any]) -> Sequence[Any]:
    return items[:: -(-len(items) // _MOST_OPENED)]


def _is_mask(file: File) -> bool:
    return not is_lossy(file.path) and _count_colors(file.path) <= _FEW


def _is_image(file: File) -> bool:
    return _count_colors(file.path) > _MANY


def _count_colors(path: Path) -> int:
    """Count the colours in a sample of the pixels."""
    pixels = np.asarray(read_image(path))
    step = max(1, max(pixels.shape[:2]) // _SIDE)
    sample = pixels[::step, ::step]
    return len(np.unique(sample.reshape(-1, sample.shape[2]), axis=0))
