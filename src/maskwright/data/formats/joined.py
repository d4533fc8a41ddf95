"""Data sets of which some images have masks and others outlines of LabelMe: both are used. Reads no file itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Fault, Shapes
from maskwright.core.text import listing, plural, such_as
from maskwright.data.formats.outlines.located import Images, split_of
from maskwright.data.formats.pairing.naming import alike
from maskwright.data.formats.pairing.pairs import find_pairs, not_masks
from maskwright.data.formats.walk import images_below

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from maskwright.core.records import Dataset, Record, Severity

_UNNAMED = ("background", "foreground")


class Shares(NamedTuple):
    """The images that have a mask only, those that have a JSON file only, and the folders of images with neither."""

    masks: list[Path]
    outlines: list[Path]
    bare: set[Path]


def shares(root: Path, files: Sequence[Path]) -> Shares | None:
    """Divide images by what they are annotated with; None unless some have a mask only, and others a JSON file only.

    Args:
        root: the folder that the user gave.
        files: the JSON files of LabelMe; each has the name of its image.
    """
    paths = images_below(root)
    paired = {pair.image for pair in find_pairs(root, paths).pairs}
    images = set(not_masks(root, paths))
    known = Images(root)
    outlined = images & {image for path in files for image in known.like(path, split_of(root, path))}
    bare = {path.parent for path in images - outlined - paired}
    found = Shares(sorted(paired - outlined), sorted(outlined - paired), bare)
    return found if found.masks and found.outlines else None


def joined(masks: Dataset, outlines: Dataset, names: Shares) -> Dataset:
    """Add the records that only have outlines to a data set of masks, whose classes must have their names.

    A single foreground without a name gets the name of the only label. Splits count only if all images have one.

    Raises:
        MaskwrightError: the masks do not show a class that is outlined, or have no background, which outlines need.
    """
    labels = outlines.classes.names[1:]
    message = f"{plural(len(names.masks), 'image')}, {such_as(len(names.masks), names.masks[0].name)}, "
    message += f"{'has' if len(names.masks) == 1 else 'have'} a mask, and {len(names.outlines)}, "
    message += f"{such_as(len(names.outlines), names.outlines[0].name)}, outlines of LabelMe"
    severity: Severity = "note"
    if masks.classes.names == _UNNAMED and len(labels) == 1:
        masks = replace(masks, classes=replace(masks.classes, names=("background", *labels)))
        message, severity = f"{message}; the foreground of the masks is taken to be {labels[0]}", "warning"
    index = {alike(name): place for place, name in enumerate(masks.classes.names)}
    missing = [name for name in labels if alike(name) not in index]
    if missing:
        raise MaskwrightError(
            f"{masks.root}: {message}, but the masks show {listing(list(masks.classes.names))}, and not "
            f"{listing(missing)}: name the values of the masks as the labels are, in classes.txt (id,name), or read "
            "one of the two with `read.format` folder or `read.format` labelme"
        )
    if masks.classes.background != 0:
        raise MaskwrightError(
            f"{masks.root}: {message}, and what no outline covers is the background, but the first class of the masks "
            f"is {masks.classes.names[0]}: call it background in classes.txt (id,name) if it is, or read one of the "
            "two with `read.format` folder or `read.format` labelme"
        )
    places = [index.get(alike(name), 0) for name in outlines.classes.names]
    only = set(names.outlines)
    added = [_renumbered(record, places) for record in outlines.records if record.image.path in only]
    records = sorted((*masks.records, *added), key=lambda record: record.id)
    faults = [fault for fault in masks.faults if not _answered(fault, names)]
    faults += [fault for fault in outlines.faults if fault.kind != "unpaired" or fault.path.is_file()]
    if len({record.split is None for record in records}) > 1:
        records = [replace(record, split=None) for record in records]
        faults.append(_no_split(masks.root))
    cure = "nothing needs to be done" if severity == "note" else "name the values of the masks in classes.txt (id,name)"
    note = Fault("two-formats", severity, masks.root, f"{message}: both are used", cure)
    layout = f"{masks.layout}; {outlines.layout.partition(':')[0]}"
    return replace(masks, layout=layout, records=tuple(records), faults=(*faults, note))


def _renumbered(record: Record, places: Sequence[int]) -> Record:
    """Give the shapes of a record the class indices of another data set."""
    assert isinstance(record.annotation, Shapes)
    shapes = tuple(
        shape if shape.index == IGNORE else replace(shape, index=places[shape.index])
        for shape in record.annotation.shapes
    )
    return replace(record, annotation=replace(record.annotation, shapes=shapes))


def _answered(fault: Fault, names: Shares) -> bool:
    """Tell whether a fault says of images with outlines that they have no mask, or that their folder has none."""
    folders = {path.parent for path in names.outlines} - names.bare
    return fault.kind in {"unpaired", "unused"} and fault.path in {*names.outlines, *folders}


def _no_split(root: Path) -> Fault:
    message = "only some of the images lie in folders of a split, so these folders do not count"
    return Fault("split", "warning", root, message, "move the other images into such folders too")
