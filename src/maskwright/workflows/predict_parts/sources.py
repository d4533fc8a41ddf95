"""Which images to predict and what to call the results: files, folders, globs and lists. Opens only file headers."""

from __future__ import annotations

import glob
import os
from collections import defaultdict
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.errors import MaskwrightError
from maskwright.core.paths import address
from maskwright.core.records import ImageRef
from maskwright.core.text import plural
from maskwright.data.formats import images_of
from maskwright.data.formats.walk import is_junk, walk
from maskwright.data.readers import IMAGE_SUFFIXES, DecodeError, count_pages
from maskwright.data.readers.video import VIDEO_SUFFIXES, camera_number
from maskwright.data.readers.zarr_store import SUFFIX, images_in, is_store
from maskwright.data.results import written_by_us
from maskwright.workflows.predict_parts.lists import named
from maskwright.workflows.predict_parts.pictures import Picture, with_channel_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Found(NamedTuple):
    """What the sources hold.

    Attributes:
        pictures: the images.
        failures: each source without any, and the reason.
        notes: remarks on files that were skipped, though a user might expect them.
    """

    pictures: list[Picture]
    failures: list[tuple[Path, str]]
    notes: tuple[str, ...]


def find_images(sources: Sequence[str | Path | Picture], channels: int | None = None) -> Found:
    """Collect the images of all sources, each once, in the order of the sources and sorted within; pictures come last.

    Folders are searched with all their subfolders. Hidden files, files that a system left, files without the suffix of
    an image, results of earlier predictions and the masks of a data set are skipped. A link counts as an image with its
    own name; a broken one is a failure. A file given by name is always used. A text with `*`, `?` or `[` that names no
    file is a glob, which may contain `**`. A file that ends in .txt or .lst is a list of such sources (`lists.named`).

    A Zarr store is an image, or the images of the collection (a plate) that it is; it is not searched for others. A
    stack (a TIFF of many pages, or a store of many slices or times) is one image a page. Where the pages of a TIFF may
    be the channels of one image, and are as many as `channels`, those of the model, it is one image. A video, which is
    not searched for in folders, and `camera:0` are pictures here.
    """
    notes: list[str] = []
    found: dict[str, tuple[Path, PurePosixPath]] = {}
    failures: list[tuple[Path, str]] = []
    for source in named([source for source in sources if not isinstance(source, Picture)], failures):
        path = Path(source.text)
        if path.is_file() or camera_number(path) is not None or is_store(path):
            pairs: Iterable[tuple[Path, Path]] = [(path, source.root(path))]
        elif path.is_dir():
            pairs = [(file, path) for file in _images_of(path, notes, failures)]
        else:
            pairs = [(file, root) for file, root in _matches(source.text, failures)]
        before = len(found)
        for file, root in pairs:
            place = os.path.abspath(file)  # noqa: PTH100 (resolve() would follow links)
            found.setdefault(place, (file, PurePosixPath(file.relative_to(root).as_posix())))
        if not pairs and len(found) == before and not any(failed.is_relative_to(path) for failed, _ in failures):
            failures.append((path, f"{source.place}{_reason(path)}"))
    named_pictures = _named(list(found.values()))
    pictures = _distinct(image for picture in named_pictures for image in _images(picture, channels, failures))
    pictures = with_channel_files(pictures, channels)
    for picture in sources:
        if isinstance(picture, Picture):
            pictures.append(replace(picture, name=_free(picture.name, pictures)))
    return Found(pictures, failures, tuple(notes))


def _free(name: PurePosixPath, pictures: Sequence[Picture]) -> PurePosixPath:
    """Return a name, with a number if it is that of a picture already."""
    taken = {str(picture.name).casefold() for picture in pictures}
    names = (name, *(name.with_name(f"{name.name}.{number}") for number in range(2, len(pictures) + 2)))
    return next(each for each in names if str(each).casefold() not in taken)


def _distinct(pictures: Iterable[Picture]) -> list[Picture]:
    """Number the names that one image in a store, or page of one, shares with another image."""
    found: dict[str, Picture] = {}
    for picture in pictures:
        name, number = picture.name, 1
        while str(name).casefold() in found:
            number += 1
            name = picture.name.with_name(f"{picture.name.name}.{number}")
        found[str(name).casefold()] = replace(picture, name=name)
    return list(found.values())


def _images(picture: Picture, channels: int | None, failures: list[tuple[Path, str]]) -> list[Picture]:
    """Return the images of a file: the pages of a stack, and those of each image in a store."""
    if not is_store(picture.image.path):
        return _pages(picture, channels, picture.name.with_name(picture.image.path.name))
    broken: list[DecodeError] = []
    inside = images_in(picture.image.path, broken)
    failures += [(picture.image.path, str(error)) for error in broken]
    images = [
        Picture(ImageRef(picture.image.path / place), picture.relative / place, picture.name / place)
        for place in inside
    ]
    return [page for image in images for page in _pages(image, channels, image.name)]


def _pages(picture: Picture, channels: int | None, folder: PurePosixPath) -> list[Picture]:
    """Return one image a page where the file is a stack; the results of its pages go into a folder."""
    try:
        pages = count_pages(picture.image.path)
    except DecodeError:  # reported when the pixels are read
        return [picture]
    if pages.number == 1 or (pages.may_be_channels and pages.number == channels):
        return [picture]
    digits = len(str(pages.number - 1))
    return [
        Picture(
            ImageRef(picture.image.path, page),
            PurePosixPath(f"{picture.relative}#{page}"),
            folder / f"{page:0{digits}d}",
        )
        for page in range(pages.number)
    ]


