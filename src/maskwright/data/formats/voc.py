"""Pascal VOC: JPEGImages/, SegmentationClass/ and the lists in ImageSets/Segmentation/. Knows no other format."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.core.files import read_text
from maskwright.core.records import Dataset, Fault, ImageRef, MaskFile, Record
from maskwright.core.text import agree, plural, such_as
from maskwright.data.formats.folder import mask_faults, mask_words, meaningful_splits
from maskwright.data.formats.meaning.classes import meaning_of
from maskwright.data.formats.meaning.own_tables import meaning_by_folder, naming_in, tables_for
from maskwright.data.formats.meaning.scan import scan_masks
from maskwright.data.formats.meaning.tables import Entry, naming_of, table_of
from maskwright.data.formats.pairing.naming import alike, split_word
from maskwright.data.formats.pairing.object_maps import with_object_maps
from maskwright.data.formats.walk import images_below, record_id

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import Split
    from maskwright.data.formats.meaning.scan import Scan
    from maskwright.data.formats.meaning.tables import ClassTable

VOC_NAMES: tuple[str, ...] = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
_BORDER = (224, 224, 192)
# 255, or this colour, outlines the objects in SegmentationObject/ too.
_BORDER_IDS = ((255, IGNORE), (_BORDER[0] | _BORDER[1] << 8 | _BORDER[2] << 16, IGNORE))


class _Base(NamedTuple):
    """One folder in VOC layout: its images and masks by name, and the splits in its lists.

    Attributes:
        folder: holds JPEGImages/ and SegmentationClass/, and maybe SegmentationObject/.
        images, masks, objects: files by their path below these without suffix; a mask has the name of its image.
        listed: the names that count, with the split of their list.
        faults: names that contradict one another.
    """

    folder: Path
    images: dict[str, Path]
    masks: dict[str, Path]
    objects: dict[str, Path]
    listed: dict[str, Split | None]
    faults: tuple[Fault, ...]


def detect(root: Path) -> str | None:
    """Find JPEGImages/ and SegmentationClass/ in the root, or in VOC2012/ or VOCdevkit/VOC2012/ below it."""
    bases = _bases(root)
    if not bases:
        return None
    return ", ".join(f"{record_id(root, base)}/" for base in bases) + ": JPEGImages/ + SegmentationClass/"


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read Pascal VOC, also as CVAT writes it (Segmentation mask 1.1): lists of any name, images in sub-folders.

    Raises:
        MaskwrightError: a folder is missing, or no image has a mask.
    """
    bases = [_read_base(folder) for folder in _bases(root)]
    found = [(base, name) for base in bases for name in base.listed if name in base.images and name in base.masks]
    if not found:
        raise _nothing_found(root, bases)
    masks = [ImageRef(base.masks[name]) for base, name in found]
    scan = scan_masks(masks)
    table, own = tables_for(root, masks, options)
    values: Mapping[Path, tuple[tuple[int, int], ...]] = {}
    naming = naming_in(own) if own else naming_of(table)
    if own:
        meaning, values = meaning_by_folder(own, scan, options)
    else:
        meaning = meaning_of(table or _voc_table(root, scan), scan, options, masks[0].path.parent, instances=False)
    splits = meaningful_splits(base.listed[name] for base, name in found)
    records = [
        Record(
            record_id(root, base.images[name]),
            ImageRef(base.images[name]),
            MaskFile(mask, meaning.kind, values.get(mask.path.parent), meaning.white),
            base.listed[name] if splits else None,
        )
        for (base, name), mask in zip(found, masks, strict=True)
    ]
    ids = {
        record_id(root, base.images[name]): MaskFile(ImageRef(base.objects[name]), "instance", _BORDER_IDS)
        for base, name in found
        if name in base.objects
    }
    where = ", ".join(record_id(root, base.folder) for base in bases)
    prefix = "" if where == "." else f"{where}: "
    dataset = Dataset(
        root,
        "voc",
        f"{prefix}JPEGImages/ + SegmentationClass/: {mask_words(meaning, scan)}",
        meaning.classes,
        tuple(sorted(records, key=lambda record: record.id)),
        meaning.values,
        meaning.colors,
        (*(fault for base in bases for fault in base.faults), *mask_faults(meaning, scan, naming)),
        meaning.white,
        meaning.palette,
        naming,
    )
    return with_object_maps(dataset, ids)


