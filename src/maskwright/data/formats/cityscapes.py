"""Cityscapes: leftImg8bit/SPLIT/CITY/ and gtFine/SPLIT/CITY/; maps its 34 label ids to its 19 evaluation classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.classes import IGNORE, Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.naming import Naming
from maskwright.core.records import Dataset, Fault, ImageRef, MaskFile, Record
from maskwright.core.text import agree, plural
from maskwright.data.formats.folder import meaningful_splits
from maskwright.data.formats.meaning.entries import with_map
from maskwright.data.formats.meaning.scan import scan_masks
from maskwright.data.formats.pairing.naming import split_word
from maskwright.data.formats.pairing.object_maps import with_object_maps
from maskwright.data.formats.walk import images_below, record_id

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.read_options import ReadOptions

# Label id, name, colour: the classes that count, by train id 0..18 (Cordts et al. 2016, table of the label policy).
_CLASSES: tuple[tuple[int, str, tuple[int, int, int]], ...] = (
    (7, "road", (128, 64, 128)),
    (8, "sidewalk", (244, 35, 232)),
    (11, "building", (70, 70, 70)),
    (12, "wall", (102, 102, 156)),
    (13, "fence", (190, 153, 153)),
    (17, "pole", (153, 153, 153)),
    (19, "traffic light", (250, 170, 30)),
    (20, "traffic sign", (220, 220, 0)),
    (21, "vegetation", (107, 142, 35)),
    (22, "terrain", (152, 251, 152)),
    (23, "sky", (70, 130, 180)),
    (24, "person", (220, 20, 60)),
    (25, "rider", (255, 0, 0)),
    (26, "car", (0, 0, 142)),
    (27, "truck", (0, 0, 70)),
    (28, "bus", (0, 60, 100)),
    (31, "train", (0, 80, 100)),
    (32, "motorcycle", (0, 0, 230)),
    (33, "bicycle", (119, 11, 32)),
)
_HIGHEST_ID = 33
# Label ids whose objects are told apart, as class id x 1000 + n in *_instanceIds.png; a plain class id is a group of
# them. The other classes have no objects.
_THINGS = range(24, 34)
_IMAGE_END = "_leftImg8bit"
_LABELS = ("gtFine", "gtCoarse")
_CODINGS = ("labelIds", "labelTrainIds")
_FEW_MASKS = 5
_FEW_TO_COMPARE = 24


def detect(root: Path) -> str | None:
    """Say that leftImg8bit/ and gtFine/ (or gtCoarse/) lie in the root."""
    labels = _label_folder(root)
    return f"leftImg8bit/ + {labels}/" if labels else None


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read Cityscapes; the class ids that its own benchmark leaves out are ignored.

    Raises:
        MaskwrightError: a folder is missing, or no image has labels.
    """
    if options.classes is not None:
        raise MaskwrightError(
            f"the classes of Cityscapes are fixed, so {options.classes} cannot be used: leave out `read.classes`"
        )
    kind = _label_folder(root)
    if kind is None:
        raise MaskwrightError(f"{root} is not laid out as Cityscapes: it needs leftImg8bit/ and gtFine/")
    coding, records, faults = _paired(root, kind)
    _require_coding(coding, records, options, root / kind)
    ids = {label: index for index, (label, _, _) in enumerate(_CLASSES)}
    if coding == "labelTrainIds":
        ids = {index: index for index in range(len(_CLASSES))}
    others = range(_HIGHEST_ID + 1) if coding == "labelIds" else ()
    values = dict.fromkeys((*others, 255), IGNORE) | ids | dict.fromkeys(options.ignored(), IGNORE)
    values = with_map(values, options)
    records, blank = _labelled(records, values, root / kind)
    splits = meaningful_splits(record.split for record in records)
    if not splits:
        records = [Record(record.id, record.image, record.annotation) for record in records]
    dataset = Dataset(
        root,
        "cityscapes",
        f"leftImg8bit/ + {kind}/: {coding}, 19 classes, the other ids are ignored",
        _classes(),
        tuple(sorted(records, key=lambda record: record.id)),
        values,
        faults=(*faults, *blank),
        naming=Naming(advice="make the labels again with the Cityscapes scripts"),
    )
    things = {label: index if label in _THINGS else IGNORE for label, index in values.items()}
    return with_object_maps(dataset, _instance_ids(records, coding, things))


def _classes() -> Classes:
    things = frozenset(index for index, (label, _, _) in enumerate(_CLASSES) if label in _THINGS)
    return Classes(tuple(name for _, name, _ in _CLASSES), tuple(color for _, _, color in _CLASSES), things)