def _images_of(folder: Path, notes: list[str], failures: list[tuple[Path, str]]) -> list[Path]:
    """Return the images below a folder; of a data set, without its masks."""
    try:
        listed = sorted(walk(folder))
    except MaskwrightError as error:  # a folder below it cannot be listed
        failures.append((folder, str(error)))
        return []
    files = _pictures(listed, failures)
    videos = [file for file in listed if file.suffix.lower() in VIDEO_SUFFIXES and not written_by_us(file)]
    if videos:
        notes.append(
            f"{plural(len(videos), 'video')} in {folder} left out, such as {videos[0].name}: name them, or give a glob "
            f"such as {folder / f'*{videos[0].suffix}'}"
        )
    stores = [file for file in files if is_store(file)]
    files = [file for file in files if not is_store(file)]
    images = images_of(folder, files)
    if len(images) < len(files):
        notes.append(_masks_left(folder, len(images), len(files) - len(images)))
    return sorted([*images, *stores]) if stores else images


def _pictures(
    files: Iterable[Path], failures: list[tuple[Path, str]], suffixes: frozenset[str] = IMAGE_SUFFIXES
) -> list[Path]:
    """Return the files with such suffixes, without results of earlier predictions and broken links."""
    found = []
    for file in files:
        if file.suffix.lower() not in suffixes and not is_store(file):
            continue
        if file.is_symlink() and not file.exists():
            failures.append(
                (file, f"{file} is a link to a file that does not exist: restore that file, or remove the link")
            )
        elif (file.is_file() or is_store(file)) and not written_by_us(file):
            found.append(file)
    return found


def _matches(pattern: str, failures: list[tuple[Path, str]]) -> list[tuple[Path, Path]]:
    """Return the images that a glob matches, with the folder before its first wildcard."""
    if not glob.has_magic(pattern):
        return []
    parts = Path(pattern).parts
    fixed = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:fixed])
    matches = (Path(match) for match in sorted(glob.glob(pattern, recursive=True)))  # noqa: PTH207 (may be absolute)
    wanted = (file for file in matches if not any(map(is_junk, file.parts[fixed:])) and not _in_store(file, root))
    suffixes = IMAGE_SUFFIXES | (VIDEO_SUFFIXES & {Path(pattern).suffix.lower()})
    return [(file, root) for file in _pictures(wanted, failures, suffixes)]


def _in_store(file: Path, root: Path) -> bool:
    """Tell whether a file below a folder is part of a store there."""
    between = list(file.parents)[: len(file.parts) - len(root.parts) - 1]
    return any(map(is_store, between))


def _masks_left(root: Path, images: int, others: int) -> str:
    return (
        f"{root} is laid out as a data set: its {plural(images, 'image')} {'is' if images == 1 else 'are'} predicted, "
        f"and {plural(others, 'other picture')}, its masks, left out (name their folder to predict them)"
    )


def _reason(path: Path) -> str:
    if path.is_dir():
        return (
            f"{path} holds no images (masks and overlays written by maskwright do not count): "
            f"the suffixes known are {', '.join(sorted({*IMAGE_SUFFIXES, SUFFIX}))}"
        )
    url = address(path)
    if url is not None:
        rule = "predict reads those of S3, s3://BUCKET/PREFIX, and nothing reads any other"
        return f"{url} is an address: {rule}. Give the path of a file or folder of this machine"
    if glob.has_magic(str(path)):
        return f"{path} matches no image: put the pattern in quotes, and check the folder before the first wildcard"
    if str(path).startswith("camera:"):
        return f"{path} is no camera: cameras have numbers, such as camera:0"
    return f"{path} does not exist: give files of images or videos, folders, globs or lists"


def _named(found: list[tuple[Path, PurePosixPath]]) -> list[Picture]:
    """Give every image a unique name: short if that is unambiguous, longer only for names that would collide.

    Names are compared without case, because some file systems ignore it.
    """
    if not found:
        return []
    paths = [Path(os.path.abspath(path)) for path, _ in found]  # noqa: PTH100 (resolve() would follow links)
    common = Path(os.path.commonpath([path.parent for path in paths]))
    whole = [PurePosixPath(path.relative_to(common).as_posix()) for path in paths]
    choices = [
        (relative.with_suffix(""), path.with_suffix(""), path) for (_, relative), path in zip(found, whole, strict=True)
    ]
    levels = [0] * len(found)
    while clashes := [
        place for group in _clashing(choices, levels) for place in group if levels[place] < len(choices[place]) - 1
    ]:
        for place in clashes:
            levels[place] += 1
    names = [choice[level] for choice, level in zip(choices, levels, strict=True)]
    for group in _clashing(choices, levels):  # whole paths that differ in case
        for number, place in enumerate(group[1:], start=2):
            names[place] = names[place].with_name(f"{names[place].name}.{number}")
    return [Picture(ImageRef(path), relative, name) for (path, relative), name in zip(found, names, strict=True)]


def _clashing(choices: Sequence[Sequence[PurePosixPath]], levels: Sequence[int]) -> list[list[int]]:
    """Return the places of the images that would share a name, in groups."""
    by_name: defaultdict[str, list[int]] = defaultdict(list)
    for place, level in enumerate(levels):
        by_name[str(choices[place][level]).casefold()].append(place)
    return [group for group in by_name.values() if len(group) > 1]
