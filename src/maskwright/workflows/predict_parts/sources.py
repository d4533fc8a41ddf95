"""Which images to predict and what to call the results: files, folders and globs. Opens nothing but file headers."""

from __future__ import annotations

import glob
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.records import ImageRef
from maskwright.core.text import plural
from maskwright.data.formats import images_of
from maskwright.data.readers import IMAGE_SUFFIXES, DecodeError, count_pages
from maskwright.tasks.files import written_by_us

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


@dataclass(frozen=True)
class Picture:
    """One image to predict.

    Attributes:
        image: the file, or one page of it.
        relative: its path below the source that it was found in, or its file name; `#3` for page 3 of a stack.
        name: what its results are called: a path below the output folder, without suffix, unique among all.
    """

    image: ImageRef
    relative: PurePosixPath
    name: PurePosixPath


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


def find_images(sources: Sequence[str | Path], channels: int | None = None) -> Found:
    """Collect the images of all sources, each once, in the order of the sources and sorted within.

    Folders are searched with all their subfolders. Hidden files, files without the suffix of an image, results of
    earlier predictions and the masks of a data set are skipped. A link counts as an image with its own name. A file
    given by name is always used. A text with `*`, `?` or `[` that names no file is a glob, which may contain `**`.

    A stack (a TIFF of many pages) is one image a page. Where its pages may be the channels of one image, and are as
    many as `channels`, those of the model, it is one image.
    """
    notes: list[str] = []
    found: dict[str, tuple[Path, PurePosixPath]] = {}
    failures: list[tuple[Path, str]] = []
    for source in sources:
        path = Path(source)
        if path.is_file():
            pairs: Iterable[tuple[Path, Path]] = [(path, path.parent)]
        elif path.is_dir():
            files = list(_images_below(path))
            images = images_of(path, files)
            pairs = [(file, path) for file in images]
            if len(images) < len(files):
                notes.append(_masks_left(path, len(images), len(files) - len(images)))
        else:
            pairs = [(file, root) for file, root in _matches(str(source))]
        before = len(found)
        for file, root in pairs:
            place = os.path.abspath(file)  # noqa: PTH100 (resolve() would follow links)
            found.setdefault(place, (file, PurePosixPath(file.relative_to(root).as_posix())))
        if not pairs and len(found) == before:
            failures.append((path, _reason(path)))
    pictures = [image for picture in _named(list(found.values())) for image in _pages(picture, channels)]
    return Found(pictures, failures, tuple(notes))


def _pages(picture: Picture, channels: int | None) -> list[Picture]:
    """Return one image a page where the file is a stack; the results of its pages go into a folder `stack.tif`."""
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
            picture.name.with_name(picture.image.path.name) / f"{page:0{digits}d}",
        )
        for page in range(pages.number)
    ]


def _images_below(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if file.suffix.lower() in IMAGE_SUFFIXES and not hidden and file.is_file() and not written_by_us(file):
            yield file


def _matches(pattern: str) -> Iterator[tuple[Path, Path]]:
    """Yield the images that a glob matches, with the folder before its first wildcard."""
    if not glob.has_magic(pattern):
        return
    parts = Path(pattern).parts
    fixed = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:fixed])
    for match in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207 (a pattern may be absolute)
        file = Path(match)
        if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file() and not written_by_us(file):
            yield file, root


def _masks_left(root: Path, images: int, others: int) -> str:
    return (
        f"{root} is laid out as a data set: its {plural(images, 'image')} {'is' if images == 1 else 'are'} predicted, "
        f"and {plural(others, 'other picture')}, its masks, left out (name their folder to have them predicted)"
    )


def _reason(path: Path) -> str:
    if path.is_dir():
        return (
            f"{path} holds no images (masks and overlays written by maskwright do not count): "
            f"the suffixes known are {', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    if glob.has_magic(str(path)):
        return f"{path} matches no image: put the pattern in quotes, and check the folder before the first wildcard"
    return f"{path} does not exist: give image files, folders or globs"


def _named(found: list[tuple[Path, PurePosixPath]]) -> list[Picture]:
    """Give every image a unique name: short if that is unambiguous, longer only for names that would collide.

    Names are compared without case, because some file systems ignore it.
    """
    if not found:
        return []
    paths = [Path(os.path.abspath(path)) for path, _ in found]  # noqa: PTH100 (resolve() would follow links)
    common = Path(os.path.commonpath([path.parent for path in paths]))
    whole = [PurePosixPath(path.relative_to(common).as_posix()) for path in paths]
    names = [relative.with_suffix("") for _, relative in found]
    for longer in ([path.with_suffix("") for path in whole], whole):
        count = Counter(str(name).casefold() for name in names)
        names = [name if count[str(name).casefold()] == 1 else longer[index] for index, name in enumerate(names)]
    if len({str(name).casefold() for name in names}) < len(names):
        names = whole
    return [Picture(ImageRef(path), relative, name) for (path, relative), name in zip(found, names, strict=True)]
