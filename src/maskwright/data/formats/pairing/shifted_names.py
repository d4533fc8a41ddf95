"""Images and masks whose numbers count from different starts, so that equal numbers do not belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.records import Fault
from maskwright.data.formats.pairing import naming
from maskwright.data.formats.walk import record_id

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from maskwright.data.formats.pairing.matching import File

_FEWEST = 3


def shifted_names(root: Path, images: list[File], masks: list[File], used: Collection[Path]) -> list[Fault]:
    """Warn where the first images of a split have no mask, and as many of its last masks no image; or the reverse."""
    splits = sorted({file.place.split or "" for file in images})
    parts = [
        [[file for file in files if (file.place.split or "") == split] for files in (images, masks)] for split in splits
    ]
    return [fault for first, second in parts for fault in _shifted(root, first, second, used)]


def _shifted(root: Path, images: list[File], masks: list[File], used: Collection[Path]) -> list[Fault]:
    alone, lonely = (_left_over(files, used) for files in (images, masks))
    first, last = ("first", "last") if alone[0] else ("last", "first")
    image, mask = (alone[0], lonely[1]) if alone[0] else (alone[1], lonely[0])
    if not image or len(image) != len(mask):
        return []
    message = (
        f"{record_id(root, image[0])}, the {first} image, has no mask, and {record_id(root, mask[0])}, the {last} "
        "mask, has no image: if images and masks count from different numbers, each image has the mask of another"
    )
    cure = "compare an image with its mask: if they do not fit, rename the masks; otherwise remove what is left over"
    return [Fault("shifted-names", "warning", mask[0].parent, message, cure)]


def _left_over(files: list[File], used: Collection[Path]) -> tuple[list[Path], list[Path]]:
    """Return the files without a partner if they are the first ones, or if they are the last; one list is empty.

    Both are empty unless the files are numbered without gaps.
    """
    numbered = {_number(file.path): file.path for file in files}
    ordered = sorted(numbered)
    gaps = bool(ordered) and ordered != list(range(ordered[0], ordered[0] + len(files)))
    left = [numbered[number] for number in ordered if numbered[number] not in used]
    if gaps or not left or ordered[0] < 0 or len(ordered) - len(left) < _FEWEST:
        return [], []
    first, last = ([numbered[number] for number in part] for part in (ordered[: len(left)], ordered[-len(left) :]))
    return (left if left == first else []), (left if left == last else [])


def _number(path: Path) -> int:
    """Return the number at the end of a name, words for a role or a split aside; -1 without one."""
    return naming.first_number(naming.bare_number(naming.stem(path.name)))[1]
