"""Images and their masks, paired by their paths; a file without a partner becomes a fault. Opens no file.

One rule covers the common layouts: the words for a role (`images`, `masks`, `annot`, ...) and for a split (`train`,
...) are removed from the path, and the rest must be the same for an image and its mask.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.records import Fault
from maskwright.data.formats import naming
from maskwright.data.formats.walk import record_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from maskwright.core.records import Severity, Split

_LOSSY = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".webp"})
_MANY = 5


class Pair(NamedTuple):
    """An image file, its mask file, and the split that the layout gives them."""

    image: Path
    mask: Path
    split: Split | None


class Pairing(NamedTuple):
    """The pairs found below a folder.

    Attributes:
        pairs: sorted by image.
        images, masks: how many of each there are, paired or not.
        instances: the name of the masks' folder tells that the masks hold one id per object.
        layout: the folders, in words.
        faults: files without a partner.
    """

    pairs: tuple[Pair, ...]
    images: int
    masks: int
    instances: bool
    layout: str
    faults: tuple[Fault, ...]


class _File(NamedTuple):
    path: Path
    place: naming.Place


def find_pairs(root: Path, paths: list[Path]) -> Pairing:
    """Pair images and masks among the files below `root`.

    Args:
        root: the folder that the user gave; its name and those above it are not read.
        paths: every image file below it.
    """
    images, masks, how = _divided(root, paths)
    chosen, aside = _chosen(images, masks)
    matched = _matched(images, chosen)
    pairs = tuple(sorted(Pair(image.path, mask.path, image.place.split or mask.place.split) for image, mask in matched))
    return Pairing(
        pairs,
        len(images),
        len(chosen),
        bool(chosen) and chosen[0].place.role == "instance",
        _layout(root, pairs, how, aside),
        _unpaired(root, images, chosen, pairs),
    )


def not_masks(root: Path, paths: list[Path]) -> list[Path]:
    """Return the image files below `root` that are not masks, whether or not the masks have an image."""
    masks = {file.path for file in _divided(root, paths)[1]}
    return [path for path in paths if path not in masks]


def _divided(root: Path, paths: list[Path]) -> tuple[list[_File], list[_File], str | None]:
    """Tell images from masks by their folders, or by their names if they share a folder."""
    skip = len(root.parts)
    files = [_File(path, naming.place(path.parts[skip:])) for path in paths]
    masks = [file for file in files if file.place.role in {"mask", "instance"}]
    if not masks:
        return _side_by_side(files)
    named = any(file.place.role == "image" for file in files)
    images = [file for file in files if file.place.role == "image" or (file.place.role is None and not named)]
    return images, masks, None


def _side_by_side(files: list[_File]) -> tuple[list[_File], list[_File], str | None]:
    """Tell images from masks in one folder: by a word in the mask's name, or photo.jpg with photo.png."""
    masks = []
    for file in files:
        owner = naming.mask_owner(file.place.key[-1])
        if owner is not None:
            masks.append(_File(file.path, file.place._replace(key=(*file.place.key[:-1], owner))))
    if masks:
        taken = {file.path for file in masks}
        return [file for file in files if file.path not in taken], masks, "masks in the same folder"
    twins: defaultdict[tuple[str, ...], list[_File]] = defaultdict(list)
    for file in files:
        twins[file.place.key].append(file)
    couples = [group for group in twins.values() if len(group) == 2 and sum(map(_is_lossy, group)) == 1]
    lossless = [file for group in couples for file in group if not _is_lossy(file)]
    if len(lossless) >= 0.8 * len(twins):
        taken = {file.path for file in lossless}
        how = "masks in the same folder, with another suffix"
        return [file for file in files if file.path not in taken], lossless, how
    return files, [], None


def _is_lossy(file: _File) -> bool:
    return file.path.suffix.lower() in _LOSSY


def _chosen(images: list[_File], masks: list[_File]) -> tuple[list[_File], tuple[str, ...]]:
    """Keep the kind of mask folder that pairs the most images if there are several, and name the others."""
    by_word: defaultdict[str, list[_File]] = defaultdict(list)
    for mask in masks:
        by_word[mask.place.word or ""].append(mask)
    if len(by_word) < 2:
        return masks, ()
    order = ("", *naming.MASK_WORDS, *naming.INSTANCE_WORDS)
    exact = [{mask.place.key for mask in by_word[word]} for word in by_word]
    shared = any(first & second for place, first in enumerate(exact) for second in exact[place + 1 :])
    if not shared:  # `trainannot/` and `val_labels/`: together they cover the images.
        return masks, ()
    best = min(by_word, key=lambda word: (-len(_matched(images, by_word[word])), order.index(word)))
    return by_word[best], tuple(sorted(word for word in by_word if word != best))


