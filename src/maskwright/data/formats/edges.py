"""Edges that people drew: the Berkeley data set's .mat files, or pictures in a folder of edges, one or more an image.

An image and its truth share the name of the file, and the split that their folders tell. Several people's pictures of
an image lie in a folder for each person (edges/anna/NAME.png), or are numbered (edges/NAME_1.png).
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Dataset, EdgeFiles, Fault, ImageRef, Record
from maskwright.core.text import listing, plural
from maskwright.data.edges import EDGE_CLASSES
from maskwright.data.formats.folder import meaningful_splits
from maskwright.data.formats.pairing import naming
from maskwright.data.formats.pairing.pairs import find_pairs
from maskwright.data.formats.walk import folder_name, images_below, is_image, parts_below, record_id, walk
from maskwright.data.readers.matlab import SUFFIX, may_hold_drawings

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from maskwright.core.read_options import ReadOptions

EDGE_WORDS = frozenset(
    {"edges", "edge", "edgemaps", "edgemap", "boundaries", "boundary", "contours", "contour", "outlines", "outline"}
)
_LOOKED_AT = 10
"""Files of MATLAB whose variables are listed, until one may hold drawings: others among them are faults of the data."""
_NUMBER = re.compile(r"[\s_\-.]+\d+$")


class _File(NamedTuple):
    """A file, the stem that its image has, and the folders above it without those that tell a role or a split."""

    path: Path
    stem: str
    place: naming.Place


def detect(root: Path) -> str | None:
    """Describe the drawings where no masks pair with the images; of a few .mat files the variables are listed."""
    if not root.is_dir():
        return None
    images, truths = _files(root)
    if not images or not truths or find_pairs(root, images_below(root)).pairs:
        return None
    found, _ = _paired(images, truths)
    some = [_read(files)[0] for files in itertools.islice(found.values(), _LOOKED_AT)]
    if not any(path.suffix.lower() != SUFFIX or may_hold_drawings(path) for path in some):
        return None
    return _words(root, found)


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read the drawings; without a folder of edges, masks that pair with the images are drawings.

    Raises:
        MaskwrightError: no image has one, or an option is of no use.
    """
    if options.classes is not None or options.map or options.ignore is not None:
        raise MaskwrightError(
            f"{root} holds drawn edges, which have no classes: leave out `read.classes`, `read.map` and `read.ignore`"
        )
    images, truths = _files(root) if root.is_dir() else ([], [])
    found, alone = _paired(images, truths) if truths else (_masks(root), [])
    drawings = {path for files in found.values() for path in files}
    images = [file for file in images if file.path not in drawings]
    if not found:
        raise MaskwrightError(
            f"{root} holds no drawn edges: put images into images/, and for each a .mat file of the Berkeley data set "
            "or a picture of its edges with the same name into edges/"
        )
    places = {image: naming.place(parts_below(root, image) or (image.name,)) for image in found}
    divided = meaningful_splits(place.split for place in places.values())
    records = (
        Record(
            record_id(root, image),
            ImageRef(image),
            EdgeFiles(tuple(map(ImageRef, _read(files)))),
            places[image].split if divided else None,
        )
        for image, files in found.items()
    )
    return Dataset(
        root,
        "edges",
        _words(root, found),
        EDGE_CLASSES,
        tuple(sorted(records, key=lambda record: record.id)),
        faults=tuple(_faults(root, images, found, alone)),
    )


def _files(root: Path) -> tuple[list[_File], list[_File]]:
    """Divide the files below a folder into images and drawings."""
    images: list[_File] = []
    truths: list[_File] = []
    for path in walk(root):
        parts = parts_below(root, path) or (path.name,)
        drawing = path.suffix.lower() == SUFFIX or any(_is_edge_folder(part) for part in parts[:-1])
        if path.suffix.lower() == SUFFIX or is_image(path):
            (truths if drawing else images).append(_File(path, naming.stem(path.name), naming.place(parts)))
    # A picture in the folder of MATLAB files is no image if another file is the image of this name.
    beside = {(file.path.parent, file.stem) for file in truths if file.path.suffix.lower() == SUFFIX}
    elsewhere = {file.stem for file in images if (file.path.parent, file.stem) not in beside}
    drawn = [file for file in images if (file.path.parent, file.stem) in beside and file.stem in elsewhere]
    return [file for file in images if file not in drawn], truths + drawn


def _is_edge_folder(name: str) -> bool:
    return re.sub(r"[^a-z]+", "", name.lower()) in EDGE_WORDS


def _paired(images: Iterable[_File], truths: Iterable[_File]) -> tuple[dict[Path, list[Path]], list[Path]]:
    """Return the drawings of each image, and those without an image."""
    owners: defaultdict[str, list[_File]] = defaultdict(list)
    for image in images:
        owners[image.stem].append(image)
    found: defaultdict[Path, list[Path]] = defaultdict(list)
    alone = []
    for truth in truths:
        bare = _NUMBER.sub("", truth.stem)
        near = owners.get(truth.stem) or owners.get(bare) or []
        exact = [image for image in near if image.place.key[:-1] == truth.place.key[:-1]]
        same = exact or [image for image in near if image.place.split == truth.place.split]
        if len(same) == 1:
            found[same[0].path].append(truth.path)
        else:
            alone.append(truth.path)
    return dict(sorted(found.items())), alone


def _read(files: list[Path]) -> list[Path]:
    """Return the drawings of an image that are read: of pictures and a MATLAB file the pictures."""
    return [path for path in files if path.suffix.lower() != SUFFIX] or files


def _masks(root: Path) -> dict[Path, list[Path]]:
    """Return the masks of each image, which the user takes for drawings by naming the format."""
    return {pair.image: [pair.mask, *pair.more] for pair in find_pairs(root, images_below(root)).pairs}


def _words(root: Path, found: dict[Path, list[Path]]) -> str:
    folders = sorted({folder_name(root, path.parent) for files in found.values() for path in _read(files)})
    kind = "MATLAB files" if _read(next(iter(found.values())))[0].suffix.lower() == SUFFIX else "pictures"
    few = listing(folders) if len(folders) <= 3 else f"{folders[0]} and {len(folders) - 1} more folders"
    return f"{few}: {kind} of drawn edges for {plural(len(found), 'image')}"


def _faults(root: Path, images: Iterable[_File], found: dict[Path, list[Path]], alone: list[Path]) -> Iterable[Fault]:
    """Report images and drawings without a partner."""
    cure = "give image and drawing the same name, and put both into a folder of the same split"
    for path in alone:
        yield Fault("unpaired", "warning", path, f"{record_id(root, path)} has no image of the same name", cure)
    for files in found.values():
        for path in set(files) - set(_read(files)):
            message = f"{record_id(root, path)} is not read, as {record_id(root, _read(files)[0])} shows the same edges"
            yield Fault("unread", "warning", path, message, "keep the one that is right, and remove the other")
    for image in images:
        if image.path not in found:
            message = f"{record_id(root, image.path)} has no drawing of the same name"
            yield Fault("unpaired", "warning", image.path, message, cure)