def _bases(root: Path) -> list[Path]:
    """Return the folders in VOC layout; one without images counts only where no pictures lie elsewhere in it."""
    if not root.is_dir():
        return []
    below = [*root.glob("VOC*"), *root.glob("VOCdevkit/*")]
    candidates = [root, *sorted(folder for folder in below if folder.is_dir())]
    return [
        path
        for path in candidates
        if (path / "SegmentationClass").is_dir() and ((path / "JPEGImages").is_dir() or _lacks_images(path))
    ]


def _lacks_images(folder: Path) -> bool:
    """Tell whether lists and masks are there, and no picture besides."""
    if not (folder / "ImageSets").is_dir():
        return False
    masks = (folder / "SegmentationClass", folder / "SegmentationObject")
    return not any(not any(path.is_relative_to(place) for place in masks) for path in images_below(folder))


def _nothing_found(root: Path, bases: list[_Base]) -> MaskwrightError:
    """Say what is there, and why nothing of it fits together."""
    if not bases:
        return MaskwrightError(f"{root} is not laid out as Pascal VOC: it needs JPEGImages/ and SegmentationClass/")
    base = max(bases, key=lambda base: len(base.masks))
    if not base.images:
        return MaskwrightError(
            f"{base.folder} holds {plural(len(base.masks), 'mask')} in SegmentationClass/, but no images: export it "
            "again with the images, or put them into JPEGImages/ with the names of their masks"
        )
    there = f"{len(base.images)} in JPEGImages/{_example(base.images)}, {len(base.masks)} in SegmentationClass/"
    return MaskwrightError(
        f"{root} holds no pair of JPEGImages/NAME.jpg and SegmentationClass/NAME.png that a list in "
        f"ImageSets/Segmentation/ names: {there}{_example(base.masks)}, {plural(len(base.listed), 'name')} listed"
        f"{_example(base.listed)}. Give an image and its mask the same name, and list that name, or remove the lists"
    )


def _example(names: Collection[str]) -> str:
    return f" ({such_as(len(names), min(names))})" if names else ""


def _read_base(folder: Path) -> _Base:
    faults: list[Fault] = []
    images = _by_name(folder, "JPEGImages", faults)
    known = frozenset(images)
    masks, objects = (
        {name if name in known else _other(name, known, files): path for name, path in files.items()}
        for files in (_by_name(folder, part, faults) for part in ("SegmentationClass", "SegmentationObject"))
    )
    listed: dict[str, Split | None] = {}
    lists = sorted((folder / "ImageSets" / "Segmentation").rglob("*.txt"))
    # The lists that name a split come first: a name that only `trainval` lists has none.
    for path in sorted(lists, key=lambda path: split_word(path.stem) is None):
        faults += _read_list(path, listed, images, masks)
    if not lists:
        listed = dict.fromkeys(sorted(masks))
    extra = sorted(set(masks) - set(listed))
    if extra:
        unlisted, they_are = plural(len(extra), "mask"), agree(len(extra), "it is", "they are")
        message = (
            f"no list in ImageSets/Segmentation names {unlisted}, {such_as(len(extra), extra[0])}; {they_are} not used"
        )
        faults.append(
            Fault("unpaired", "note", folder / "SegmentationClass", message, "add them to train.txt or val.txt")
        )
    for name in sorted(set(masks) & set(listed) - set(images)):
        message = f"{masks[name].name} has no image in JPEGImages/"
        faults.append(Fault("unpaired", "warning", masks[name], message, "add the image, or remove the mask"))
    return _Base(folder, images, masks, objects, listed, tuple(faults))


def _by_name(folder: Path, part: str, faults: list[Fault]) -> dict[str, Path]:
    """Return the pictures in a folder by their paths without suffix; two with one name are a fault, and not used."""
    if not (folder / part).is_dir():
        return {}
    named: defaultdict[str, list[Path]] = defaultdict(list)
    for path in images_below(folder / part):
        named[path.relative_to(folder / part).with_suffix("").as_posix()].append(path)
    for paths in named.values():
        if len(paths) > 1:
            message = f"{' and '.join(path.name for path in paths)} in {part}/ differ in their suffix only; not used"
            faults.append(Fault("ambiguous", "error", paths[0], message, "keep one of them"))
    return {name: paths[0] for name, paths in named.items() if len(paths) == 1}


