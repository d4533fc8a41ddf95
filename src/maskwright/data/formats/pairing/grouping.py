"""Which mask files belong to one image where it has several. Opens no file.

Each shows a class, which its folder or the end of its name tells, or an object.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from maskwright.data.formats.pairing import naming
from maskwright.data.formats.pairing.layer_names import name_faults, only_count, repeated, tell_classes
from maskwright.data.formats.pairing.matching import are_numbered, matched
from maskwright.data.formats.pairing.pairs import divided

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from maskwright.core.records import Fault
    from maskwright.data.formats.pairing.matching import File
    from maskwright.data.formats.pairing.pairs import Divided

    Key = tuple[str, ...]

_GAP = re.compile(r"[\s_\-.]+")


class Group(NamedTuple):
    """An image and its mask files.

    Attributes:
        image: the picture.
        masks: by what they show, the name of a class or of an object; several show parts of it.
        numbered: masks that have a number too, and may be of another image.
    """

    image: File
    masks: dict[str, list[File]]
    numbered: dict[str, list[File]]

    def files(self) -> list[File]:
        """Return the masks without a number."""
        return [mask for masks in self.masks.values() for mask in masks]

    def doubt(self) -> list[File]:
        """Return the masks of one class that may not belong together, such as a.png and a_2.png; none as a rule."""
        for name in dict.fromkeys((*self.masks, *self.numbered)):
            masks, numbered = self.masks.get(name, []), self.numbered.get(name, [])
            if numbered or (len(masks) > 1 and not are_numbered(masks)):
                return [*masks, *numbered]
        return []


class Groups(NamedTuple):
    """The images with several masks.

    Attributes:
        found: those whose masks are clear.
        doubts: the others; there is at least one group here or in `found`.
        classes: the names are those of classes, and not of objects.
        divided: all pictures.
        faults: what the names leave open.
    """

    found: list[Group]
    doubts: list[Group]
    classes: bool
    divided: Divided
    faults: list[Fault]


def find_groups(root: Path, paths: list[Path], *, chosen: bool = False) -> Groups | None:
    """Group the masks of each image; None where each image has one mask, or none.

    Args:
        root: the folder that the user gave.
        paths: every image file below it.
        chosen: the user says that masks are grouped, so one of a class is enough.
    """
    parts = divided(root, paths)
    if parts.how is not None or not parts.images or len(parts.masks) < 2:
        return None
    pairs = matched(parts.images, parts.masks, loosely=False).pairs
    if 2 * len(pairs) > len(parts.masks):
        return None
    ways = ((_by_class_folder(parts), False), (_by_image_folder(parts), True), (_by_name_end(parts), False))
    for found, files in ways:
        grouped = sum(len(group.files()) for group in found)
        if grouped > (0 if chosen else len(found)) and (
            not pairs or (grouped == len(parts.masks) and 2 * len(pairs) <= grouped)
        ):
            clear = [group for group in found if not group.doubt()]
            doubts = [group for group in found if group.doubt()]
            names = [group.masks.keys() for group in found]
            classes = tell_classes(names, files=files)
            return Groups(clear, doubts, classes, parts, name_faults(names, root, classes=classes, files=files))
    return None


def _by_class_folder(parts: Divided) -> list[Group]:
    """Group masks/nut/0.png and masks/bolt/0.png under images/0.png: the last folder, or the first, is the class."""
    by_key = _unique({file: _bare(file) for file in parts.images})
    for place in (-2, 1):
        shown = []
        for mask in parts.masks:
            key = _bare(mask)
            if len(key) < 3:
                continue
            image, end = _owner((*key[:place], *key[place:][1:])[:-1], mask, by_key)
            shown.append((mask, image, mask.place.key[place], naming.first_number(end)[1]))
        found = _grouped(shown)
        if len({name for group in found for name in group.masks}) > 1:
            return found
    return []


def _by_name_end(parts: Divided) -> list[Group]:
    """Group masks/0_nut.png and masks/0_bolt.png under images/0.png: the end of the name is the class."""
    by_key = _unique({file: _bare(file) for file in parts.images})
    owned = [(mask, *_owner(_bare(mask)[:-1], mask, by_key)) for mask in parts.masks]
    found = _grouped((mask, image, *naming.first_number(end)) for mask, image, end in owned if end)
    names = [group.masks.keys() for group in found]
    return found if repeated(names) or only_count(names) else []


def _grouped(shown: Iterable[tuple[File, File | None, str, int]]) -> list[Group]:
    """Group masks by their images, given with what they show and their number, which is negative for most."""
    groups: dict[Path, Group] = {}
    for mask, image, name, number in shown:
        if image is not None:
            group = groups.setdefault(image.path, Group(image, {}, {}))
            (group.masks if number < 0 else group.numbered).setdefault(name, []).append(mask)
    return [group for group in groups.values() if group.masks]


def _owner(folders: Key, mask: File, images: dict[Key, File]) -> tuple[File | None, str]:
    """Return the image in `folders` of a mask, and what the mask's name has behind the image's."""
    whole = mask.place.key[-1]
    for stem in map(naming.bare_stem, (whole, *naming.numbered_owners(whole)[1:])):
        if (*folders, naming.alike(stem)) in images:
            return images[*folders, naming.alike(stem)], ""
    for gap in reversed(list(_GAP.finditer(stem))):
        image = images.get((*folders, naming.alike(stem[: gap.start()])))
        if image is not None:
            return image, stem[gap.end() :]
    return None, ""


def _by_image_folder(parts: Divided) -> list[Group]:
    """Group ID/masks/*.png under the only image of ID/images/, or masks/ID/*.png under images/ID.png."""
    by_folder = _unique({file: _bare(file)[:-1] for file in parts.images if len(file.place.key) > 2})
    by_key = _unique({file: _bare(file) for file in parts.images})
    shown = []
    for mask in parts.masks:
        folder = _bare(mask)[:-1]
        image = by_folder.get(folder) or (by_key.get(folder) if len(folder) > 1 else None)
        shown.append((mask, image, mask.place.key[-1], -1))
    return _grouped(shown)


def _unique(keys: dict[File, Key]) -> dict[Key, File]:
    """Return the files by key, without those that share one."""
    by_key: defaultdict[Key, list[File]] = defaultdict(list)
    for file, key in keys.items():
        by_key[key].append(file)
    return {key: files[0] for key, files in by_key.items() if len(files) == 1}


def _bare(file: File) -> Key:
    return tuple(naming.alike(part) for part in (*file.place.key[:-1], naming.bare_stem(file.place.key[-1])))
