"""Folder pairs: images and mask files in any of the common arrangements. Knows no other format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.classes import IGNORE, Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Dataset, Fault, MaskFile, Record
from maskwright.data.formats.classes import meaning_of
from maskwright.data.formats.entries import Meaning
from maskwright.data.formats.own_tables import meaning_by_folder, tables_for
from maskwright.data.formats.pairs import Pairing, find_pairs
from maskwright.data.formats.scan import FEW_STRAYS, MOST_MASKS, scan_masks
from maskwright.data.formats.stacks import image_pairs
from maskwright.data.formats.tables import find_table, read_table
from maskwright.data.formats.walk import images_below

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import ImageRef, Split
    from maskwright.data.formats.scan import Scan
    from maskwright.data.formats.stacks import ImagePair
    from maskwright.data.formats.tables import ClassTable

# With a table of names the masks are scanned only to see how they are coded, for which a few suffice.
_FEW_MASKS = 24


def detect(root: Path) -> str | None:
    """Describe the folders that pair, without opening a file; None if nothing pairs."""
    pairing = find_pairs(root, images_below(root)) if root.is_dir() else None
    return f"{pairing.layout}: {len(pairing.pairs)} pairs" if pairing is not None and pairing.pairs else None


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read folder pairs.

    Raises:
        MaskwrightError: nothing pairs, or the mask files do not hold masks.
    """
    pairing = find_pairs(root, images_below(root))
    if not pairing.pairs:
        raise nothing_pairs(root, pairing)
    pairs, stack_faults = image_pairs(root, pairing.pairs)
    if not pairs:
        raise MaskwrightError(f"{root}: {stack_faults[0].message}: {stack_faults[0].cure}")
    masks = [pair.mask for pair in pairs]
    if options.values:
        meaning, coded = Meaning("values", Classes.named(("value",))), "files of measured values"
        return _dataset(root, pairing, pairs, (meaning, coded), stack_faults)
    table, own = tables_for(root, masks, options)
    scan = scan_masks(masks, _FEW_MASKS if pairing.instances or own or _names_all(table) else MOST_MASKS)
    if _names_all(table) and 0 not in scan.values:  # it may be rare, or the masks count from 1
        scan = scan_masks(masks)
    if own and not pairing.instances:
        meaning, values = meaning_by_folder(own, scan, options)
    else:
        meaning, values = meaning_of(table, scan, options, masks[0].path.parent, instances=pairing.instances), {}
    faults = (*stack_faults, *mask_faults(meaning, scan))
    return _dataset(root, pairing, pairs, (meaning, mask_words(meaning, scan)), faults, values)


def _names_all(table: ClassTable | None) -> bool:
    """Tell whether a table names so many classes that a few masks tell how they are coded."""
    return table is not None and len(table.entries) > 2


def _dataset(
    root: Path,
    pairing: Pairing,
    pairs: Sequence[ImagePair],
    coded: tuple[Meaning, str],
    faults: Sequence[Fault],
    values: Mapping[Path, tuple[tuple[int, int], ...]] | None = None,
) -> Dataset:
    """Put the pairs together; `coded` is what the masks mean, as a table and in words, and `values` that by folder."""
    meaning, words = coded
    own = values or {}
    splits = meaningful_splits(pair.split for pair in pairs)
    records = tuple(
        Record(
            pair.id,
            pair.image,
            MaskFile(pair.mask, meaning.kind, own.get(pair.mask.path.parent)),
            pair.split if splits else None,
            pair.group,
        )
        for pair in pairs
    )
    return Dataset(
        root,
        "folder",
        f"{pairing.layout}: {words}",
        meaning.classes,
        tuple(sorted(records, key=lambda record: record.id)),
        meaning.values,
        meaning.colors,
        (*pairing.faults, *faults),
        meaning.white,
        meaning.palette,
    )


def nothing_pairs(root: Path, pairing: Pairing) -> MaskwrightError:
    """Build the error for a folder in which no image has a mask."""
    if not pairing.images and not pairing.masks:
        return MaskwrightError(f"{root} holds no images: give a folder with images and masks")
    if not pairing.masks:
        return MaskwrightError(
            f"{root} holds {pairing.images} image{'s' * (pairing.images > 1)} but no masks: put the masks in a folder "
            "masks/ next to images/, with the same names, or name them like image_mask.png"
        )
    return MaskwrightError(
        f"{root} holds {pairing.images} images and {pairing.masks} masks, but no image and mask have the same name "
        f"({'; '.join(fault.message for fault in pairing.faults[:2])}): give an image and its mask the same name"
    )


def table_for(root: Path, masks: list[ImageRef], options: ReadOptions) -> ClassTable | None:
    """Read the table of names that the user gives, or one in the root, in a mask folder or in its parent."""
    if options.classes is not None:
        return read_table(options.classes)
    folders = dict.fromkeys([root, *(mask.path.parent for mask in (masks[0], masks[-1]))])
    above = [folder.parent for folder in folders if folder != root]
    return find_table(dict.fromkeys([*folders, *above]))


def meaningful_splits(splits: Iterable[Split | None]) -> bool:
    """Tell whether the layout has a split: a `train/` without any other part is only a name."""
    return len(set(splits) - {None}) > 1


def mask_words(meaning: Meaning, scan: Scan) -> str:
    """Describe the masks for `Dataset.layout`."""
    kinds = {"index": "masks of class ids", "color": "masks of colours", "instance": "masks of object ids"}
    coded = kinds[meaning.kind]
    if scan.palettes * 2 > scan.looked:
        coded += " with a palette"
    if scan.lossy:
        coded += ", JPEG-compressed"
    return "; ".join((coded, *meaning.notes))


def mask_faults(meaning: Meaning, scan: Scan) -> tuple[Fault, ...]:
    """Report what the values told, and those that may be annotation errors."""
    shown = meaning.strays if len(meaning.strays) <= FEW_STRAYS else meaning.strays[:1]
    strays = tuple(_stray(value, meaning, scan, len(meaning.strays) - len(shown)) for value in shown)
    return (*meaning.faults, *strays)


def _stray(value: int, meaning: Meaning, scan: Scan, more: int) -> Fault:
    pixels, holders, mask = scan.values[value], scan.holders[value], scan.first[value]
    fill = "1 pixel" if pixels == 1 else f"{pixels:,} pixels"
    masks = f"{holders} of {scan.looked} {'scanned ' if scan.looked < scan.masks else ''}masks"
    first = "" if holders == 1 else ", of which this is the first"
    index = meaning.values[value]
    now = "is ignored" if index == IGNORE else f"counts as {meaning.classes.names[index]}"
    others = f"; {more} other values are treated the same" if more else ""
    black = f" or `read.map` {value}=0" if 0 in meaning.values else ""
    return Fault(
        "stray-value",
        "warning",
        mask.path,
        f"{mask.name} holds the value {value}, which is rare ({fill} in {masks}{first}) and {now}{others}",
        f"if it is an annotation error, correct the mask, or use `read.map` {value}=ignore{black}; if it is a class, "
        "name all classes in classes.txt",
    )
