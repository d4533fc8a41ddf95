"""COCO: one JSON file a split, with images, categories and a polygon or run-length code an object. Paints nothing.

Several files over the same images are joined. Where they number their categories differently, the names count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.classes import require_distinct
from maskwright.core.documents import parsed_json
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Fault
from maskwright.core.text import agree, listing, plural, such_as
from maskwright.data.formats.coco_json import CocoAnnotations, load
from maskwright.data.formats.meaning.tables import Entry
from maskwright.data.formats.outlines.annotation_files import few, holds, unreadable
from maskwright.data.formats.outlines.drawn import ClassList, drawn_dataset
from maskwright.data.formats.outlines.located import AMBIGUOUS, Images, ambiguous, plain
from maskwright.data.formats.outlines.shapes import DrawnImage
from maskwright.data.formats.pairing.naming import alike, split_word
from maskwright.data.formats.walk import record_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import Dataset, Split

_KEYS = ('"images"', '"annotations"', '"categories"')
_MARKS = (*_KEYS, '"segmentation"')
_UNNAMED = ('"images"', '"annotations"', '"file_name"', '"segmentation"')
_ANNOTATED = ('"image_id"',)
_LISTED = ('"images"', '"file_name"')


class _Part(NamedTuple):
    """One JSON file, and the split in its name or in that of its folder."""

    file: CocoAnnotations
    split: Split | None


def detect(root: Path) -> str | None:
    """Name the JSON files that hold COCO's keys; the files are searched for the keys and not parsed."""
    paths = _outline_files(root)
    return ", ".join(record_id(root, path) if path != root else path.name for path in paths) or None


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read COCO annotations: background and the categories; crowds are ignored unless `options.crowd` keeps them.

    Raises:
        MaskwrightError: no COCO JSON file, a damaged one, or no image found.
    """
    if options.classes is not None:
        raise MaskwrightError(
            f"a COCO file names its categories itself, so {options.classes} cannot be used: leave out `read.classes`"
        )
    found = _outline_files(root)
    if not found:
        raise MaskwrightError(
            f"{root} holds no COCO JSON file with outlines (keys images, annotations with segmentation, categories): "
            "give the file itself, or the folder that holds annotations/"
        )
    keep = options.crowd == "keep"
    parts, damaged = _parts(found, keep_crowds=keep)
    _require_names(parts)
    images = Images(base_of(root))
    drawn, faults = _drawn(images, parts)
    faults += damaged
    faults += [fault for part in parts for fault in part.file.faults]
    if not drawn:
        raise _nothing_found(images.base, parts, faults)
    read_or_damaged = {*(part.file.path for part in parts), *(fault.path for fault in damaged)}
    faults += [*_aside([path for path in found if path not in read_or_damaged]), *cut_off(root, found)]
    text = ", ".join(record_id(images.base, part.file.path) for part in parts)
    words = f"{text} (crowds are {'read as objects' if keep else 'ignored'})"
    return drawn_dataset(root, ("coco", words), drawn, options, _class_list(parts, options), faults, images.base)


def base_of(root: Path) -> Path:
    """Return the folder in which the images are searched."""
    if root.is_dir():
        return root
    return root.parent.parent if root.parent.name.lower() in {"annotations", "annotation", "labels"} else root.parent


def _outline_files(root: Path) -> list[Path]:
    """Return the files with outlines and, beside one of them, those that list images without any annotation."""
    paths = few(root, ".json") if root.is_dir() else [root] if root.suffix.lower() == ".json" else []
    found = [path for path in paths if holds(path, _MARKS) or holds(path, _UNNAMED)]
    return [path for path in paths if path in found or (found and holds(path, _KEYS) and not holds(path, _ANNOTATED))]


def _parts(paths: list[Path], *, keep_crowds: bool) -> tuple[list[_Part], list[Fault]]:
    """Load the files that are called instances, or else all; one that cannot be read is a fault, if another can.

    Raises:
        MaskwrightError: none can be read.
    """
    parts: list[_Part] = []
    errors: list[tuple[Path, MaskwrightError]] = []
    for path in sorted(paths, key=lambda path: not _is_instances(path)):
        if parts and _is_instances(parts[0].file.path) and not _is_instances(path):
            break
        try:
            split = split_word(path.stem) or split_word(path.parent.name)
            parts.append(_Part(load(path, keep_crowds=keep_crowds), split))
        except MaskwrightError as error:
            errors.append((path, error))
    if not parts:
        raise errors[0][1]
    return parts, [unreadable(path, error) for path, error in errors]


def _is_instances(path: Path) -> bool:
    return path.name.startswith("instances")


def _require_names(parts: list[_Part]) -> None:
    """Refuse files without categories beside others with them: nobody knows whether their ids mean the same."""
    unnamed = next((part.file for part in parts if not part.file.named and part.file.categories), None)
    named = next((part.file for part in parts if part.file.named), None)
    if unnamed is not None and named is not None:
        raise MaskwrightError(
            f"{unnamed.path} lists no categories, but {named.path.name} does: copy the list, if their ids mean the same"
        )


def cut_off(root: Path, found: Sequence[Path] = ()) -> list[Fault]:
    """Report files that list images but cannot be read: without their last keys they are not recognised as COCO.

    Args:
        root: what the user gave.
        found: files that are recognised.
    """
    others = [path for path in (few(root, ".json") if root.is_dir() else []) if path not in found]
    faults = []
    for path in others:
        try:
            if holds(path, _LISTED):
                parsed_json(path)
        except MaskwrightError as error:
            faults.append(unreadable(path, error))
    return faults


def _nothing_found(base: Path, parts: list[_Part], faults: list[Fault]) -> MaskwrightError:
    """Build the error for files of which no image can be used."""
    first = next((fault for fault in faults if fault.severity == "error"), None)
    if first is not None:
        return MaskwrightError(f"{first.path}: {first.message}: {first.cure}")
    name = next((image.name for part in parts for image in part.file.images), "(no image)")
    return MaskwrightError(
        f"none of the images that {parts[0].file.path} lists, such as {name}, was found below {base}: "
        "put the images next to the annotations/ folder"
    )


def _aside(paths: list[Path]) -> list[Fault]:
    """Report files with outlines that are not read because others are called instances."""
    if not paths:
        return []
    are = agree(len(paths), "is", "are")
    message = (
        f"{listing([path.name for path in paths])} {are} not read: other files have names that begin with instances"
    )
    return [Fault("unused", "note", paths[0], message, "to read them as well, begin their names with instances")]


def _class_list(parts: list[_Part], options: ReadOptions) -> ClassList:
    """List the categories by their ids; by their names if the files number them differently.

    Raises:
        MaskwrightError: a file gives one name to two ids, or options name ids that differ from file to file.
    """
    names: dict[int, str] = {}
    numbers: dict[str, int] = {}
    odd: Path | None = None
    for part in parts:
        path, own = part.file.path, part.file.categories
        require_distinct(tuple(own.values()), path)
        for number, name in own.items():
            if names.setdefault(number, name) != name or numbers.setdefault(name, number) != number:
                odd = odd or path
    if odd is None:
        entries = [Entry(number, name) for number, name in sorted(names.items())]
        return ClassList(entries, parts[0].file.path, categories=True)
    if options.map or options.ignore is not None:
        raise MaskwrightError(
            f"{odd} numbers its categories differently from {parts[0].file.path}, so `read.map` and `read.ignore` are "
            "ambiguous: give one file, or export all files from one project"
        )
    ordered = dict.fromkeys(name for part in parts for name in part.file.categories.values())
    message = f"{odd.name} numbers its categories differently from {parts[0].file.path.name}, so names decide"
    note = Fault("categories", "note", odd, message, "check that equal names mean the same")
    return ClassList([Entry(number, name) for number, name in enumerate(ordered, start=1)], None, (note,))


def _drawn(images: Images, parts: list[_Part]) -> tuple[list[DrawnImage], list[Fault]]:
    """Find the image of each entry; one that cannot be told from another is left out."""
    drawn: list[DrawnImage] = []
    faults: list[Fault] = []
    wanted: dict[Path, str] = {}
    mentioned: set[Path] = set()
    clashing: set[Path] = set()
    for file, split in parts:
        missing: list[str] = []
        doubtful: dict[str, list[Path]] = {}
        for entry in file.images:
            found = images.named(entry.name, file.path, split, entry.size)
            mentioned.update(found)
            if entry.id in file.shared:
                continue
            if not found:
                missing.append(entry.name)
            elif len(found) > 1:
                doubtful[entry.name] = found
            else:
                if not _same(wanted.setdefault(found[0], entry.name), entry.name):
                    clashing.add(found[0])
                drawn.append(DrawnImage(found[0], file.path, file.objects.get(entry.id, ()), entry.size, split))
        if missing:
            some, do = (
                f"{len(missing)} of {plural(len(file.images), 'listed image')}",
                agree(len(missing), "does", "do"),
            )
            message = f"{some}, {such_as(len(missing), missing[0])}, {do} not exist"
            faults.append(Fault("unpaired", "warning", file.path, message, "add them, or remove their entries"))
        if doubtful:
            name, paths = next(iter(doubtful.items()))
            faults.append(ambiguous(name, paths, file.path, images.base, len(doubtful) - 1))
    if clashing:
        fit, are = agree(len(clashing), "fits", "fit"), agree(len(clashing), "is", "are")
        some = f"{plural(len(clashing), 'image')}, {such_as(len(clashing), min(clashing).name)},"
        message = f"{some} {fit} names in several folders and {are} not used"
        cure = "put the images into the folders that the JSON names, or correct the names"
        faults.append(Fault(AMBIGUOUS, "error", min(clashing), message, cure))
    kept = [entry for entry in drawn if entry.image not in clashing]
    return kept, [*faults, *images.unlisted((entry.image for entry in drawn), mentioned, "no JSON file lists")]


def _same(one: str, other: str) -> bool:
    """Tell whether two names can mean one file: they are equal, or one is the end of the other."""
    first, second = (f"/{alike(plain(name)).lstrip('/')}" for name in (one, other))
    return first.endswith(second) or second.endswith(first)
