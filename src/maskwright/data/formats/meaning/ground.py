"""The background of maps of object ids, where it has an id of its own. Knows no names of classes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.records import Fault
from maskwright.core.text import count, plural
from maskwright.data.object_ids import counted, divided_by_lines, numbers_of, plain_ids, surrounding
from maskwright.data.readers import DecodeError, read_mask

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from maskwright.core.records import ImageRef
    from maskwright.data.formats.meaning.scan import Scan

_MOST_MASKS = 24
_WHITES, _FEWEST_IDS = (255, 65535), 4
_THOUSAND, _MOST_NUMBER = 1000, 200


class Ground(NamedTuple):
    """An id other than 0 that surrounds the other ids.

    Attributes:
        id: value, or R + 256 G + 65536 B of a colour.
        maps: number of maps in which it does.
        of: number of maps looked at.
        sure: no map holds 0, so this id is the background.
        lines: the negative id of the lines between objects, which are background too, as cv2.watershed draws them.
    """

    id: int
    maps: int
    of: int
    sure: bool
    lines: int | None = None

    @property
    def background(self) -> tuple[int, ...]:
        """The ids that are read as the background."""
        return tuple(key for key in (self.id, self.lines) if self.sure and key is not None)


def ground_of(masks: Sequence[ImageRef], explained: Collection[int] = ()) -> Ground | None:
    """Return the id that surrounds the others in most of a sample of maps.

    It touches all four sides and is much larger than each of the others. Where no map holds 0, a negative id in most
    maps is the background in any case, and if it lies on lines only, so is an id that is much larger than each of the
    others.

    Args:
        masks: of which a sample is read.
        explained: ids whose meaning is known.
    """
    found: Counter[int] = Counter()
    negative: Counter[int] = Counter()
    divided: Counter[tuple[int, int]] = Counter()
    looked = 0
    black = several = False
    for mask in masks[:: max(1, len(masks) // _MOST_MASKS)]:
        try:
            raw = read_mask(mask)
        except DecodeError:  # reported when the pixels are asked for
            continue
        values = plain_ids(raw)
        ids = numbers_of(raw) if values is None else values
        counts = {key: pixels for key, pixels in counted(ids).items() if key not in explained}
        looked += 1
        black |= bool((ids == 0).any())
        several |= len(counts.keys() - {0}) > 1
        negative.update(key for key in counts if key < 0)
        found.update(surrounding(ids, counts))
        divided.update(divided_by_lines(ids, counts))
    (key, lines), maps = divided.most_common(1)[0] if divided else ((0, 0), 0)
    if not black and 2 * maps > looked:
        return Ground(key, maps, looked, sure=True, lines=lines)
    key, maps = negative.most_common(1)[0] if negative else (0, 0)
    if not black and 2 * maps > looked:
        return Ground(key, maps, looked, sure=True)
    key, maps = found.most_common(1)[0] if found else (0, 0)
    return Ground(key, maps, looked, sure=not black) if several and 2 * maps > looked else None


def ground_fault(ground: Ground, folder: Path) -> Fault:
    """Say that an id is read as the background, or that it may be the background."""
    where = f"in {count(ground.maps)} of {plural(ground.of, 'map')} looked at in {folder.name}/"
    if ground.lines is not None:
        message = f"the id {ground.lines} lies on lines, and the id {ground.id} fills most of the rest {where}"
        message += ", as cv2.watershed writes them: both are read as the background"
        cure = f"nothing needs to be done if {ground.id} is no object; save both as 0 to avoid this warning"
        return Fault("background-id", "warning", folder, message, cure)
    if ground.sure:
        message = f"the id {ground.id} fills what lies around the objects {where}, and none holds 0"
        cure = "nothing needs to be done; save the background as 0 to avoid this warning"
        return Fault("background-id", "warning", folder, f"{message}: it is read as the background", cure)
    message = f"the id {ground.id} surrounds the other objects {where}, as the background does, and counts as an object"
    cure = f"if it is the background, use `read.map` {ground.id}=0"
    return Fault("background-id", "warning", folder, message, cure)


def ids_fault(folder: Path, read_as: str) -> Fault:
    """Warn of masks whose values may be ids of objects, and are read as such or as classes."""
    message = (
        f"nearly each value in {folder.name}/ is one region in its mask, as the id of an object is; the values are "
        f"read as {read_as}"
    )
    cure = (
        "if the values are ids, name the folder instances/, or the maps NAME_instances where they lie beside their "
        "images; if they are classes, list them in classes.txt (id,name)"
    )
    return Fault("ids-or-classes", "warning", folder, message, cure)


def white_id_fault(scan: Scan, explained: Collection[int], folder: Path) -> Fault | None:
    """Warn of a largest value of 8 or 16 bits in several maps, far above all ids: it may mean ignored."""
    ids = sorted(scan.values.keys() - explained)
    if len(ids) < _FEWEST_IDS or ids[-1] not in _WHITES or 2 * ids[-2] > ids[-1] or scan.holders[ids[-1]] < 2:
        return None
    white, maps = ids[-1], scan.holders[ids[-1]]
    message = (
        f"{count(maps)} of {plural(scan.looked, 'map')} looked at in {folder.name}/ hold the id {white}, far above "
        f"all others ({ids[-2]} at most): it counts as an object, and may mean that nothing is known there"
    )
    return Fault("white-id", "warning", folder, message, f"if it means that, use `read.ignore` {white}")


def coded_fault(scan: Scan, explained: Collection[int], folder: Path) -> tuple[Fault, ...]:
    """Warn of ids that tell a class too, as class * 1000 + number does: all are read as objects of one class."""
    ids = [value for value in scan.values if value > 0 and value not in explained]
    coded = sorted(value for value in ids if value >= _THOUSAND)
    groups = {value // _THOUSAND for value in coded}
    if len(ids) < _FEWEST_IDS or 2 * len(coded) < len(ids) or len(groups) < 2:
        return ()
    if max(value % _THOUSAND for value in ids) > _MOST_NUMBER:
        return ()
    first, last = coded[0], coded[-1]
    message = (
        f"the ids in {folder.name}/, such as {first} and {last}, look like class * 1000 + number ({len(groups)} "
        "classes), but all are read as objects of one class"
    )
    cure = "if they tell classes, save masks of classes (id // 1000) with the same names in a folder masks/ as well"
    return (Fault("coded-ids", "warning", folder, message, cure),)
