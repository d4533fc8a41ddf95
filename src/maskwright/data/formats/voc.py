"""Pascal VOC: JPEGImages/, SegmentationClass/ and the lists in ImageSets/Segmentation/. Knows no other format."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Dataset, Fault, ImageRef, MaskFile, Record
from maskwright.data.formats.classes import meaning_of
from maskwright.data.formats.folder import mask_faults, mask_words, meaningful_splits, table_for
from maskwright.data.formats.naming import split_word
from maskwright.data.formats.scan import scan_masks
from maskwright.data.formats.tables import ClassTable, Entry
from maskwright.data.formats.walk import is_image, record_id

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import Split
    from maskwright.data.formats.scan import Scan

VOC_NAMES: tuple[str, ...] = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
_BORDER = (224, 224, 192)


class _Base(NamedTuple):
    """One folder in VOC layout: its images and masks by stem, and the splits in its lists."""

    folder: Path
    images: dict[str, Path]
    masks: dict[str, Path]
    listed: dict[str, Split | None]
    faults: tuple[Fault, ...]


def detect(root: Path) -> str | None:
    """Find JPEGImages/ and SegmentationClass/ in the root, or in VOC2012/ or VOCdevkit/VOC2012/ below it."""
    bases = _bases(root)
    if not bases:
        return None
    return ", ".join(f"{record_id(root, base)}/" for base in bases) + ": JPEGImages/ + SegmentationClass/"


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read Pascal VOC.

    Raises:
        MaskwrightError: a folder is missing, or no image has a mask.
    """
    bases = [_read_base(folder) for folder in _bases(root)]
    found = [(base, stem) for base in bases for stem in base.listed if stem in base.images and stem in base.masks]
    if not found:
        raise MaskwrightError(
            f"{root} holds no pair of JPEGImages/NAME.jpg and SegmentationClass/NAME.png: give both the same name, and "
            "list the names in ImageSets/Segmentation/train.txt and val.txt"
        )
    masks = [ImageRef(base.masks[stem]) for base, stem in found]
    scan = scan_masks(masks)
    table = table_for(root, masks, options) or _voc_table(root, scan)
    meaning = meaning_of(table, scan, options, masks[0].path.parent, instances=False)
    splits = meaningful_splits(base.listed[stem] for base, stem in found)
    records = [
        Record(
            record_id(root, base.images[stem]),
            ImageRef(base.images[stem]),
            MaskFile(mask, meaning.kind),
            base.listed[stem] if splits else None,
        )
        for (base, stem), mask in zip(found, masks, strict=True)
    ]
    where = ", ".join(record_id(root, base.folder) for base in bases)
    prefix = "" if where == "." else f"{where}: "
    return Dataset(
        root,
        "voc",
        f"{prefix}JPEGImages/ + SegmentationClass/: {mask_words(meaning, scan)}",
        meaning.classes,
        tuple(sorted(records, key=lambda record: record.id)),
        meaning.values,
        meaning.colors,
        (*(fault for base in bases for fault in base.faults), *mask_faults(meaning, scan)),
        meaning.white,
        meaning.palette,
    )


def _bases(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    below = [*root.glob("VOC*"), *root.glob("VOCdevkit/*")]
    candidates = [root, *sorted(folder for folder in below if folder.is_dir())]
    return [path for path in candidates if (path / "JPEGImages").is_dir() and (path / "SegmentationClass").is_dir()]


def _read_base(folder: Path) -> _Base:
    images = _by_stem(folder / "JPEGImages")
    masks = _by_stem(folder / "SegmentationClass")
    listed: dict[str, Split | None] = {}
    faults: list[Fault] = []
    lists = sorted((folder / "ImageSets" / "Segmentation").glob("*.txt"))
    # The lists that name a split come first: a name that only `trainval` lists has none.
    for path in sorted(lists, key=lambda path: split_word(path.stem) is None):
        faults += _read_list(path, listed, images, masks)
    if not lists:
        listed = dict.fromkeys(sorted(masks))
    extra = sorted(set(masks) - set(listed))
    if extra:
        message = f"no list in ImageSets/Segmentation names {len(extra)} masks, such as {extra[0]}; they are not used"
        faults.append(
            Fault("unpaired", "note", folder / "SegmentationClass", message, "add them to train.txt or val.txt")
        )
    for stem in sorted(set(masks) & set(listed) - set(images)):
        message = f"{masks[stem].name} has no image in JPEGImages/"
        faults.append(Fault("unpaired", "warning", masks[stem], message, "add the image, or remove the mask"))
    return _Base(folder, images, masks, listed, tuple(faults))


def _read_list(
    path: Path, listed: dict[str, Split | None], images: dict[str, Path], masks: dict[str, Path]
) -> list[Fault]:
    """Add the names of one list to `listed`; the first split of a name counts."""
    split = split_word(path.stem)
    stems = [line.split()[0] for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    stems = [stem if stem in masks or stem in images else _plain(stem) for stem in stems]
    without = [stem for stem in stems if stem not in masks]
    twice = [stem for stem in stems if split is not None and listed.get(stem) not in {None, split}]
    for stem in stems:
        if listed.get(stem) is None:
            listed[stem] = split
    faults = []
    if without:
        message = f"{len(without)} of {len(stems)} names in {path.name}, such as {without[0]}, have no mask"
        faults.append(Fault("unpaired", "warning", path, message, "add the masks, or remove the names"))
    if twice:
        message = f"{len(twice)} names in {path.name}, such as {twice[0]}, are in another split too"
        faults.append(Fault("split-overlap", "warning", path, message, "keep each name in one list"))
    return faults


def _plain(entry: str) -> str:
    """Return the stem of an entry such as `JPEGImages/a.jpg`."""
    name = entry.rpartition("/")[2]
    return name.rpartition(".")[0] or name


def _by_stem(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.iterdir()) if is_image(path) and not path.name.startswith(".")}


def _voc_table(root: Path, scan: Scan) -> ClassTable | None:
    """Return the 21 classes of Pascal VOC if the masks hold them; used only if there is no table."""
    colors = [voc_color(value) for value in range(len(VOC_NAMES))]
    values = set(scan.values) - {255}
    if scan.colored:
        fits = set(scan.colors) <= {*colors, _BORDER}
    else:
        painted = bool(scan.palette) and all(scan.palette.get(value) == voc_color(value) for value in values)
        fits = not scan.binary() and max(values, default=0) < len(VOC_NAMES) and (painted or max(values, default=0) > 1)
    if not fits:
        return None
    entries = [Entry(value, name, colors[value]) for value, name in enumerate(VOC_NAMES)]
    return ClassTable(root / "Pascal VOC", (*entries, Entry(255, "void", _BORDER)), numbered=True, guessed=True)


def voc_color(value: int) -> tuple[int, int, int]:
    """Return the colour that Pascal VOC gives a class: the bits of its number, distributed over R, G and B in turn."""
    red = green = blue = 0
    for place in range(7, -1, -1):
        red |= (value & 1) << place
        green |= (value >> 1 & 1) << place
        blue |= (value >> 2 & 1) << place
        value >>= 3
    return red, green, blue