def _label_folder(root: Path) -> str | None:
    if not (root / "leftImg8bit").is_dir():
        return None
    return next((name for name in _LABELS if (root / name).is_dir()), None)


def _paired(root: Path, kind: str) -> tuple[str, list[Record], list[Fault]]:
    """Pair images and labels by their names without the endings of Cityscapes."""
    files = images_below(root / kind)
    coding = next((name for name in _CODINGS if any(path.stem.endswith(f"_{name}") for path in files)), None)
    if coding is None:
        raise MaskwrightError(
            f"{root / kind} holds no image whose name ends in _labelIds or _labelTrainIds: make them from the polygons "
            "with the Cityscapes scripts, or copy them here"
        )
    end = f"_{kind}_{coding}"
    masks = {path.stem.removesuffix(end): path for path in files if path.stem.endswith(end)}
    records, faults, used = [], [], set()
    for image in images_below(root / "leftImg8bit"):
        name = image.stem.removesuffix(_IMAGE_END)
        if name not in masks:
            message = f"{image.name} has no {name}{end}.png in {kind}/"
            faults.append(Fault("unpaired", "error", image, message, "add the labels, or remove the image"))
            continue
        used.add(name)
        folders = image.relative_to(root / "leftImg8bit").parts[:-1]
        split = split_word(folders[0]) if folders else None
        mask = MaskFile(ImageRef(masks[name]), "index")
        records.append(Record(record_id(root, image), ImageRef(image), mask, split))
    for name in sorted(set(masks) - used):
        message = f"{masks[name].name} has no image in leftImg8bit/"
        faults.append(Fault("unpaired", "warning", masks[name], message, "add the image, or remove the labels"))
    if not records:
        raise MaskwrightError(f"{root}: no image in leftImg8bit/ has labels in {kind}/: keep the names of Cityscapes")
    return coding, records, faults


def _instance_ids(records: list[Record], coding: str, values: dict[int, int]) -> dict[str, MaskFile]:
    """Return the *_instanceIds.png beside the labels, by record."""
    found = {}
    for record in records:
        assert isinstance(record.annotation, MaskFile)
        path = record.annotation.path
        ids = path.with_name(path.name.replace(f"_{coding}", "_instanceIds"))
        if ids.is_file():
            found[record.id] = MaskFile(ImageRef(ids), "instance", tuple(values.items()), crowds=tuple(_THINGS))
    return found


def _require_coding(coding: str, records: list[Record], options: ReadOptions, folder: Path) -> None:
    """Refuse label ids in files that are named as train ids, and the reverse: many ids mean something in both.

    Raises:
        MaskwrightError: the names and the ids disagree.
    """
    masks = [record.annotation.file for record in records if isinstance(record.annotation, MaskFile)]
    found = set(scan_masks(masks, _FEW_TO_COMPARE).values) - options.ignored() - set(options.map)
    above = sorted(value for value in found if len(_CLASSES) < value <= _HIGHEST_ID)
    if coding == "labelTrainIds" and above:
        raise MaskwrightError(
            f"{folder} holds files that end in _labelTrainIds, but the value {above[0]}, which is a label id, not a "
            "train id: rename them to end in _labelIds.png, or make the train ids with the Cityscapes scripts"
        )
    if coding == "labelIds" and 255 in found and max(found - {255}, default=0) < len(_CLASSES):
        raise MaskwrightError(
            f"{folder} holds files that end in _labelIds, but the value 255 and none from {len(_CLASSES)} to "
            f"{_HIGHEST_ID}, as train ids do: rename them to end in _labelTrainIds.png; if they are label ids, use "
            "`read.ignore` 255"
        )


def _labelled(records: list[Record], values: dict[int, int], folder: Path) -> tuple[list[Record], tuple[Fault, ...]]:
    """Leave out the test split if it has the blank labels that Cityscapes ships instead of the secret ones."""
    masks = [
        record.annotation.file
        for record in records
        if record.split == "test" and isinstance(record.annotation, MaskFile)
    ]
    if not masks or len(masks) == len(records):
        return records, ()
    scan = scan_masks(masks, _FEW_MASKS)
    if any(values.get(value) != IGNORE for value in scan.values):
        return records, ()
    are, them = agree(len(masks), "is", "are"), agree(len(masks), "it", "them")
    message = f"{plural(len(masks), 'mask')} of the test split {are} blank, as Cityscapes ships {them}, and not used"
    cure = "nothing needs to be done: part of val is used for testing instead"
    fault = Fault("empty-mask", "note", folder / "test", message, cure)
    return [record for record in records if record.split != "test"], (fault,)
