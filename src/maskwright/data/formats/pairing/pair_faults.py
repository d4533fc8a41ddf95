"""What is said of files that were not paired: without a partner, in doubt, or passed over. Opens no file."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from maskwright.core.records import Fault
from maskwright.core.text import agree, listing, plural, such_as
from maskwright.data.formats.pairing import naming
from maskwright.data.formats.walk import folder_name, record_id

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from maskwright.core.records import Severity
    from maskwright.data.formats.pairing.matching import File, Match, Matches

_MANY = 5


def of_matches(root: Path, images: list[File], masks: list[File], found: Matches) -> list[Fault]:
    """Report what was not paired among images and masks, and pairs whose names only look alike."""
    used = {file.path for image, own in found.pairs for file in (image, *own)}
    used |= {file.path for group in found.doubts for side in group for file in side}
    doubts = [doubt(root, *group) for group in found.doubts]
    return [*doubts, *unpaired(root, images, masks, used), *alike(root, found.alike)]


def unpaired(root: Path, images: list[File], masks: list[File], used: Collection[Path]) -> list[Fault]:
    """Report the files without a partner one by one, or by folder if no file of a folder has one.

    A test set without any mask is as it was published: its images can only be predicted.
    """
    tests = {file.path for file in images if file.place.split == "test"}
    has_masks = not tests.isdisjoint(used) or any(mask.place.split == "test" for mask in masks)
    kept_back = set() if has_masks or not used else tests
    faults = _unlabelled(root, kept_back)
    images = [file for file in images if file.path not in kept_back]
    for what, other, files in (("image", "mask", images), ("mask", "image", masks)):
        by_folder: defaultdict[Path, list[Path]] = defaultdict(list)
        for file in files:
            by_folder[file.path.parent].append(file.path)
        for folder, members in sorted(by_folder.items()):
            alone = [path for path in members if path not in used]
            faults += _lonely(root, folder, alone, what=what, other=other, whole=len(alone) == len(members))
    return faults


def _lonely(root: Path, folder: Path, alone: list[Path], *, what: str, other: str, whole: bool) -> list[Fault]:
    cure = f"add the {other}, or remove the {what}; an image and its mask have the same name, apart from the suffix"
    if what == "image":
        cure = f"{cure}; a black mask says that an image shows nothing"
    severity: Severity = "error" if what == "image" else "warning"
    if whole and len(alone) > _MANY:
        message = f"none of the {len(alone)} {what}s in {folder_name(root, folder)} has {_a(other)}"
        return [Fault("unpaired", severity, folder, message, cure)]
    return [Fault("unpaired", severity, path, f"{record_id(root, path)} has no {other}", cure) for path in alone]


def _unlabelled(root: Path, tests: Collection[Path]) -> list[Fault]:
    folders = Counter(path.parent for path in tests)
    cure = "nothing needs to be done; if there are masks, add them with the names of their images"
    return [
        Fault(
            "unlabelled",
            "note",
            folder,
            f"{plural(count, 'image')} in {folder_name(root, folder)} {agree(count, 'has no mask', 'have no masks')}, "
            "and can only be predicted",
            cure,
        )
        for folder, count in sorted(folders.items())
    ]


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def doubt(root: Path, images: Sequence[File], masks: Sequence[File]) -> Fault:
    """Report images and masks that fit each other in more than one way; none of them is used."""
    first, second = (" and ".join(record_id(root, file.path) for file in files) for files in (images, masks))
    if len(images) == 1:
        message = f"{first} has {len(masks)} masks: {second}; it is unclear which one is right, so none is used"
        stem = naming.stem(images[0].path.name)
        cure = f"keep one mask, or name masks that show parts of one image {stem}_mask_1 and {stem}_mask_2"
        return Fault("ambiguous", "error", images[0].path, message, cure)
    fits = agree(len(masks), "fits", "fit")
    message = f"{second} {fits} {first} by name; it is unclear which belong together, so none is used"
    suffix = masks[0].path.suffix
    cure = f"name each mask after its whole image, such as {images[0].path.name}{suffix}, or remove the other images"
    return Fault("ambiguous", "error", images[0].path, message, cure)


def crowded(
    root: Path, images: Sequence[File], masks: Sequence[File], used: AbstractSet[Path]
) -> tuple[list[Fault], set[Path]]:
    """Report several images in the folder of one, whose masks could belong to any of them; returns these files too.

    Args:
        root: the folder that the user gave.
        images: all images; those of ID/images/ belong to the masks of ID/masks/.
        masks: all masks.
        used: the files that need no report.
    """
    faults: list[Fault] = []
    files: set[Path] = set()
    folders: defaultdict[tuple[str, ...], tuple[list[Path], list[Path]]] = defaultdict(lambda: ([], []))
    for side, members in enumerate((images, masks)):
        for file in members:
            if len(file.place.key) > 2:
                folders[file.place.key[:-1]][side].append(file.path)
    for pictures, shown in folders.values():
        if len(pictures) > 1 and shown and used.isdisjoint([*pictures, *shown]):
            names = listing([record_id(root, path) for path in sorted(pictures)])
            fit, where = agree(len(shown), "fits", "fit"), folder_name(root, shown[0].parent)
            those = f"{plural(len(shown), 'mask')} in {where}"
            message = f"{those} {fit} {names} by the folder; it is unclear which is shown, so none is used"
            cure = "keep one image in the folder, or name the masks after their images"
            faults.append(Fault("ambiguous", "error", min(pictures), message, cure))
            files |= {*pictures, *shown}
    return faults, files


def doubt_of_parts(root: Path, image: File, masks: Sequence[File]) -> Fault:
    """Report masks of one class that may be parts of it in their image, or not; the image is left out."""
    first, second = record_id(root, image.path), " and ".join(record_id(root, file.path) for file in masks)
    stem = naming.stem(masks[0].path.name)
    message = f"{first} has the masks {second}; it is unclear whether they belong together, so the image is not used"
    cure = f"keep one of them, or name masks that show parts of one class {stem}_mask_1 and {stem}_mask_2"
    return Fault("ambiguous", "error", image.path, message, cure)


def merged_folders(root: Path, pairs: Sequence[Match]) -> list[Fault]:
    """Warn of folders of masks for images of one folder, each with one mask: the folders may be classes."""
    folders = Counter(match.masks[0].path.parent for match in pairs if len(match.masks[0].place.key) > 2)
    own = {match.image.place.key[1:-1] for match in pairs}
    named = {match.masks[0].place.key[1:-1] for match in pairs}
    if len(own) != 1 or len(named) < 2 or own & named or 2 * len(named) > len(pairs):
        return []
    names = listing([folder_name(root, folder) for folder in sorted(folders)])
    message = f"images of one folder have one mask each, in {names}; all these masks are read as showing the same"
    cure = "if the folders are classes, use `read.format` layers; if not, nothing needs to be done"
    return [Fault("merged-folders", "warning", min(folders), message, cure)]


def passed_over(root: Path, masks: Sequence[File]) -> list[Fault]:
    """Tell which folders of masks are not used because another folder has masks of the same images."""
    cure = "if these are the masks that you mean, move the other folder away"
    seconds = [mask.path for mask in masks if mask.place.word in naming.VERSIONS]
    faults = [
        Fault("unused", "note", folder, f"{folder_name(root, folder)} is not used: another folder has masks too", cure)
        for folder in sorted({mask.path.parent for mask in masks} - {path.parent for path in seconds})
    ]
    if seconds:
        held = f"{plural(len(seconds), 'mask')} of another version, {such_as(len(seconds), min(seconds).name)}"
        message = f"{held}, {agree(len(seconds), 'is', 'are')} not used"
        cure = "if these are the masks that you mean, move those of the first version away"
        faults.append(Fault("unused", "note", min(seconds), message, cure))
    return faults


def unread(root: Path, others: Sequence[File]) -> list[Fault]:
    """Report the folders whose names indicate neither images nor masks, if others indicate one."""
    folders = Counter(file.path.parent for file in others)
    cure = "put them into folders named images/ and masks/, or move them away"
    return [
        Fault(
            "unused",
            "warning",
            folder,
            f"{plural(count, 'picture')} in {folder_name(root, folder)} {agree(count, 'is', 'are')} not used: the "
            "name of the folder indicates neither images nor masks",
            cure,
        )
        for folder, count in sorted(folders.items())
    ]


def alike(root: Path, pairs: Sequence[Match]) -> list[Fault]:
    """Tell of pairs whose names look alike, but are not the same."""
    if not pairs:
        return []
    image, masks = pairs[0]
    what = agree(len(pairs), "pair has names", "pairs have names")
    message = (
        f"{len(pairs)} {what} that differ in case or in the form of their letters (composed or decomposed "
        f"Unicode), {such_as(len(pairs), f'{record_id(root, image.path)} and {record_id(root, masks[0].path)}')}"
    )
    return [Fault("alike", "note", root, message, "nothing needs to be done")]