def _matched(images: list[_File], masks: list[_File]) -> list[tuple[_File, _File]]:
    """Pair by equal keys, from the strictest to the loosest; the looser ones only if nothing else pairs."""
    pairs, images, masks = _joined(images, masks, _exact)
    more, images, masks = _joined(images, masks, _bare, unique_masks=True)
    pairs += more
    for loose in (_without_split, _stem_alone, _folder_alone):
        if not pairs:
            pairs, images, masks = _joined(images, masks, loose, unique_masks=True, unique_images=True)
    return pairs


def _exact(file: _File) -> tuple[str, ...]:
    return file.place.key


def _bare(file: _File) -> tuple[str, ...]:
    """The words for a role dropped from the stem: images/img_07.jpg, masks/mask_07.png."""
    return (*file.place.key[:-1], naming.bare_stem(file.place.key[-1]))


def _without_split(file: _File) -> tuple[str, ...]:
    """The split dropped too: test/crack/000.png, ground_truth/crack/000_mask.png."""
    return _bare(file)[1:]


def _stem_alone(file: _File) -> tuple[str, ...]:
    """The folders dropped: images/cat_1.jpg, annotations/trimaps/cat_1.png."""
    return _bare(file)[-1:]


def _folder_alone(file: _File) -> tuple[str, ...]:
    """The stem dropped: case7/photo.jpg, case7/mask.png."""
    return file.place.key[:-1]


def _joined(
    images: list[_File],
    masks: list[_File],
    key: Callable[[_File], tuple[str, ...]],
    *,
    unique_masks: bool = False,
    unique_images: bool = False,
) -> tuple[list[tuple[_File, _File]], list[_File], list[_File]]:
    """Return the pairs of equal keys and the unpaired images and masks; of masks with one key the first counts."""
    by_key: dict[tuple[str, ...], _File] = {}
    for mask in masks:
        by_key.setdefault(key(mask), mask)
    mask_counts, image_counts = Counter(map(key, masks)), Counter(map(key, images))
    pairs, alone, used = [], [], set()
    for image in images:
        own = key(image)
        partner = by_key.get(own)
        clear = not (unique_masks and mask_counts[own] > 1) and not (unique_images and image_counts[own] > 1)
        if partner is not None and clear and _same_split(image, partner):
            pairs.append((image, partner))
            used.add(partner.path)
        else:
            alone.append(image)
    return pairs, alone, [mask for mask in masks if mask.path not in used]


def _same_split(image: _File, mask: _File) -> bool:
    return image.place.split is None or mask.place.split is None or image.place.split == mask.place.split


def _layout(root: Path, pairs: tuple[Pair, ...], how: str | None, aside: tuple[str, ...]) -> str:
    """Describe which folders pair with which, at most four of them."""
    folders = Counter((_folder(root, pair.image), _folder(root, pair.mask)) for pair in pairs)
    shown = sorted(name for name, _ in folders.most_common(4))
    texts = [image if how else f"{image} + {mask}" for image, mask in shown]
    if len(folders) > 4:
        texts.append(f"{len(folders) - 4} more folders")
    text = ", ".join(texts) + (f" ({how})" if how else "")
    return text + (f" ({', '.join(aside)} not used)" if aside else "")


def _folder(root: Path, path: Path) -> str:
    return f"{record_id(root, path.parent)}/"


def _unpaired(root: Path, images: list[_File], masks: list[_File], pairs: tuple[Pair, ...]) -> tuple[Fault, ...]:
    """Report the files without a partner one by one, or by folder if no file of a folder has one."""
    paired = {pair.image for pair in pairs} | {pair.mask for pair in pairs}
    faults: list[Fault] = []
    for what, other, files in (("image", "mask", images), ("mask", "image", masks)):
        by_folder: defaultdict[Path, list[Path]] = defaultdict(list)
        for file in files:
            by_folder[file.path.parent].append(file.path)
        for folder, members in sorted(by_folder.items()):
            alone = [path for path in members if path not in paired]
            faults += _lonely(root, folder, alone, what=what, other=other, whole=len(alone) == len(members))
    return tuple(faults)


def _lonely(root: Path, folder: Path, alone: list[Path], *, what: str, other: str, whole: bool) -> list[Fault]:
    cure = f"add the {other}, or remove the {what}; an image and its mask have the same name, apart from the suffix"
    severity: Severity = "error" if what == "image" else "warning"
    if whole and len(alone) > _MANY:
        message = f"none of the {len(alone)} {what}s in {_folder(root, folder / 'x')} has a {other}"
        return [Fault("unpaired", severity, folder, message, cure)]
    return [Fault("unpaired", severity, path, f"{record_id(root, path)} has no {other}", cure) for path in alone]
