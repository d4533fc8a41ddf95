"""COCO: one JSON file a split, with images, categories and a polygon or run-length code an object. Paints nothing.

Several files over the same images are joined. Where they number their categories differently, the names count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.classes import require_distinct
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Fault
from maskwright.core.text import agree, listing, plural, such_as
from maskwright.data.formats.coco_json import CocoAnnotations, load
from maskwright.data.formats.meaning.tables import Entry
from maskwright.data.formats.outlines.annotation_files import few, holds
from maskwright.data.formats.outlines.drawn import ClassList, dataset_of
from maskwright.data.formats.outlines.located import AMBIGUOUS, Images, ambiguous, folded, plain
from maskwright.data.formats.outlines.shapes import DrawnImage
from maskwright.data.formats.pairing.naming import split_word
from maskwright.data.formats.walk import record_id

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import Dataset, Split

_MARKS = ('"images"', '"annotations"', '"categories"', '"segmentation"')
_LISTED = ('"images"', '"file_name"')
_TAIL = 64
_PANOPTIC_MARKS = ('"images"', '"annotations"', '"categories"', '"segments_info"')


class _Part(NamedTuple):
    """One JSON file, and the split in its name or in that of its folder."""

    file: CocoAnnotations
    split: Split | None


def detect(root: Path) -> str | None:
    """Name the JSON files that hold COCO's keys; the files are searched for the keys and not parsed."""
    paths = _json_files(root) or _json_files(root, _PANOPTIC_MARKS)
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
    found = _json_files(root)
    instances = [path for path in found if path.name.startswith("instances")]
    paths = instances or found
    if not paths:
        _refuse_panoptic(root)
        raise MaskwrightError(
            f"{root} holds no COCO JSON file with outlines (keys images, annotations with segmentation, categories): "
            "give the file itself, or the folder that holds annotations/"
        )
    keep = options.crowd == "keep"
    parts = [
        _Part(load(path, keep_crowds=keep), split_word(path.stem) or split_word(path.parent.name)) for path in paths
    ]
    images = Images(_base(root))
    drawn, faults = _drawn(images, parts)
    faults += [fault for part in parts for fault in part.file.faults]
    if not drawn:
        raise _nothing_found(images.base, parts, faults)
    faults += [*_aside([path for path in found if path not in paths]), *_cut_off(root, found)]
    text = ", ".join(record_id(images.base, path) for path in paths)
    words = f"{text} (crowds are {'read as objects' if keep else 'ignored'})"
    return dataset_of(root, ("coco", words), drawn, options, _class_list(parts, options), faults, images.base)


def _base(root: Path) -> Path:
    """Return the folder in which the images are searched."""
    if root.is_dir():
        return root
    return root.parent.parent if root.parent.name.lower() in {"annotations", "annotation", "labels"} else root.parent


def _json_files(root: Path, marks: tuple[str, ...] = _MARKS) -> list[Path]:
    paths = few(root, ".json") if root.is_dir() else [root] if root.suffix.lower() == ".json" else []
    return [path for path in paths if holds(path, marks)]


def _cut_off(root: Path, found: list[Path]) -> list[Fault]:
    """Report files that list images but end in the midst: without their last keys they are not recognised."""
    others = [path for path in (few(root, ".json") if root.is_dir() else []) if path not in found]
    return [
        Fault(
            "unreadable",
            "error",
            path,
            "lists images but is cut off: the JSON does not end, so nothing of it is read",
            "export or copy it again",
        )
        for path in others
        if holds(path, _LISTED) and not _ends(path)
    ]


def _ends(path: Path) -> bool:
    """Tell whether a JSON file ends with a closing bracket."""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - _TAIL))
        return stream.read().rstrip(b"\0 \t\r\n")[-1:] in {b"}", b"]"}


def _refuse_panoptic(root: Path) -> None:
    path = next(iter(_json_files(root, _PANOPTIC_MARKS)), None)
    if path is not None:
        raise MaskwrightError(
            f"{path} is in COCO's panoptic format, whose masks number segments and not classes: export COCO instances, "
            "or give a folder that holds only the images and masks of class ids"
        )


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
    message = f"{listing([path.name for path in paths])} {are} not read, as other names begin with instances"
    return [Fault("unused", "note", paths[0], message, "to join them, let their names begin with instances too")]


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
        return ClassList([Entry(number, name) for number, name in sorted(names.items())], parts[0].file.path)
    if options.map or options.ignore is not None:
        raise MaskwrightError(
            f"{odd} numbers its categories differently from {parts[0].file.path}, so `read.map` and `read.ignore` are "
            "ambiguous: give one file, or export all files from one project"
        )
    ordered = dict.fromkeys(name for part in parts for name in part.file.categories.values())
    message = f"{odd.name} numbers its categories differently from {parts[0].file.path.name}, so their names count"
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
    first, second = (f"/{folded(plain(name)).lstrip('/')}" for name in (one, other))
    return first.endswith(second) or second.endswith(first)
