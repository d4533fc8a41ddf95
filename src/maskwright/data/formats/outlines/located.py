"""Images found by the names that annotation files give them. Opens an image only where two have the same name."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import unquote

from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Fault
from maskwright.core.text import agree, listing, plural, such_as
from maskwright.data.formats.pairing.naming import alike, folder_meaning, split_word, stem
from maskwright.data.formats.walk import images_below, parts_below, record_id
from maskwright.data.readers import DecodeError, image_size

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence
    from pathlib import Path

    from maskwright.core.records import Split

AMBIGUOUS = "ambiguous-name"
_CURE = "annotate them, or move them away"


class Images:
    """The images below a folder, without the pictures that are known to be none.

    Names are compared in one Unicode form and without regard to case; where several differ in case only, the exact one
    is taken. A name that no image has may be written as in an address: `my%20photo.jpg`.
    """

    def __init__(self, base: Path, without: Container[Path] = ()) -> None:
        self.base = base
        self.paths = [path for path in images_below(base) if path not in without]
        self._by_name: defaultdict[str, list[Path]] = defaultdict(list)
        self._by_stem: defaultdict[str, list[Path]] = defaultdict(list)
        for path in self.paths:
            self._by_name[alike(path.name)].append(path)
            self._by_stem[alike(stem(path.name))].append(path)

    def named(
        self, name: str, source: Path, split: Split | None = None, size: tuple[int, int] | None = None
    ) -> list[Path]:
        """Return the images that a name may mean: none, the one that fits best, or several that fit equally.

        Args:
            name: a file name or a path, also of another machine; its folders tell images of one name apart.
            source: the annotation file.
            split: of the annotation file, if its name tells one.
            size: (height, width) of the image, if the annotation file tells it.
        """
        wanted = plain(name).split("/")
        if alike(wanted[-1]) not in self._by_name:
            wanted = plain(unquote(name)).split("/")
        found = self._by_name.get(alike(wanted[-1]), [])
        exact = [path for path in found if path.name == wanted[-1]] or found
        best = self._best(exact, wanted[:-1], source, split)
        fitting = [path for path in best if _has_size(path, size)] if len(best) > 1 and size is not None else best
        return fitting or best

    def as_uploaded(self, name: str) -> list[Path]:
        """Return the images that have a name after a server replaced blanks by `_` and dropped other characters."""
        return self._by_upload.get(_uploaded(name), [])

    @cached_property
    def _by_upload(self) -> dict[str, list[Path]]:
        found: defaultdict[str, list[Path]] = defaultdict(list)
        for path in self.paths:
            found[_uploaded(path.name)].append(path)
        return found

    def like(self, source: Path, split: Split | None = None) -> list[Path]:
        """Return the images that have the name of an annotation file, but for the suffixes; as `named`."""
        below = parts_below(self.base, source) or source.parts
        names = dict.fromkeys((source.stem, stem(source.name), stem(source.stem)))
        found = next((paths for name in names if (paths := self._by_stem.get(alike(name)))), [])
        return self._best(found, list(below[:-1]), source, split)

    def _best(self, paths: list[Path], folders: list[str], source: Path, split: Split | None) -> list[Path]:
        if len(paths) < 2:
            return paths
        wanted = [alike(name) for name in folders]

        def rank(path: Path) -> tuple[int, bool, bool, bool]:
            own = [alike(name) for name in (parts_below(self.base, path) or path.parts)[:-1]]
            return (
                _common_end(own, wanted),
                split is not None and split in {split_word(name) for name in own},
                not any(folder_meaning(name).role in {"mask", "instance"} for name in own),
                path.is_relative_to(source.parent),
            )

        ranks = [rank(path) for path in paths]
        return [path for path, own in zip(paths, ranks, strict=True) if own == max(ranks)]

    def unlisted(self, used: Iterable[Path], mentioned: Iterable[Path], what: str, cure: str = _CURE) -> list[Fault]:
        """Report the images that no annotation file mentions; those beside used ones deserve a warning.

        Args:
            used: images with an annotation.
            mentioned: images that an annotation file names, used or not.
            what: what should have named them, as in "no JSON file lists".
            cure: what to do about them.
        """
        folders = {path.parent for path in used}
        known = set(mentioned)
        extra: defaultdict[Path, list[str]] = defaultdict(list)
        for path in self.paths:
            if path not in known:
                extra[path.parent].append(path.name)
        return [
            Fault(
                "unpaired",
                "warning" if folder in folders else "note",
                folder,
                f"{what} {plural(len(names), 'image')} in {folder.name}/, {such_as(len(names), min(names))}",
                cure,
            )
            for folder, names in sorted(extra.items())
        ]


class Search:
    """Takes the image of one annotation after another, and counts those that have none or several.

    `cure` tells what to do about images that are missing.
    """

    def __init__(self, images: Images, cure: str = "add them beside their annotations, or remove these") -> None:
        self.images = images
        self._cure = cure
        self._used: set[Path] = set()
        self._mentioned: set[Path] = set()
        self._missing: list[tuple[Path, str]] = []
        self._doubtful: dict[tuple[Path, str], list[Path]] = {}

    def skip(self, found: Iterable[Path]) -> None:
        """Count images as mentioned by an annotation file that cannot be read, which is a fault of its own."""
        self._mentioned.update(found)

    def one(self, found: list[Path], source: Path, name: str) -> Path | None:
        """Return the only image found for a name in an annotation file; otherwise remember the fault."""
        self._mentioned.update(found)
        if len(found) == 1:
            self._used.add(found[0])
            return found[0]
        if found:
            self._doubtful[source, name] = found
        else:
            self._missing.append((source, name))
        return None

    def faults(self, what: str, cure: str = _CURE) -> list[Fault]:
        """Return the faults: images missing, names that fit several, and images that `what` does not mention."""
        return [*self.images.unlisted(self._used, self._mentioned, what, cure), *self._unfound()]

    def _unfound(self) -> list[Fault]:
        faults = []
        if self._missing:
            source, name = self._missing[0]
            do = agree(len(self._missing), "does", "do")
            message = (
                f"{plural(len(self._missing), 'annotated image')}, "
                f"{such_as(len(self._missing), f'{name} of {source.name}')}, {do} not exist"
            )
            faults.append(Fault("unpaired", "warning", source, message, self._cure))
        if self._doubtful:
            (source, name), found = next(iter(self._doubtful.items()))
            faults.append(ambiguous(name, found, source, self.images.base, len(self._doubtful) - 1))
        return faults

    def nothing_found(self, root: Path, faults: Sequence[Fault] = ()) -> MaskwrightError:
        """Build the error for a data set of which no image can be used, because of the first of the faults."""
        first = next(iter((*faults, *self._unfound())), None)
        if first is None:
            return MaskwrightError(f"{root} holds no annotated image: annotate some, and export them again")
        return MaskwrightError(f"{root} holds no usable image: {first.message}: {first.cure}")


def ambiguous(name: str, found: list[Path], source: Path, base: Path, more: int = 0) -> Fault:
    """Report a name that fits several images, and that `more` other names do so too."""
    others = f" ({plural(more, 'other name')} {agree(more, 'does', 'do')} so too)" if more else ""
    paths = [record_id(base, path) for path in found]
    message = f"{source.name} annotates {name}, which fits {listing(paths)} equally{others}; none of them is used"
    return Fault(AMBIGUOUS, "error", source, message, f"write the folder into the name, such as {paths[0]}")


def split_of(base: Path, path: Path) -> Split | None:
    """Return the split that the nearest of the folders above a file names."""
    folders = (parts_below(base, path) or path.parts)[:-1]
    return next((found for name in reversed(folders) if (found := split_word(name))), None)


def plain(name: str) -> str:
    """Return a path with slashes, also one of Windows, without a leading `./`."""
    return name.replace("\\", "/").removeprefix("./")


def _uploaded(name: str) -> str:
    return re.sub(r"[^-\w.]", "", alike(name).strip().replace(" ", "_"))


def _common_end(one: list[str], other: list[str]) -> int:
    """Count the names in which two paths agree, from their ends."""
    count = 0
    for mine, theirs in zip(reversed(one), reversed(other), strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def _has_size(path: Path, size: tuple[int, int] | None) -> bool:
    try:
        return image_size(path) == size
    except DecodeError:  # reported when the pixels are asked for
        return False
