"""Maps of objects compared with the masks of classes beside them: an object map that was saved wrongly contradicts one.

Classes with few of their pixels in objects have none, as sky or road, so they are told from all images together.
Opens no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.records import Fault
from maskwright.core.text import agree, percent, plural, such_as
from maskwright.ops.images import count_labels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.classes import Classes
    from maskwright.core.instances import Instance

_HALF = 0.5


class ImageAgreement(NamedTuple):
    """How the objects of one image fit its mask of classes.

    Attributes:
        source: the map of objects.
        shown: (256,) pixels of each class that may have objects.
        covered: (256,) those that are in an object or a crowd.
        strange: objects of which most lies where the mask shows another class than theirs.
    """

    source: Path
    shown: NDArray[np.int64]
    covered: NDArray[np.int64]
    strange: int


def compared(found: Sequence[Instance], label: NDArray[np.uint8], classes: Classes, source: Path) -> ImageAgreement:
    """Compare the objects of one image with its label map (H, W)."""
    inside = np.zeros(label.shape, np.bool_)
    strange = 0
    for entry in found:
        window = label[entry.rows, entry.columns]
        inside[entry.rows, entry.columns] |= entry.mask
        known = entry.mask & (window != IGNORE)
        alike = np.count_nonzero(window[known] == entry.index)
        strange += int(not entry.crowd and alike < _HALF * np.count_nonzero(known))
    shown, covered = count_labels(label).astype(np.int64), np.bincount(label[inside], minlength=IGNORE + 1)
    others = np.setdiff1d(np.arange(len(shown)), list(classes.objects))
    shown[others] = covered[others] = 0
    return ImageAgreement(source, shown, covered, strange)


class AgreementMeter:
    """What the images say together."""

    def __init__(self) -> None:
        self._images: list[ImageAgreement] = []

    def add(self, part: ImageAgreement) -> None:
        """Add one image."""
        self._images.append(part)

    def faults(self) -> Iterator[Fault]:
        """Yield warnings on maps that leave out what the classes show, and on objects of another class."""
        if not self._images:
            return
        shown, covered = (sum(getattr(part, name) for part in self._images) for name in ("shown", "covered"))
        usual = covered > _HALF * shown
        bare = [part for part in self._images if part.covered[usual].sum() < _HALF * part.shown[usual].sum()]
        if bare:
            first, leaves = bare[0], agree(len(bare), "leaves", "leave")
            pixels, lost = int(first.shown[usual].sum()), int((first.shown - first.covered)[usual].sum())
            message = (
                f"{plural(len(bare), 'map')} of objects {leaves} out most of what the masks of classes show, "
                f"{such_as(len(bare), first.source.name)}, where {percent(lost / pixels, 0)} of {pixels:,} pixels of "
                "classes with objects lie in none"
            )
            cure = "save the map again with an id for each object, or remove the image"
            yield Fault("object-map", "warning", first.source, message, cure)
        strange = [part for part in self._images if part.strange]
        if strange:
            count, first = sum(part.strange for part in strange), strange[0]
            where = f"in {plural(len(strange), 'map')}, {such_as(len(strange), first.source.name)}"
            lies = f"{agree(count, 'lies', 'lie')} mostly where the masks of classes show something else"
            message = f"{plural(count, 'object')} {where}, {lies}"
            cure = "check that the map and the mask show the same image, and save the wrong one again"
            yield Fault("object-map", "warning", first.source, message, cure)
