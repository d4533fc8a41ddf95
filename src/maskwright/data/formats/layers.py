"""Several mask files an image: one folder (or file name) a class, or one file an object. Knows no other format."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.classes import IGNORE, Classes, default_palette
from maskwright.core.errors import MaskwrightError
from maskwright.core.naming import Naming
from maskwright.core.records import Dataset, Fault, ImageRef, MaskFile, MaskLayer, MaskLayers, Record
from maskwright.core.text import agree, plural
from maskwright.data.formats.folder import mask_faults, meaningful_splits, require_single, table_for
from maskwright.data.formats.meaning.classes import meaning_of
from maskwright.data.formats.meaning.entries import means_ignore
from maskwright.data.formats.meaning.scan import MOST_MASKS, scan_masks
from maskwright.data.formats.pairing import pair_faults
from maskwright.data.formats.pairing.grouping import find_groups
from maskwright.data.formats.pairing.missing_masks import missing_masks
from maskwright.data.formats.pairing.naming import alike
from maskwright.data.formats.pairing.overlaps import with_overlaps
from maskwright.data.formats.pairing.split_lists import with_lists
from maskwright.data.formats.pairing.stacks import ImagePair
from maskwright.data.formats.walk import images_below, is_image, record_id, walk

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from maskwright.core.read_options import ReadOptions
    from maskwright.data.formats.meaning.entries import Meaning
    from maskwright.data.formats.meaning.scan import Scan
    from maskwright.data.formats.meaning.table_lines import Color
    from maskwright.data.formats.pairing.grouping import Groups

_FEWEST_MASKS = 24
_NAMING = Naming(advice="save it with the values of the other masks of its class")


class _Part(NamedTuple):
    """What the mask files of one class hold: their values, and what these mean."""

    folder: Path
    scan: Scan
    meaning: Meaning

    def mask_file(self, file: ImageRef) -> MaskFile:
        """Return one of the files, with what its values mean: 0 background, 1 the class, or `IGNORE`."""
        meaning = self.meaning
        values, palette = tuple(sorted(meaning.values.items())), tuple(sorted(meaning.palette.items()))
        return MaskFile(file, meaning.kind, values, meaning.white, palette=palette)

    def palette(self) -> Iterator[tuple[Color, int]]:
        """Yield the colours in which palettes show the background, and the class."""
        for value, color in self.scan.palette.items():
            index = self.meaning.values.get(value, IGNORE)
            if index != IGNORE:
                yield color, index


def detect(root: Path) -> str | None:
    """Tell that images have several mask files each, by their names."""
    groups = find_groups(root, images_below(root)) if root.is_dir() else None
    return None if groups is None else f"{plural(len(groups.found), 'image')} with several mask files each"


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read images with several mask files.

    Raises:
        MaskwrightError: no image has several masks, or a mask file shows more than one thing.
    """
    files = list(walk(root))
    groups = find_groups(root, [path for path in files if is_image(path)], chosen=options.format == "layers")
    if groups is None:
        raise MaskwrightError(
            f"{root} holds no image with several mask files: put them into a folder for each class, such as "
            "masks/nut/NAME.png and masks/bolt/NAME.png beside images/NAME.jpg"
        )
    if not groups.found:
        fault = pair_faults.doubt_of_parts(root, groups.doubts[0].image, groups.doubts[0].doubt())
        raise MaskwrightError(f"{root}: {fault.message}: {fault.cure}")
    if options.values:
        require_single(_pairs(root, groups))
    masks = _by_name(groups)
    parts = {name: _part(name, paths, options, len(masks)) for name, paths in masks.items()}
    classes, indices = _classes(root, groups, options)
    pairs, list_faults = with_lists(root, files, _pairs(root, groups))
    splits = meaningful_splits(pair.split for pair in pairs)
    names = {
        mask.path: name if groups.classes else "object"
        for group in groups.found
        for name, files in group.masks.items()
        for mask in files
    }

    def annotation(pair: ImagePair) -> MaskLayers:
        shown = ((mask, names[mask.path]) for mask in (pair.mask, *pair.more))
        layers = (MaskLayer(parts[name].mask_file(mask), indices[name]) for mask, name in shown)
        return MaskLayers(tuple(layers), objects=not groups.classes)

    records = tuple(
        Record(pair.id, pair.image, annotation(pair), pair.split if splits else None)
        for pair in sorted(pairs, key=lambda pair: pair.id)
    )
    faults = [*_unused(root, groups), *list_faults]
    for part in parts.values():
        faults += mask_faults(part.meaning, part.scan, _NAMING)
    faults += missing_masks(root, groups.found) if groups.classes else _blank(root, groups, parts.values())
    colors = _colors(parts.values())
    dataset = Dataset(
        root, "layers", _layout(groups, parts), classes, records, {}, colors, tuple(faults), naming=_NAMING
    )
    return with_overlaps(dataset)


def _by_name(groups: Groups) -> dict[str, list[ImageRef]]:
    """Return the mask files of each class; objects are all of one."""
    masks: dict[str, list[ImageRef]] = {}
    for group in groups.found:
        for name, files in group.masks.items():
            refs = [ImageRef(mask.path) for mask in files]
            masks.setdefault(name if groups.classes else "object", []).extend(refs)
    return dict(sorted(masks.items()))


