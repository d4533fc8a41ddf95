"""From objects that were drawn on images to a data set: its classes, its records and their faults.

Shared by the formats of drawn shapes, each of which reads its own files. Knows none of them, and paints nothing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

from maskwright.core.classes import IGNORE
from maskwright.core.records import Dataset, Fault, ImageRef, Record, Shapes
from maskwright.core.text import agree, plural, such_as
from maskwright.data.formats.folder import meaningful_splits
from maskwright.data.formats.meaning.entries import classes_of, split_ignored, with_map
from maskwright.data.formats.meaning.tables import Entry, read_table, undisputed_table
from maskwright.data.formats.outlines.drawn_shapes import Tally, in_fractions, lost, shapes_of, without_wrong_sizes
from maskwright.data.formats.outlines.reach import without_misfits
from maskwright.data.formats.walk import record_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from maskwright.core.classes import Classes
    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import Severity
    from maskwright.data.formats.outlines.shapes import Drawing, DrawnImage

_BACKGROUND = frozenset({"background", "_background_"})


class ClassList(NamedTuple):
    """The classes by number, and where they come from.

    Attributes:
        entries: number and name of each.
        source: the file that lists them, or None.
        faults: what is wrong with the list.
        categories: the numbers are category ids of COCO, which predictions keep.
    """

    entries: Sequence[Entry]
    source: Path | None = None
    faults: tuple[Fault, ...] = ()
    categories: bool = False


def drawn_dataset(
    root: Path,
    layout: tuple[str, str],
    drawn: Sequence[DrawnImage],
    options: ReadOptions,
    listed: ClassList,
    faults: Sequence[Fault],
    base: Path | None = None,
) -> Dataset:
    """Make the data set: the objects of each image, painted in the order of the file or from large to small.

    Args:
        root: what the user gave.
        layout: the format, and what was recognised, in words.
        drawn: the annotated images; those of one image are joined.
        options: the user's settings; `map` and `ignore` take the numbers of `listed`.
        listed: the classes.
        faults: those found so far.
        base: the folder that the ids start from; None for the root, or the folder that holds it.

    Raises:
        MaskwrightError: a class has two numbers, or the options do not fit.
    """
    base, tally = base or (root if root.is_dir() else root.parent), Tally()
    classes, values, notes = _classes(listed, options)
    known: dict[Any, int] = {entry.name: values[entry.id] for entry in listed.entries}
    known |= {number: values[number] for number in {*options.map, *options.ignored()} if number in values}
    images, found = _joined(drawn)
    splits = meaningful_splits(entry.split for entry in images)
    sound = []
    for entry in images:
        problem = _unknown(entry, known, listed.source) or lost(entry) or in_fractions(entry)
        if problem is None:
            sound.append(entry)
        else:
            found.append(problem)
    sound, misfits = without_misfits(sound)
    sound, wrong = without_wrong_sizes(sound)
    records = []
    for entry in sound:
        annotation = Shapes(entry.source, shapes_of(entry, known, tally), entry.normalized, entry.size)
        split = entry.split if splits else None
        records.append(Record(record_id(base, entry.image), ImageRef(entry.image), annotation, split))
    return Dataset(
        root,
        layout[0],
        "; ".join((f"{layout[1]}: {plural(len(classes), 'class', 'classes')} with the background", *notes)),
        classes,
        tuple(sorted(records, key=lambda record: record.id)),
        values,
        faults=(*faults, *listed.faults, *_alike(listed, root), *found, *misfits, *wrong, *tally.faults()),
    )


def class_list(drawn: Sequence[DrawnImage], options: ReadOptions, names: Sequence[str], base: Path) -> ClassList:
    """List the classes of a format that names them: those of a table, or of the format itself, in that order.

    Others that occur follow in alphabetical order, but not if the user gave the table. Numbers count from 1 where no
    table gives them.

    Raises:
        MaskwrightError: the user's table is damaged.
    """
    first: dict[str, Path] = {}
    for entry in drawn:
        for shape in entry.objects:
            if shape.label is not None:
                first.setdefault(str(shape.label), entry.source)
    if options.classes is not None:
        return ClassList(read_table(options.classes).entries, options.classes)
    numbered = [Entry(number, name) for number, name in enumerate(dict.fromkeys(names), start=1)]
    table = None if names else undisputed_table([base, *dict.fromkeys(entry.source.parent for entry in drawn)])
    if table is not None and not first.keys().isdisjoint(entry.name for entry in table.entries):
        numbered = list(table.entries)
    source = table.path if table is not None and numbered else None
    new = sorted(first.keys() - {entry.name for entry in numbered})
    start = max((entry.id for entry in numbered), default=0) + 1
    entries = [*numbered, *(Entry(number, name) for number, name in enumerate(new, start))]
    if not new or not numbered:
        return ClassList(entries, source)
    others = f" and {len(new) - 1} others that occur" if len(new) > 1 else ""
    message = f"{'the list of classes' if source is None else source.name} does not name {new[0]!r}{others}: added"
    return ClassList(
        entries,
        source,
        (Fault("unknown-label", "warning", first[new[0]], message, "add the name, or correct the label"),),
    )


def _alike(listed: ClassList, root: Path) -> Iterable[Fault]:
    """Report names of classes that differ in case only, which are probably one class."""
    first: dict[str, str] = {}
    for entry in listed.entries:
        other = first.setdefault(entry.name.strip().casefold(), entry.name)
        if other != entry.name:
            message = f"{other!r} and {entry.name!r} are two classes, but differ only in case or spaces"
            cure = "write the name in one way, if it is one class"
            yield Fault("similar-names", "warning", listed.source or root, message, cure)


def _classes(listed: ClassList, options: ReadOptions) -> tuple[Classes, dict[int, int], tuple[str, ...]]:
    """Make the classes, the background first: returns them, the index of each number of a class, and notes.

    Raises:
        MaskwrightError: a name occurs twice, or the options do not fit.
    """
    entries = listed.entries
    ground = next((entry.id for entry in entries if entry.name.strip().lower() in _BACKGROUND), None)
    number = ground if ground is not None else -1 if 0 in {entry.id for entry in entries} else 0
    ordered = (Entry(number, "background"), *(entry for entry in entries if entry.id != ground))
    kept, ignored, notes = split_ignored(ordered, options)
    values = {entry.id: index for index, entry in enumerate(kept)} | {entry.id: IGNORE for entry in ignored}
    values |= dict.fromkeys(options.ignored(), IGNORE)
    ids = tuple(entry.id if entry in entries else None for entry in kept) if listed.categories else None
    return replace(classes_of(kept, listed.source), ids=ids), with_map(values, options), notes


def _joined(drawn: Sequence[DrawnImage]) -> tuple[list[DrawnImage], list[Fault]]:
    """Join what several files say of one image; an object that several hold counts once."""
    by_image: defaultdict[Path, list[DrawnImage]] = defaultdict(list)
    for entry in drawn:
        by_image[entry.image].append(entry)
    found: list[DrawnImage] = []
    faults: list[Fault] = []
    several = [entries for entries in by_image.values() if len(entries) > 1]
    for entries in by_image.values():
        first = entries[0]
        sizes = {entry.size for entry in entries} - {None}
        if len(sizes) > 1:
            message = f"{first.image.name} is annotated at several sizes, in {_sources(entries)}"
            faults.append(Fault("size-mismatch", "error", first.image, message, "remove the file that does not fit"))
        elif len(entries) == 1:
            found.append(first)
        else:
            objects = {_key(shape): shape for entry in entries for shape in entry.objects}
            size = next(iter(sizes), None)
            split = next((entry.split for entry in entries if entry.split), None)
            found.append(first._replace(objects=list(objects.values()), size=size, split=split))
    faults += _several(several)
    torn = [entries for entries in several if len({entry.split for entry in entries} - {None}) > 1]
    if torn:
        are = agree(len(torn), "is", "are")
        message = f"{plural(len(torn), 'image')}, {such_as(len(torn), torn[0][0].image.name)}, {are} in several splits"
        cure = "list each image in one split"
        faults.append(Fault("split-overlap", "warning", torn[0][-1].source, f"{message}; the first one is used", cure))
    return found, faults


def _several(joined: Sequence[Sequence[DrawnImage]]) -> Iterable[Fault]:
    """Report images of several files; files that outline one class differently may be versions of each other."""
    agreeing: list[Sequence[DrawnImage]] = []
    torn: list[Sequence[DrawnImage]] = []
    for entries in joined:
        (torn if _contradict(entries) else agreeing).append(entries)
    found: list[tuple[Severity, list[Sequence[DrawnImage]], str]] = [
        ("warning", torn, ", which outline other objects of the same class"),
        ("note", agreeing, ""),
    ]
    for severity, those, how in found:
        if those:
            are = agree(len(those), "is", "are")
            message = (
                f"{plural(len(those), 'image')}, {such_as(len(those), those[0][0].image.name)}, {are} annotated more "
                "than once"
            )
            where = f"in {_sources(those[0])}{how}; all objects are used"
            cure = "if one of them is an older version, remove it"
            yield Fault("annotated-twice", severity, those[0][-1].source, f"{message}, {where}", cure)


def _contradict(entries: Sequence[DrawnImage]) -> bool:
    """Tell whether two entries each hold an object of the same class that the other does not hold."""
    keys = [{_key(shape) for shape in entry.objects} for entry in entries]
    return any(
        {key[0] for key in one - other} & {key[0] for key in other - one} for one, other in combinations(keys, 2)
    )


def _sources(entries: Iterable[DrawnImage]) -> str:
    return " and ".join(dict.fromkeys(entry.source.name for entry in entries))


def _key(shape: Drawing) -> tuple[object, ...]:
    return shape.label, shape.polygons, shape.holes, repr(shape.rle), shape.box, shape.crowd


def _unknown(entry: DrawnImage, known: Mapping[Any, int], source: Path | None) -> Fault | None:
    """Report a class without a name, which makes the image unusable."""
    label = next((shape.label for shape in entry.objects if shape.label is not None and shape.label not in known), None)
    if label is None:
        return None
    where = "which it does not name" if source in {None, entry.source} else f"which {source.name} does not name"
    what = f"class {label}" if isinstance(label, int) else f"the class {label!r}"
    message = f"{entry.source.name} holds an object of {what} on {entry.image.name}, {where}"
    other = f"map it with `read.map` {label}=ignore" if isinstance(label, int) else "correct the label"
    return Fault("unknown-label", "error", entry.source, message, f"add a name for {label}, or {other}")
