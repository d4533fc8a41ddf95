"""Lists beside plain folders that say which images train and which judge: train.txt, val.txt, splits.csv.

A line names an image by its path, its file name or its stem; what follows it (the path of its mask) is not read.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Literal, NamedTuple

from maskwright.core.errors import MaskwrightError
from maskwright.core.files import read_text
from maskwright.core.records import SPLITS, Fault
from maskwright.core.text import agree, plural, such_as
from maskwright.data.formats.pairing import naming, split_tables
from maskwright.data.formats.walk import record_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from maskwright.core.records import Split
    from maskwright.data.formats.pairing.stacks import ImagePair

_SUFFIXES = frozenset({".txt", ".lst"})
_OTHER_WORDS = frozenset({"", "set", "list", "files", "images", "image", "names", "ids", "split", "seg"})


class _List(NamedTuple):
    path: Path
    split: Split
    names: list[str]


def with_lists(root: Path, files: Iterable[Path], pairs: list[ImagePair]) -> tuple[list[ImagePair], list[Fault]]:
    """Give the pairs the split of the lists, where there are any and the folders tell none.

    Args:
        root: of the data set.
        files: every file below it.
        pairs: the images with their masks.

    Returns:
        The pairs that the lists name, or all of them if no lists are followed; and what one should know of the lists.
    """
    lists, faults = _lists(files)
    if not lists:
        return pairs, faults
    shown = ", ".join(dict.fromkeys(record_id(root, entry.path) for entry in lists))
    refusal = _not_followed(lists, pairs)
    if refusal is not None:
        severity, why, cure = refusal
        message = f"the lists {shown} are not followed: {why}"
        return pairs, [*faults, Fault("split-list", severity, lists[0].path, message, cure)]
    finder = _Finder(pairs)
    splits: dict[str, Split] = {}
    for entry in lists:
        faults += _assign(entry, finder, splits)
    if len(set(splits.values())) < 2:
        message = f"the lists {shown} are not followed: fewer than two of them name images of this folder"
        return pairs, [*faults, Fault("split-list", "warning", lists[0].path, message, _CURE)]
    followed = [pair._replace(split=splits[pair.id]) for pair in pairs if pair.id in splits]
    counts = Counter(pair.split for pair in followed)
    parts = ", ".join(f"{counts[split]} {split}" for split in SPLITS if counts[split])
    message = f"the split is that of {shown}: {parts}"
    faults.append(Fault("split-list", "note", lists[0].path, message, "nothing needs to be done"))
    unlisted = [pair.id for pair in pairs if pair.id not in splits]
    if unlisted:
        are = agree(len(unlisted), "is", "are")
        message = (
            f"{plural(len(unlisted), 'image')}, {such_as(len(unlisted), unlisted[0])}, {are} in no list, and not used"
        )
        faults.append(Fault("split-list", "warning", lists[0].path, message, _CURE))
    return followed, faults


_CURE = "name each image in one of train.txt, val.txt and test.txt, or move the lists away"


def _lists(files: Iterable[Path]) -> tuple[list[_List], list[Fault]]:
    """Read the files whose names say nothing but a split, and tables of splits; the training lists come first.

    A table that cannot be read becomes a fault: it need not be one of splits.
    """
    found, faults = [], []
    for path in files:
        split = _split_of(path.stem) if path.suffix.lower() in _SUFFIXES else None
        if split is not None:
            lines = (line.strip() for line in read_text(path).splitlines())
            found.append(_List(path, split, [line for line in lines if line and not line.startswith("#")]))
        elif path.suffix.lower() in split_tables.SUFFIXES:
            try:
                found += [_List(path, part, names) for part, names in split_tables.read(path).items()]
            except MaskwrightError as error:
                message, _, cure = str(error).replace(str(path), path.name).rpartition(": ")
                faults.append(Fault("split-list", "warning", path, f"{message}, so it gives no split", cure))
    return sorted(found, key=lambda entry: (SPLITS.index(entry.split), entry.path)), faults


def _split_of(stem: str) -> Split | None:
    words = re.split(r"[^a-z]+", stem.lower())
    splits = [word for word in words if naming.split_word(word)]
    return naming.split_word(splits[0]) if len(splits) == 1 and set(words) - set(splits) <= _OTHER_WORDS else None


def _not_followed(
    lists: Sequence[_List], pairs: Sequence[ImagePair]
) -> tuple[Literal["warning", "note"], str, str] | None:
    """Return why lists tell no split, how grave that is, and what to do; None if they tell one."""
    if len({pair.split for pair in pairs} - {None}) > 1:
        return "note", "the folders define the split", "to follow the lists, put all images into one folder"
    names: defaultdict[Split, set[tuple[str, ...]]] = defaultdict(set)
    for entry in lists:
        names[entry.split].add(tuple(sorted(entry.names)))
    if any(len(different) > 1 for different in names.values()):
        return "warning", "several of them are for one part and differ", "keep one list for each part"
    if len(names) < 2:
        return "warning", f"they name only one part, {lists[0].split}", "add a list for the other part, such as val.txt"
    return None


def _assign(entry: _List, finder: _Finder, splits: dict[str, Split]) -> list[Fault]:
    """Add the split of the images that one list names; the first list of an image counts."""
    found = {name: finder.find(name) for name in entry.names}
    missing = [name for name, pair in found.items() if pair is None]
    twice = [pair for pair in found.values() if pair is not None and splits.get(pair, entry.split) != entry.split]
    for pair in found.values():
        if pair is not None:
            splits.setdefault(pair, entry.split)
    faults = []
    if missing:
        share = f"{len(missing)} of " if len(missing) < len(found) else ""
        message = (
            f"{share}{plural(len(found), 'name')} in {entry.path.name}, {such_as(len(missing), missing[0])}, "
            f"{agree(len(missing), 'does', 'do')} not match exactly one image with a mask"
        )
        cure = "add the images and masks, or remove the names; where folders repeat names, write names with folders"
        faults.append(Fault("split-list", "warning", entry.path, message, cure))
    if twice:
        are = agree(len(twice), "is", "are")
        message = (
            f"{plural(len(twice), 'name')} in {entry.path.name}, {such_as(len(twice), twice[0])}, {are} in another "
            "split too"
        )
        faults.append(Fault("split-overlap", "warning", entry.path, message, "keep each name in one list"))
    return faults


class _Finder:
    """Finds the image that a line of a list names."""

    def __init__(self, pairs: Sequence[ImagePair]) -> None:
        self._by_stem: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for pair in pairs:
            path = naming.alike(pair.id)
            stem = naming.alike(naming.stem(pair.image.path.name))
            for key in {stem, naming.bare_stem(stem)}:
                self._by_stem[key].append((pair.id, path))

    def find(self, line: str) -> str | None:
        """Return the id of the image that a line names: the whole line, or else its first word."""
        return self._named(line) or next((self._named(word) for word in re.split(r"[\s,;]+", line)[:1]), None)

    def _named(self, text: str) -> str | None:
        name = naming.alike(text.strip("\"'").replace("\\", "/").removeprefix("./"))
        last = name.rpartition("/")[2]
        found = self._by_stem.get(last) or self._by_stem.get(naming.stem(last)) or []
        if len(found) > 1:
            found = [entry for entry in found if _ends(entry[1], name)]
        return found[0][0] if len(found) == 1 else None


def _ends(path: str, name: str) -> bool:
    """Tell whether a path ends in a name, which may lack its suffix."""
    return any(f"/{whole}".endswith(f"/{name}") for whole in (path, path.rpartition(".")[0]))
