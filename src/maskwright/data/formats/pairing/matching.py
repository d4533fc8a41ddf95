"""Which mask is that of which image: files with equal keys, from the strictest rule to the loosest. Opens no file.

A rule pairs only where one image and one mask fit each other. Where several do, the strict rules leave all of them in
doubt. Masks that differ in a number after the word for a mask (`a_mask.png`, `a_mask_1.png`) all belong to one image.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import partial
from os.path import commonprefix
from typing import TYPE_CHECKING, NamedTuple

from maskwright.data.formats.pairing import naming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    Key = tuple[str, ...]

_SEPARATOR = re.compile(r"[\s_\-.]")


class File(NamedTuple):
    """A picture, what its path means, and the whole name of the image that it is, or is the mask of."""

    path: Path
    place: naming.Place
    whole: str = ""


class Match(NamedTuple):
    """An image, and its masks: several only where their numbers tell that they belong together."""

    image: File
    masks: tuple[File, ...]


class Matches(NamedTuple):
    """What was paired.

    Attributes:
        pairs: in no order.
        doubts: images and masks that fit each other in more than one way.
        alike: pairs whose names differ in case or in the form of Unicode only.
    """

    pairs: list[Match]
    doubts: list[tuple[list[File], list[File]]]
    alike: list[Match]


def matched(images: list[File], masks: list[File], *, loosely: bool = True) -> Matches:
    """Pair images and masks.

    Args:
        images: each is paired once at most.
        masks: each is paired once at most.
        loosely: where no strict rule pairs anything, use the loose ones.
    """
    images = [File(file.path, file.place, file.path.name) for file in images]
    stems = {(*_folders(file), naming.alike(naming.bare_stem(file.place.key[-1]))) for file in images}
    named = {file.place.key for file in images}
    counted = [file for file in masks if naming.numbered_owners(_stem(file)) and file.place.key not in named]
    firsts = {(file.path.parent, _number(file)[0]) for file in counted}
    found, left = Matches([], [], []), (images, [_with_owner(mask, stems, firsts) for mask in masks])
    by_path = {file.path: file for file in masks}
    for rule in (_whole_name, _exact, _bare, _alike):
        before = len(found.pairs)
        left = _joined(*left, rule, found)
        if rule is _alike:
            found.alike.extend(found.pairs[before:])
    loose = (_padded, _without_split, _stem_alone, _without_own_words(*left), _folder_alone, _without_split_word)
    for looser in loose if loosely else ():
        if not found.pairs and not found.doubts:
            left = _joined(*left, looser, found, strict=False)
    _numbered_beside(found, left[1])
    pairs = [Match(image, tuple(by_path[mask.path] for mask in own)) for image, own in found.pairs]
    return found._replace(pairs=pairs)


def _with_owner(mask: File, stems: set[Key], firsts: set[tuple[Path, str]]) -> File:
    """Give a numbered mask (`a_mask_1`) the stem of its image: `a_1` if there is such an image, `a` otherwise.

    The mask without a number beside it (`a_mask`) gets `a` too; `firsts` has the folders and stems of such masks.
    """
    place, name = mask.place, mask.path.name
    first = naming.mask_owner(_stem(mask)) if (mask.path.parent, _stem(mask)) in firsts else None
    for owner in naming.numbered_owners(_stem(mask)) if first is None else (first,):
        if (*_folders(mask), naming.alike(naming.bare_stem(owner))) in stems:
            place = place._replace(key=(*place.key[:-1], owner))
            break
    return File(mask.path, place, name.rpartition(".")[0])


def _folders(file: File) -> Key:
    return tuple(map(naming.alike, file.place.key[:-1]))


def _whole_name(file: File) -> Key:
    """The mask's name is that of its image with a second suffix: images/a.jpg, masks/a.jpg.png."""
    return (*file.place.key[:-1], file.whole)


def _exact(file: File) -> Key:
    return file.place.key


def _bare(file: File) -> Key:
    """The words for a role dropped from the stem: images/img_07.jpg, masks/mask_07.png."""
    return (*file.place.key[:-1], naming.bare_stem(file.place.key[-1]))


def _alike(file: File) -> Key:
    """Case and the form of Unicode dropped: IMG_07.JPG, img_07.png."""
    return tuple(map(naming.alike, _bare(file)))


def _padded(file: File) -> Key:
    """Zeros before numbers dropped: images/7.png, masks/007.png."""
    return tuple(re.sub(r"(?<!\d)0+(?=\d)", "", part) for part in _alike(file))


def _without_split(file: File) -> Key:
    """The split dropped too: test/crack/000.png, ground_truth/crack/000_mask.png."""
    return _bare(file)[1:]


def _stem_alone(file: File) -> Key:
    """The folders dropped: images/cat_1.jpg, annotations/trimaps/cat_1.png."""
    return _bare(file)[-1:]


