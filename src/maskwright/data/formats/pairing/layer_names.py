"""What the names of several mask files of an image tell: classes, or objects that they only count. Opens no file."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from maskwright.core.records import Fault
from maskwright.core.text import listing
from maskwright.data.formats.pairing import naming

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    Names = Sequence[Collection[str]]

_TOKEN = re.compile(r"\d+|[^\W\d_]+|[\W_]+")
_CLASS_WORDS = frozenset({"class", "cls", "category"})
_OBJECT_WORDS = frozenset({"object", "obj", "instance", "inst", "roi"})
_COUNTS = ("abcdefghijklmnopqrstuvwxyz", ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii"))
_SHORTEST_WORD = 3


def tell_classes(found: Names, *, files: bool) -> bool:
    """Tell whether the masks of each image show classes, and not one object each.

    Args:
        found: the names of the masks of each image.
        files: the names are those of whole files in a folder of the image, and not of folders or ends of names.
    """
    names = _names(found)
    if only_count(found):
        return _begin(names, _CLASS_WORDS) or not (files or _first_ones(found))
    if not files:
        return True
    if any(naming.first_number(naming.bare_stem(name))[1] >= 0 for name in names):
        return False
    return repeated(found) or all(map(_is_word, names))


def name_faults(found: Names, folder: Path, *, classes: bool, files: bool) -> list[Fault]:
    """Warn where names may also tell the other of the two, classes or objects, than they are read as.

    Args:
        found: the names of the masks of each image.
        folder: to name in the message.
        classes: what `tell_classes` tells.
        files: as `tell_classes`.
    """
    names = _names(found)
    words = [] if classes or only_count(found) else _shared_words(found)
    if classes and files and not repeated(found):
        message = f"few names of mask files, such as {_some(names)}, occur in several images; each is read as a class"
        cure = "if each file shows one object, number the files of an image (1.png, 2.png)"
    elif len(words) > 1:
        message = f"the names of mask files begin with {_some(words)}, but all are read as objects of one class"
        cure = f"if these are classes, name the files of an image after them ({words[0]}.png, {words[1]}.png)"
    elif not only_count(found) or not repeated(found) or _begin(names, _CLASS_WORDS | _OBJECT_WORDS):
        return []
    elif classes:
        message = f"the names {_some(names)} only count, and are read as those of classes"
        cure = (
            "if they are classes, give them words for names; if each file shows one object, put the files of an image "
            "into a folder of its own (ID/images/ID.png with ID/masks/1.png and ID/masks/2.png)"
        )
    elif files and _first_ones(found):
        return []
    else:
        message = f"the names {_some(names)} only count, so each file is read as one object"
        cure = "if they are classes, give them words for names, such as nut and bolt"
    return [Fault("objects-or-classes", "warning", folder, message, cure)]


def _some(names: Iterable[str]) -> str:
    return listing([repr(name) for name in sorted(names)])


def _names(found: Names) -> set[str]:
    return {name for own in found for name in own}


def repeated(found: Names) -> bool:
    """Tell whether most names occur in several images."""
    return len(found) > 1 and 2 * len(_names(found)) <= sum(len(own) for own in found)


def _is_word(name: str) -> bool:
    return len(name) >= _SHORTEST_WORD and not any(char.isdigit() for char in name)


def _begin(names: Iterable[str], words: Collection[str]) -> bool:
    return all(_TOKEN.findall(naming.alike(name))[0] in words for name in names)


def only_count(found: Names) -> bool:
    """Tell whether names differ only in numbers, or in letters that count from a or i: 1a, 2a; cell_a, cell_b."""
    split = [_TOKEN.findall(naming.alike(naming.bare_stem(name))) for name in _names(found)]
    if len(split) < 2 or len({len(tokens) for tokens in split}) > 1:
        return False
    return all(len(tokens) == 1 or _is_count(tokens) for tokens in map(set, zip(*split, strict=True)))


def _is_count(tokens: set[str]) -> bool:
    return all(map(str.isdigit, tokens)) or any(tokens == set(count[: len(tokens)]) for count in _COUNTS)


def _first_ones(found: Names) -> bool:
    """Tell whether each image has the first few of all names, and some more than others: they count its objects."""
    order = sorted(_names(found), key=_place)
    counts = {len(own) for own in found}
    return len(counts) > 1 and all(set(own) == set(order[: len(own)]) for own in found)


def _place(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts numbers by their value: cell_2 before cell_10."""
    return [(int(token) if token.isdigit() else 0, token) for token in _TOKEN.findall(naming.alike(name))]


def _shared_words(found: Names) -> list[str]:
    """Return the words before the numbers of names, if several images have files with more than one: nut_1, bolt_1."""
    words = [{naming.first_number(naming.bare_stem(name))[0] for name in own} for own in found]
    holders = Counter(word for own in words if len(own) > 1 and all(map(str.isalpha, own)) for word in own)
    return sorted(word for word, images in holders.items() if images > 1)