def _other(name: str, images: frozenset[str], masks: Collection[str]) -> str:
    """Return the name of the image that a mask of another name belongs to; its own where there is none."""
    image = _like(name, images)
    return name if image is None or image in masks else image


def _like(name: str, names: frozenset[str]) -> str | None:
    """Return the name among `names` that is this one, or the only one that looks like it (case, Unicode form)."""
    if name in names:
        return name
    found = _lookalikes(names).get(alike(name), ())
    return found[0] if len(found) == 1 else None


@lru_cache(maxsize=4)
def _lookalikes(names: frozenset[str]) -> dict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        for key in {alike(name), alike(name).rpartition("/")[2]}:
            found[key].append(name)
    return found


def _read_list(
    path: Path, listed: dict[str, Split | None], images: dict[str, Path], masks: dict[str, Path]
) -> list[Fault]:
    """Add the names of one list to `listed`; the first split of a name counts."""
    split = split_word(path.stem)
    known = frozenset((*images, *masks))
    names = [_named(line.strip(), known) for line in read_text(path).splitlines() if line.strip()]
    without = [name for name in names if name not in masks]
    twice = [name for name in names if split is not None and listed.get(name) not in {None, split}]
    for name in names:
        if listed.get(name) is None:
            listed[name] = split
    faults = []
    if without:
        some, have = f"{len(without)} of {plural(len(names), 'name')}", agree(len(without), "has", "have")
        message = f"{some} in {path.name}, {such_as(len(without), without[0])}, {have} no mask"
        faults.append(Fault("unpaired", "warning", path, message, "add the masks, or remove the names"))
    if twice:
        are = agree(len(twice), "is", "are")
        message = (
            f"{plural(len(twice), 'name')} in {path.name}, {such_as(len(twice), twice[0])}, {are} in another split too"
        )
        faults.append(Fault("split-overlap", "warning", path, message, "keep each name in one list"))
    return faults


def _named(line: str, known: frozenset[str]) -> str:
    """Return the name in a line of a list: `frame 1`, `cam1/a.jpg`, `JPEGImages/a.jpg SegmentationClass/a.png`."""
    for text in (line, line.split(maxsplit=1)[0]):
        path = text.strip("\"'").replace("\\", "/").lstrip("/").removeprefix("JPEGImages/")
        for name in (path, path.rpartition(".")[0], path.rpartition("/")[2].rpartition(".")[0]):
            found = _like(name, known) if name else None
            if found is not None:
                return found
    return line


def _voc_table(root: Path, scan: Scan) -> ClassTable | None:
    """Return the 21 classes of Pascal VOC if the masks hold them; used only if there is no table."""
    colors = [voc_color(value) for value in range(len(VOC_NAMES))]
    values = set(scan.values) - {255}
    if scan.colored:
        fits = set(scan.colors) <= {*colors, _BORDER}
    else:
        # Palettes of greys, or of black where no colour was set, tell nothing.
        painted = {value: color for value, color in scan.palette.items() if value != 255 and len(set(color)) > 1}
        matching = all(color == voc_color(value) for value, color in painted.items())
        highest = max(values, default=0)
        fits = matching and not scan.binary() and highest < len(VOC_NAMES) and (bool(painted) or highest > 1)
    if not fits:
        return None
    entries = [Entry(value, name, colors[value]) for value, name in enumerate(VOC_NAMES)]
    return table_of(root / "Pascal VOC", (*entries, Entry(255, "void", _BORDER)), numbered=True, guessed=True)


def voc_color(value: int) -> tuple[int, int, int]:
    """Return the colour that Pascal VOC gives a class: the bits of its number, distributed over R, G and B in turn."""
    red = green = blue = 0
    for place in range(7, -1, -1):
        red |= (value & 1) << place
        green |= (value >> 1 & 1) << place
        blue |= (value >> 2 & 1) << place
        value >>= 3
    return red, green, blue