def _without_own_words(images: list[File], masks: list[File]) -> Callable[[File], Key]:
    """The words dropped that all masks have before or after the stem of an image: 7.png, 7_vessel_left.png."""
    names = [_alike(mask)[-1] for mask in masks]
    ends = [name[::-1] for name in names]
    first, last = commonprefix(names), commonprefix(ends)[::-1]  # noqa: RUF071 (characters are compared)
    before = (first[: match.end()] for match in _SEPARATOR.finditer(first))
    after = (last[match.start() :] for match in _SEPARATOR.finditer(last))
    known = {_alike(image) for image in images}
    own = {mask.path for mask in masks}

    def without(words: str, file: File) -> Key:
        *folders, name = _alike(file)
        return (*folders, name.removeprefix(words).removesuffix(words) if file.path in own else name)

    possible = [words for words in (*before, *after) if any(map(str.isalpha, words))]
    best = max(possible, key=lambda words: sum(without(words, mask) in known for mask in masks), default="")
    return partial(without, best)


def _folder_alone(file: File) -> Key:
    """The stem dropped: case7/photo.jpg, case7/mask.png."""
    return file.place.key[:-1]


def _without_split_word(file: File) -> Key:
    """The words for a split dropped from the stem: images/21_training.tif, 1st_manual/21_manual1.gif."""
    return (*file.place.key[:-1], naming.bare_number(file.place.key[-1]))


def _joined(
    images: list[File], masks: list[File], rule: Callable[[File], Key], found: Matches, *, strict: bool = True
) -> tuple[list[File], list[File]]:
    """Add the pairs of equal keys, and the doubts of a strict rule, to `found`; return the images and masks left."""
    groups: defaultdict[Key, tuple[list[File], list[File]]] = defaultdict(lambda: ([], []))
    for side, files in enumerate((images, masks)):
        for file in files:
            groups[rule(file)][side].append(file)
    taken: set[Path] = set()
    for group in groups.values():
        if not group[0] or not group[1]:
            continue
        pairs = list(_pairs(*group)) if strict else _single(*group)
        doubtful = strict and not pairs and rule is not _whole_name
        found.pairs.extend(pairs)
        if doubtful:
            found.doubts.append(group)
        members = [*group[0], *group[1]] if doubtful else [file for pair in pairs for file in (pair.image, *pair.masks)]
        taken.update(file.path for file in members)
    return [file for file in images if file.path not in taken], [file for file in masks if file.path not in taken]


def _single(images: list[File], masks: list[File]) -> list[Match]:
    """Pair one image with one mask, unless they are in different splits."""
    if len(images) != 1 or len(masks) != 1:
        return []
    splits = {images[0].place.split, masks[0].place.split} - {None}
    return [Match(images[0], (masks[0],))] if len(splits) < 2 else []


def _pairs(images: list[File], masks: list[File]) -> Iterator[Match]:
    """Pair one image with its only mask or its numbered masks, or several with masks of the same names."""
    if len(images) == 1 and (len(masks) == 1 or are_numbered(masks)):
        yield Match(images[0], tuple(sorted(masks, key=_number) if len(masks) > 1 else masks))
        return
    by_name = {mask.path.name: mask for mask in masks}
    if len(by_name) == len(masks) and sorted(by_name) == sorted(file.path.name for file in images):
        for image in images:
            yield Match(image, (by_name[image.path.name],))


def _number(mask: File) -> tuple[str, int]:
    return naming.first_number(_stem(mask))


def _stem(file: File) -> str:
    return naming.stem(file.path.name)


def are_numbered(masks: list[File]) -> bool:
    """Tell whether masks differ in a number after the word for a mask: a_mask, a_mask_1, a_mask_2."""
    names = [naming.stem(mask.path.name) for mask in masks]
    numbered = [name for name in names if naming.numbered_owners(name)]
    starts = {naming.first_number(name)[0] for name in numbered} | {name for name in names if name not in numbered}
    return len(numbered) >= len(names) - 1 and len(starts) == 1 and len(set(names)) == len(names)


def _numbered_beside(found: Matches, left: Iterable[File]) -> None:
    """Doubt a pair where a mask is left that has its name and a number: a.png, a_1.png. It may be a second mask."""
    paired = {(mask.path.parent, naming.stem(mask.path.name)): match for match in found.pairs for mask in match.masks}
    extra: defaultdict[Path, list[File]] = defaultdict(list)
    for mask in left:
        start, number = naming.first_number(naming.stem(mask.path.name))
        match = paired.get((mask.path.parent, start)) if number >= 0 else None
        if match is not None:
            extra[match.image.path].append(mask)
    doubtful = [match for match in found.pairs if match.image.path in extra]
    found.pairs[:] = [match for match in found.pairs if match.image.path not in extra]
    found.doubts.extend(([match.image], [*match.masks, *extra[match.image.path]]) for match in doubtful)
