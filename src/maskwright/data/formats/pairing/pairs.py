"""Images and their masks, paired by their paths; a file without a partner becomes a fault. Opens no file.

One rule covers the common layouts: the words for a role (`images`, `masks`, `annot`, ...) and for a split (`train`,
...) are removed from the path, and the rest must be the same for an image and its mask.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.text import listing
from maskwright.data.formats.pairing import naming, pair_faults
from maskwright.data.formats.pairing.matching import File, matched
from maskwright.data.formats.pairing.shifted_names import shifted_names
from maskwright.data.formats.walk import folder_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from maskwright.core.records import Fault, Split

_LOSSY = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".webp"})


class Pair(NamedTuple):
    """An image file, its mask file, the split that the layout gives them, and further mask files of the image."""

    image: Path
    mask: Path
    split: Split | None
    more: tuple[Path, ...] = ()


class Pairing(NamedTuple):
    """The pairs found below a folder.

    Attributes:
        pairs: sorted by image.
        images, masks: how many of each there are, paired or not.
        word: the word for masks in the name of their folder, or for maps of objects in their own; None without one.
        layout: the folders, in words.
        faults: files that are not used, or whose partner is in doubt.
    """

    pairs: tuple[Pair, ...]
    images: int
    masks: int
    word: str | None
    layout: str
    faults: tuple[Fault, ...]

    @property
    def instances(self) -> bool:
        """Whether the name of the masks' folder, or their own, tells that they hold one id per object."""
        return self.word in naming.INSTANCE_WORDS


class Divided(NamedTuple):
    """The pictures below a folder by what they are; `how` tells, in words, if images and masks share a folder."""

    images: list[File]
    masks: list[File]
    others: list[File]
    how: str | None = None


def find_pairs(root: Path, paths: list[Path], without: Collection[str | None] = ()) -> Pairing:
    """Pair images and masks among the files below `root`.

    Args:
        root: the folder that the user gave; its name and those above it are not read.
        paths: every image file below it.
        without: words for masks whose folders are passed over; None for masks without a word.
    """
    return _pairing(root, tuple(paths), frozenset(without))


@lru_cache(maxsize=1)  # A format is detected and then read from the same files.
def _pairing(root: Path, paths: tuple[Path, ...], without: frozenset[str | None]) -> Pairing:
    return paired(root, _divided(root, paths), without)


def paired(root: Path, parts: Divided, without: Collection[str | None] = ()) -> Pairing:
    """Pair images and masks that have been told apart; `without` as in `find_pairs`."""
    images, masks, others, how = parts
    chosen, aside = _chosen(images, [mask for mask in masks if mask.place.word not in without])
    unused = [mask for mask in masks if mask.place.kind in aside]
    found = matched(images, chosen)
    pairs = tuple(
        sorted(
            Pair(image.path, first.path, image.place.split or first.place.split, tuple(mask.path for mask in more))
            for image, (first, *more) in found.pairs
        )
    )
    faults = (
        *pair_faults.of_matches(root, images, chosen, found),
        *pair_faults.merged_folders(root, found.pairs),
        *shifted_names(root, images, chosen, {file.path for image, own in found.pairs for file in (image, *own)}),
        *pair_faults.passed_over(root, unused),
        *pair_faults.unread(root, others),
    )
    first = min(found.pairs, key=lambda match: match.image.path, default=None)
    word = first.masks[0].place.word if first is not None else None
    return Pairing(pairs, len(images), len(chosen), word, describe(root, pairs, how, unused), faults)


def not_masks(root: Path, paths: list[Path]) -> list[Path]:
    """Return the image files below `root` that are not masks, whether or not the masks have an image."""
    masks = {file.path for file in divided(root, paths).masks}
    return [path for path in paths if path not in masks]


def divided(root: Path, paths: Iterable[Path]) -> Divided:
    """Tell images from masks by their folders, or by their names if they share a folder."""
    return _divided(root, tuple(paths))


@lru_cache(maxsize=1)
def _divided(root: Path, paths: tuple[Path, ...]) -> Divided:
    skip = len(root.parts)
    aside = set(_views(paths))
    files = [File(path, naming.place(path.parts[skip:])) for path in paths if path not in aside]
    masks = [_versioned(file) for file in files if file.place.role in {"mask", "instance"}]
    if not masks:
        return _side_by_side(files)
    named = any(file.place.role == "image" for file in files)
    images = [file for file in files if file.place.role == "image" or (file.place.role is None and not named)]
    others = [file for file in files if file.place.role is None] if named else []
    return Divided(images, masks, others)