def _part(name: str, masks: list[ImageRef], options: ReadOptions, parts: int) -> _Part:
    """Look at the masks of one class, each of which shows that class and background."""
    folder = masks[0].path.parent
    scan = scan_masks(masks, max(_FEWEST_MASKS, MOST_MASKS // parts))
    meaning = meaning_of(None, scan, options, folder, instances=False)
    if len(meaning.classes) != 2 or meaning.kind == "instance":
        raise MaskwrightError(
            f"the masks of {name!r} in {folder} show {plural(len(meaning.classes), 'class', 'classes')}, but where an "
            "image has several mask files, each shows one class and background: keep one of the folders if they show "
            "the same in several ways, or save a file for each class; if the values are ids of objects, save these "
            "masks as 0 and 255, or, to keep the objects, save one mask of class ids as masks/NAME.png and one map of "
            "object ids as instances/NAME.png for each image"
        )
    return _Part(folder, scan, meaning)


def _blank(root: Path, groups: Groups, parts: Iterable[_Part]) -> list[Fault]:
    """Tell of files of objects that show none; the only file of an image says that it has no object."""
    only = {file.path for group in groups.found for file in group.files() if len(group.files()) == 1}
    held = [entry for part in parts for entry in part.scan.held]
    blank = [entry.mask for entry in held if entry.values.keys() <= {0} and entry.mask.path not in only]
    if not blank:
        return []
    shows = agree(len(blank), "shows no object", "show no object")
    message = f"{len(blank)} of {len(held)} mask files looked at {shows}, such as {record_id(root, blank[0].path)}"
    cure = "check that nothing was lost when the masks were saved; if not, remove the blank files"
    return [Fault("empty-object", "warning", blank[0].path, message, cure)]


def _colors(parts: Collection[_Part]) -> dict[Color, int]:
    """Join what colours mean: 0 background, 1 the class of the file, or `IGNORE`.

    Raises:
        MaskwrightError: a colour is background in the masks of one class, and not in those of another.
    """
    shown: dict[Color, int] = {}
    for part in parts:
        for color, index in (*part.meaning.colors.items(), *part.palette()):
            if shown.setdefault(color, index) != index:
                raise MaskwrightError(
                    f"the colour {','.join(map(str, color))} is background in the masks of one class, and not in those "
                    f"of another ({part.folder}): save the masks of all classes as 0 and 255"
                )
    return {color: index for part in parts for color, index in part.meaning.colors.items()}


def _classes(root: Path, groups: Groups, options: ReadOptions) -> tuple[Classes, dict[str, int]]:
    """Return the classes, background first, and the index of each name that folders or files have."""
    names = sorted({name for group in groups.found for name in group.masks}) if groups.classes else ["object"]
    table = table_for(root, [ImageRef(mask.path) for mask in groups.found[0].files()], options)
    listed = [entry.name for entry in table.entries] if table is not None else []
    shown = [name for name in names if not means_ignore(name) and alike(name) != "background"]
    known = {alike(name): name for name in listed}
    if not groups.classes:
        shown = [name for name in listed if alike(name) != "background"][:1] or shown
    elif set(map(alike, shown)) <= set(known):
        shown = [name for name in listed if not means_ignore(name) and alike(name) != "background"]
    elif options.classes is not None:
        missing = next(name for name in shown if alike(name) not in known)
        raise MaskwrightError(f"{options.classes} does not name {missing!r}, for which there are masks: add the name")
    order = {alike(name): index for index, name in enumerate(shown, start=1)}
    indices = {name: IGNORE if means_ignore(name) else order.get(alike(name), 0) for name in names}
    if not groups.classes:
        indices = {"object": 1}
    classes = ("background", *shown)
    return Classes(classes, default_palette(len(classes))), indices


def _pairs(root: Path, groups: Groups) -> list[ImagePair]:
    pairs = []
    for group in groups.found:
        image, files = group.image, [mask for _, masks in sorted(group.masks.items()) for mask in masks]
        first, *more = (ImageRef(mask.path) for mask in files)
        split = image.place.split or files[0].place.split
        pairs.append(ImagePair(record_id(root, image.path), ImageRef(image.path), first, split, more=tuple(more)))
    return pairs


def _unused(root: Path, groups: Groups) -> list[Fault]:
    both = (*groups.found, *groups.doubts)
    used = {file.path for group in both for file in (group.image, *group.files(), *group.doubt())}
    parts = groups.divided
    crowded, torn = ([], set()) if groups.classes else pair_faults.crowded(root, parts.images, parts.masks, used)
    doubts = [pair_faults.doubt_of_parts(root, group.image, group.doubt()) for group in groups.doubts]
    return [
        *doubts,
        *crowded,
        *groups.faults,
        *pair_faults.unpaired(root, parts.images, parts.masks, used | torn),
        *pair_faults.unread(root, parts.others),
    ]


def _layout(groups: Groups, names: Iterable[str]) -> str:
    if not groups.classes:
        files = sum(len(group.files()) for group in groups.found)
        return f"{plural(len(groups.found), 'image')} with {plural(files, 'mask file')}: each file is one object"
    return f"a mask file for each class of an image: {', '.join(names)}"
