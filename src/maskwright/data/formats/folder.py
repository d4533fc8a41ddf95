"""Folder pairs: images and mask files in any of the common arrangements. Knows no other format."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.classes import Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.naming import NOWHERE, Naming
from maskwright.core.records import Dataset, Fault, Record
from maskwright.core.text import listing, plural
from maskwright.data.formats.meaning.classes import meaning_of
from maskwright.data.formats.meaning.entries import Meaning
from maskwright.data.formats.meaning.own_tables import Tables, meaning_by_folder, naming_in, tables_for
from maskwright.data.formats.meaning.passed_over import passed_over
from maskwright.data.formats.meaning.polarity import all_inverted_fault
from maskwright.data.formats.meaning.scan import MOST_MASKS, scan_masks
from maskwright.data.formats.meaning.strays import stray_faults
from maskwright.data.formats.meaning.tables import naming_of, read_table, undisputed_table
from maskwright.data.formats.meaning.transparent import transparency_fault
from maskwright.data.formats.pairing.field_of_view import truth_of
from maskwright.data.formats.pairing.no_pairs import nothing_pairs
from maskwright.data.formats.pairing.object_maps import maps_beside, with_object_maps
from maskwright.data.formats.pairing.overlaps import with_overlaps
from maskwright.data.formats.pairing.pair_lists import with_pair_lists
from maskwright.data.formats.pairing.pairs import find_pairs
from maskwright.data.formats.pairing.split_lists import with_lists
from maskwright.data.formats.pairing.stacks import image_pairs
from maskwright.data.formats.pairing.twin_folders import with_twins
from maskwright.data.formats.walk import images_below, is_image, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import ImageRef, Split
    from maskwright.data.formats.meaning.scan import Scan
    from maskwright.data.formats.meaning.tables import ClassTable
    from maskwright.data.formats.pairing.stacks import ImagePair

# With a table of names the masks are scanned only to see how they are coded, for which a few suffice.
_FEW_MASKS = 24


def detect(root: Path) -> str | None:
    """Describe the folders that pair, without opening a picture if names tell the masks; None if nothing pairs."""
    if not root.is_dir():
        return None
    images = images_below(root)
    pairing = with_pair_lists(root, list(walk(root)), with_twins(root, images, find_pairs(root, images)))
    return f"{pairing.layout}: {plural(len(pairing.pairs), 'pair')}" if pairing.pairs else None


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read folder pairs.

    Raises:
        MaskwrightError: nothing pairs, or the mask files do not hold masks.
    """
    files = list(walk(root))
    images = [path for path in files if is_image(path)]
    pairing = with_pair_lists(root, files, with_twins(root, images, truth_of(root, images)))
    if not pairing.pairs:
        raise nothing_pairs(root, pairing)
    pairs, stack_faults = image_pairs(root, pairing.pairs)
    if not pairs:
        raise MaskwrightError(f"{root}: {stack_faults[0].message}: {stack_faults[0].cure}")
    pairs, list_faults = with_lists(root, files, pairs)
    faults = [*pairing.faults, *stack_faults, *list_faults]
    layout = Layout("folder", pairing.layout, faults, instances=pairing.instances)
    dataset = dataset_of(root, pairs, options, layout)
    if pairing.instances:
        return dataset
    return with_object_maps(dataset, maps_beside(root, images, options, dataset.classes.background))


class Layout(NamedTuple):
    """What a layout of images and mask files tells besides the pairs.

    Attributes:
        format: its name in `FORMATS`.
        words: the folders.
        faults: what was found so far.
        table: the names that the layout itself gives; None to look for tables.
        instances: the masks hold one id per object.
    """

    format: str
    words: str
    faults: Sequence[Fault]
    table: ClassTable | None = None
    instances: bool = False