def _views(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield what Cellpose and LabelMe write beside an image and its mask: all that they know of it, and views of it."""
    names = {str(path.with_suffix("")) for path in paths}
    for path in paths:
        if path.stem.endswith(naming.CELLPOSE_END):
            yield path.with_name(f"{path.stem.removesuffix(naming.CELLPOSE_END)}_seg.npy")
        name = str(path.with_suffix(""))
        if path.stem == naming.LABELME_VIEW and str(path.with_name(naming.LABELME_LABEL)) in names:
            yield path
        owners = {name.removesuffix(end) for end in naming.CELLPOSE_ASIDE if name.endswith(end)}
        if not names.isdisjoint(owners | {f"{owner}{naming.CELLPOSE_END}" for owner in owners}):
            yield path


def _side_by_side(files: list[File]) -> Divided:
    """Tell images from masks in one folder: by a word in the mask's name, or photo.jpg with photo.png."""
    masks = []
    for file in files:
        name = file.place.key[-1]
        owner = next(iter(naming.numbered_owners(name)[1:]), naming.mask_owner(name))
        if owner is not None:
            word = naming.instance_word(name) or file.place.word
            masks.append(_versioned(File(file.path, file.place._replace(key=(*file.place.key[:-1], owner), word=word))))
    if masks:
        taken = {file.path for file in masks}
        return Divided([file for file in files if file.path not in taken], masks, [], "masks in the same folder")
    twins: defaultdict[tuple[str, ...], list[File]] = defaultdict(list)
    for file in files:
        twins[file.place.key].append(file)
    couples = [group for group in twins.values() if len(group) == 2 and sum(map(_is_lossy, group)) == 1]
    lossless = [file for group in couples for file in group if not _is_lossy(file)]
    if len(lossless) >= 0.8 * len(twins):
        taken = {file.path for file in lossless}
        how = "masks in the same folder, with another suffix"
        return Divided([file for file in files if file.path not in taken], lossless, [], how)
    return Divided(files, [], [])


def _versioned(mask: File) -> File:
    """Take the word for the version of a mask, unless its folder has one: masks of one version are a kind."""
    version = naming.version(naming.stem(mask.path.name))
    if version is None or (mask.place.word or "").endswith("manual"):
        return mask
    return mask._replace(place=mask.place._replace(word=version))


def _is_lossy(file: File) -> bool:
    return file.path.suffix.lower() in _LOSSY


def _chosen(images: list[File], masks: list[File]) -> tuple[list[File], tuple[str, ...]]:
    """Keep the kind of mask folder that pairs the most images if there are several, and name the others."""
    by_kind: defaultdict[str, list[File]] = defaultdict(list)
    for mask in masks:
        by_kind[mask.place.kind].append(mask)
    if len(by_kind) < 2:
        return masks, ()
    keys = [{_subject(mask) for mask in by_kind[kind]} for kind in by_kind]
    shared = any(first & second for place, first in enumerate(keys) for second in keys[place + 1 :])
    if not shared:  # `trainannot/` and `val_labels/`: together they cover the images.
        return masks, ()
    best = min(by_kind, key=lambda kind: (-len(matched(images, by_kind[kind]).pairs), _rank(by_kind[kind][0].place)))
    unused = (kind for kind in by_kind if kind != best and not _tells_objects(images, by_kind[kind], by_kind[best]))
    return by_kind[best], tuple(sorted(unused))


def _tells_objects(images: list[File], masks: list[File], best: list[File]) -> bool:
    """Tell whether masks are maps of objects for images whose classes other masks tell."""
    instances = masks[0].place.word in naming.INSTANCE_WORDS and best[0].place.word not in naming.INSTANCE_WORDS
    return instances and bool(matched(images, masks).pairs)


def _rank(place: naming.Place) -> tuple[bool, bool, int, str]:
    """Order kinds of masks that pair as many images: plain ones first, coloured ones last, then by their word."""
    order = ("", *naming.MASK_WORDS, *naming.INSTANCE_WORDS)
    return bool(place.coding), "colo" in place.coding, order.index(place.word or ""), place.coding


def _subject(mask: File) -> tuple[str, ...]:
    """Return what masks of one image share: 1st_manual/21_manual1.gif, mask/21_training_mask.gif."""
    return (*mask.place.key[:-1], naming.bare_number(mask.place.key[-1]))


def describe(root: Path, pairs: Iterable[Pair], how: str | None = None, unused: Iterable[File] = ()) -> str:
    """Describe which folders pair with which, at most four of them."""
    pairs = tuple(pairs)
    folders = Counter((folder_name(root, pair.image.parent), folder_name(root, pair.mask.parent)) for pair in pairs)
    shown = sorted(name for name, _ in folders.most_common(4))
    texts = [image if how else f"{image} + {mask}" for image, mask in shown]
    if len(folders) > 4:
        texts.append(f"{len(folders) - 4} more folders")
    text = ", ".join(texts) + (f" ({how})" if how else "")
    used = {pair.mask.parent for pair in pairs}
    aside = sorted({folder_name(root, mask.path.parent) for mask in unused if mask.path.parent not in used})
    return text + (f" ({listing(aside)} not used)" if aside else "")
