"""Images with masks of some classes that lack the mask of another. Opens no file."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from maskwright.core.records import Fault
from maskwright.core.text import agree, such_as
from maskwright.data.formats.walk import record_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from maskwright.data.formats.pairing.grouping import Group


def missing_masks(root: Path, found: Sequence[Group]) -> list[Fault]:
    """Warn of images that lack the mask of a class: it may have been lost, or not drawn yet.

    A class with masks for fewer than half of the images is saved only where it occurs.
    """
    having: defaultdict[str, list[Group]] = defaultdict(list)
    for group in found:
        for name in group.masks:
            having[name].append(group)
    lacking = {name: groups for name, groups in having.items() if len(found) / 2 <= len(groups) < len(found)}
    return [_missing(root, name, found, groups) for name, groups in sorted(lacking.items())]


def _missing(root: Path, name: str, found: Sequence[Group], having: Sequence[Group]) -> Fault:
    has = {group.image.path for group in having}
    alone = [group.image.path for group in found if group.image.path not in has]
    example = having[0].masks[name][0].path
    message = (
        f"{len(alone)} of {len(found)} images ({such_as(len(alone), record_id(root, alone[0]))}) "
        f"{agree(len(alone), 'has', 'have')} no mask of {name!r} like {record_id(root, example)}, and "
        f"{agree(len(alone), 'is', 'are')} read as having none of that class"
    )
    cure = "add the missing masks; where an image shows none of the class, save an all-zero mask"
    return Fault("missing-mask", "warning", example.parent, message, cure)