def dataset_of(root: Path, pairs: Sequence[ImagePair], options: ReadOptions, layout: Layout) -> Dataset:
    """Find out what the masks of `pairs` mean, and put everything together.

    Raises:
        MaskwrightError: the mask files do not hold masks.
    """
    masks = [mask for pair in pairs for mask in (pair.mask, *pair.more)]
    values: Mapping[Path, tuple[tuple[int, int], ...]] = {}
    naming = NOWHERE
    if options.values:
        require_single(pairs)
        meaning, coded, faults = Meaning("values", Classes.named(("value",))), "files of measured values", layout.faults
    else:
        given = layout.table is not None and options.classes is None
        table, own = Tables(layout.table, {}) if given else tables_for(root, masks, options)
        scan = scan_masks(masks, _FEW_MASKS if layout.instances or own or _names_all(table) else MOST_MASKS)
        if _names_all(table) and 0 not in scan.values:  # it may be rare, or the masks count from 1
            scan = scan_masks(masks)
        naming = naming_in(own) if own else naming_of(table)
        if own and not layout.instances:
            meaning, values = meaning_by_folder(own, scan, options)
        else:
            meaning = meaning_of(table, scan, options, masks[0].path.parent, instances=layout.instances)
        unread = () if table or own or layout.instances else passed_over(root, masks, scan)
        inverted = all_inverted_fault(meaning, scan, masks[0].path.parent)
        coded = mask_words(meaning, scan)
        faults = (*layout.faults, *unread, *mask_faults(meaning, scan, naming), *inverted)
    splits = meaningful_splits(pair.split for pair in pairs)
    records = tuple(
        Record(
            pair.id,
            pair.image,
            pair.annotation(meaning.kind, values, meaning.white),
            pair.split if splits else None,
            pair.group,
        )
        for pair in sorted(pairs, key=lambda pair: pair.id)
    )
    dataset = Dataset(
        root,
        layout.format,
        f"{layout.words}: {coded}",
        meaning.classes,
        records,
        meaning.values,
        meaning.colors,
        tuple(faults),
        meaning.white,
        meaning.palette,
        naming,
    )
    return with_overlaps(dataset)


def require_single(pairs: Iterable[ImagePair]) -> None:
    """Refuse several files of measured values for one image.

    Raises:
        MaskwrightError: an image has them.
    """
    several = next((pair for pair in pairs if pair.more), None)
    if several is not None:
        names = listing([mask.name for mask in (several.mask, *several.more)])
        raise MaskwrightError(
            f"{several.image} has {len(several.more) + 1} files of measured values ({names}), and one is read for each "
            "image: keep one, or save them as the channels of one TIFF or .npy file"
        )


def _names_all(table: ClassTable | None) -> bool:
    """Tell whether a table names so many classes that a few masks tell how they are coded."""
    return table is not None and len(table.entries) > 2


def table_for(root: Path, masks: list[ImageRef], options: ReadOptions) -> ClassTable | None:
    """Read the table of names that the user gives, or one in the root, in a mask folder or in its parent."""
    if options.classes is not None:
        return read_table(options.classes)
    folders = dict.fromkeys([root, *(mask.path.parent for mask in (masks[0], masks[-1]))])
    above = [folder.parent for folder in folders if folder != root]
    return undisputed_table(dict.fromkeys([*folders, *above]))


def meaningful_splits(splits: Iterable[Split | None]) -> bool:
    """Tell whether the layout has a split: a `train/` without any other part is only a name."""
    return len(set(splits) - {None}) > 1


def mask_words(meaning: Meaning, scan: Scan) -> str:
    """Describe the masks for `Dataset.layout`."""
    kinds = {
        "index": "masks of class ids",
        "color": "masks of colours",
        "instance": "masks of object ids",
        "regions": "masks of objects",
    }
    coded = kinds[meaning.kind]
    if scan.palettes * 2 > scan.looked:
        coded += " with a palette"
    if scan.lossy:
        coded += ", lossily compressed"
    return "; ".join((coded, *meaning.notes))


def mask_faults(meaning: Meaning, scan: Scan, naming: Naming) -> tuple[Fault, ...]:
    """Report what the values told, and those that may be annotation errors."""
    return (*meaning.faults, *stray_faults(meaning, scan, naming), *transparency_fault(scan, naming))
