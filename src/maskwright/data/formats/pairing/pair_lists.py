"""Lists that name an image and its mask in each line: train.txt of PaddleSeg, pairs.csv. Opens no picture.

They are followed where they say otherwise than the names of the files.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.errors import MaskwrightError
from maskwright.core.files import read_text
from maskwright.core.records import Fault
from maskwright.core.text import agree, listing, plural, such_as
from maskwright.data.formats.pairing import naming
from maskwright.data.formats.pairing.pairs import Pair, describe, divided
from maskwright.data.formats.walk import is_image, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from maskwright.core.records import Split
    from maskwright.data.formats.pairing.pairs import Pairing

_DELIMITERS = {".csv": (",", ";", "\t"), ".tsv": ("\t",), ".txt": (",", ";", "\t", " "), ".lst": ("\t", " ", ",")}
# Folders with more text files hold annotations, not lists.
_MOST_LISTS = 16
_HEAD, _FIRST_LINES = 4096, 5
_OF_NAMES = frozenset({"unpaired", "ambiguous", "shifted-names", "alike"})


class _Listed(NamedTuple):
    """The pairs of all lists, and the lists."""

    masks: dict[Path, Path]
    lists: list[Path]


def with_pair_lists(root: Path, files: Sequence[Path], pairing: Pairing) -> Pairing:
    """Pair as lists do if they differ from the names of the files.

    Args:
        root: of the data set.
        files: every file below it.
        pairing: the pairs by name.

    Returns:
        The pairs of the lists, with what one should know of them, or `pairing`.
    """
    listed = _listed(root, files)
    by_name = {pair.image: pair for pair in pairing.pairs}
    known = {image: {pair.mask, *pair.more} for image, pair in by_name.items()}
    others = [image for image, mask in listed.masks.items() if mask not in known.get(image, ())]
    if not others:
        return pairing
    pairs = tuple(
        by_name[image] if mask in known.get(image, ()) else Pair(image, mask, _split(root, image, mask))
        for image, mask in sorted(listed.masks.items())
    )
    contradicted = [image for image in others if image in by_name]
    faults = [fault for fault in pairing.faults if fault.kind not in _OF_NAMES]
    faults += _faults(root, listed, contradicted, sorted(by_name.keys() - listed.masks.keys()))
    word = naming.place(pairs[0].mask.relative_to(root).parts).word
    return pairing._replace(pairs=pairs, word=word, layout=describe(root, pairs), faults=tuple(faults))


def _split(root: Path, image: Path, mask: Path) -> Split | None:
    first, second = (naming.place(path.relative_to(root).parts).split for path in (image, mask))
    return first or second


def _faults(root: Path, listed: _Listed, contradicted: Sequence[Path], unlisted: Sequence[Path]) -> Iterator[Fault]:
    names, first = listing([record_id(root, path) for path in listed.lists]), listed.lists[0]
    message = f"{names} {agree(len(listed.lists), 'pairs', 'pair')} "
    if contradicted:
        image = contradicted[0]
        message += (
            f"{plural(len(contradicted), 'image')} with another mask than {agree(len(contradicted), 'its', 'their')} "
            f"{agree(len(contradicted), 'name', 'names')} would, "
            f"{such_as(len(contradicted), record_id(root, image))} with {record_id(root, listed.masks[image])}"
        )
        cure = "compare an image with its mask: if they do not fit, move the list away"
        yield Fault("pair-list", "warning", first, message, cure)
    else:
        message += "images and masks whose names differ"
        yield Fault("pair-list", "note", first, message, "nothing needs to be done")
    if unlisted:
        count = len(unlisted)
        message = (
            f"{plural(count, 'image')} with a mask, {such_as(count, record_id(root, unlisted[0]))}, "
            f"{agree(count, 'is', 'are')} not in {names}, and {agree(count, 'is', 'are')} not used"
        )
        yield Fault("pair-list", "warning", first, message, "add them to the list with their masks, or move it away")


def _listed(root: Path, files: Sequence[Path]) -> _Listed:
    """Read all lists of pairs; none of them if one gives an image two masks, which may be parts of one."""
    texts: defaultdict[Path, list[Path]] = defaultdict(list)
    for path in files:
        if path.suffix.lower() in _DELIMITERS:
            texts[path.parent].append(path)
    candidates = [path for group in texts.values() if len(group) <= _MOST_LISTS for path in group]
    if not candidates:
        return _Listed({}, [])
    images = [path for path in files if is_image(path)]
    finder = _Finder(images, {file.path for file in divided(root, images).masks})
    masks: dict[Path, Path] = {}
    lists = []
    for path in candidates:
        pairs = finder.pairs(path)
        if pairs:
            lists.append(path)
        for image, mask in pairs:
            if masks.setdefault(image, mask) != mask:
                return _Listed({}, [])
    return _Listed(masks, lists)


class _Finder:
    """Finds the pictures that a list names, by the ends of their paths."""

    def __init__(self, images: Sequence[Path], masks: set[Path]) -> None:
        self._masks = masks
        self._by_name: defaultdict[str, list[Path]] = defaultdict(list)
        for path in images:
            self._by_name[path.name].append(path)

    def pairs(self, path: Path) -> list[tuple[Path, Path]]:
        """Return the images with their masks if most lines of a file name one of each, else nothing."""
        try:
            with path.open("rb") as stream:
                head = stream.read(_HEAD).decode("latin-1").splitlines()[:_FIRST_LINES]
            if not any(self._ways(path, head)):
                return []
            lines = [line for line in read_text(path).splitlines() if line.strip() and not line.startswith("#")]
            found = max(self._ways(path, lines), key=len)
        except (OSError, csv.Error, MaskwrightError):  # it need not be a list, nor text
            return []
        return found if 2 * len(found) >= len(lines) else []

    def _ways(self, path: Path, lines: Sequence[str]) -> list[list[tuple[Path, Path]]]:
        """Return the pairs in some lines, for each delimiter that they may have."""
        ways = (csv.reader(lines, delimiter=mark) for mark in _DELIMITERS[path.suffix.lower()])
        return [[pair for pair in map(self._pair, rows) if pair is not None] for rows in ways]

    def _pair(self, cells: Sequence[str]) -> tuple[Path, Path] | None:
        """Return the image and the mask that a line names, if it names two pictures."""
        found = [path for path in map(self._named, cells) if path is not None]
        masks = [path for path in found if path in self._masks]
        if len(found) != 2 or len(masks) != 1:
            return None
        (image,) = (path for path in found if path not in self._masks)
        return image, masks[0]

    def _named(self, cell: str) -> Path | None:
        """Return the picture whose path shares the longest end with a cell; None if several do."""
        parts = cell.strip().strip("\"'").replace("\\", "/").split("/")
        found = self._by_name.get(parts[-1], [])
        for length in range(2, len(parts) + 1):
            if len(found) < 2:
                break
            found = [path for path in found if path.parts[-length:] == tuple(parts[-length:])] or found
        return found[0] if len(found) == 1 else None
