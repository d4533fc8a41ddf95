"""Which images are frames of one sequence: a video, a drive, a stack of slices. Knows no split and divides nothing.

The frames of a sequence have names that differ in a running number only (`0016E5_07959.jpg`, `film/frame_0012_rgb.png`;
a folder that names a split does not count, so one drive may lie in train/ and val/), and neighbours in number look
alike. Names alone prove nothing: a camera numbers unrelated photographs too. So a sequence is accepted where the median
correlation of neighbours (`SimilarityIndex.centred`) is 0.5 or more, and where a pair of neighbours is more alike than
another pair of the same sequence in 75 % of the cases. Sequences of fewer than nine frames are measured together.

Measured (median correlation of neighbours; how often neighbours are more alike than others):

- CamVid, 1 frame a second: 0.83 and 95 %, 0.73 and 87 %, 0.72 and 94 %; CamVid, 15 frames a second: 0.99 and 99.6 %;
- photographs that are merely numbered: cracks 0.25 and 67 %, people in streets 0.09 and 65 %, 0.04 and 57 %, COCO 0.02
  and 51 %, outdoor photographs (BSDS500) 0.01 and 50 %.

The second condition keeps out series that are all alike, such as parts on one fixture. One name is one sequence, even
where the scene changes within it: whether the same street comes again cannot be seen from two frames.
"""

from __future__ import annotations

import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.records import Fault
from maskwright.core.resources import cores
from maskwright.core.seeds import generator
from maskwright.core.text import plural
from maskwright.data.formats.pairing.naming import folder_meaning, stem
from maskwright.data.readers import DecodeError, read_image
from maskwright.data.similarity import SimilarityIndex, thumbnail

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from maskwright.core.records import Record
    from maskwright.data.similarity import Thumbnail

MEDIAN = 0.5
"""Least median correlation of neighbours in a sequence."""
MORE_ALIKE = 0.75
"""Least share of cases in which neighbours are more alike than two other frames."""
FEWEST_PAIRS = 8
"""Pairs of neighbours without which nothing is concluded."""
FEW_GROUPS = 3
"""Groups up to which scores speak of nothing else."""
_OTHER_PAIRS = 2000
_MOST_NAMED = 4

Frames = dict[str, tuple[str, ...]]
"""Name of a sequence -> ids of its frames in running order."""


def find_sequences(ids: Iterable[str], similarity: SimilarityIndex) -> Frames:
    """Find the sequences among images.

    Args:
        ids: of the images that may belong to one, in POSIX form.
        similarity: of those that were looked at; the others of an accepted sequence belong to it too.

    Returns:
        Ids by the name of the sequence, which is the frames' common name with `#` for the running number.
    """
    numbered = _numbered(ids)
    long = {name: frames for name, frames in numbered.items() if len(_known_pairs(frames, similarity)) >= FEWEST_PAIRS}
    short = {name: frames for name, frames in numbered.items() if name not in long}
    candidates = [*({name: frames} for name, frames in long.items()), short]
    accepted = [found for found in candidates if _is_film(list(found.values()), similarity)]
    return {name: frames for found in accepted for name, frames in sorted(found.items())}


def read_sequences(records: Sequence[Record]) -> Frames:
    """Find the sequences among records without a group; their images are read, unless their names rule them out."""
    numbered = {name for frames in _numbered(_without_group(records)).values() for name in frames}
    chosen = [record for record in records if record.id in numbered]
    with ThreadPoolExecutor(cores()) as pool:
        seen = dict(zip((record.id for record in chosen), pool.map(_thumbnail, chosen), strict=True))
    index = SimilarityIndex({name: found for name, found in seen.items() if found is not None})
    return find_sequences(_without_group(records), index)


def grouped_frames(records: Iterable[Record]) -> Frames:
    """Return the frames of each group that is the file or folder they lie in, such as a stack, in running order."""
    frames: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for record in records:
        if record.group is not None and record.id.startswith((f"{record.group}#", f"{record.group}/")):
            frames[record.group].append((record.image.page or 0, record.id))
    return {name: tuple(image for _, image in sorted(found)) for name, found in frames.items()}


def _without_group(records: Iterable[Record]) -> list[str]:
    return [record.id for record in records if record.group is None]


def _thumbnail(record: Record) -> Thumbnail | None:
    try:
        return thumbnail(read_image(record.image))
    except DecodeError:  # reported by whoever needs the pixels
        return None


def scope(scored: Sequence[Record], training: Iterable[Record]) -> str | None:
    """Say what scores on some images say nothing about, or None where they speak of more than a few scenes.

    Args:
        scored: the images that were scored.
        training: those that the model was trained on, as far as known.
    """
    groups = sorted({record.group for record in scored if record.group is not None})
    shared = {record.group for record in training} & set(groups)
    of_shared = sum(record.group in shared for record in scored)
    alone = "the score holds for these scenes only; how well the model does on others is unknown."
    if groups and len(groups) + len(_without_group(scored)) <= FEW_GROUPS:
        several = "one group" if len(groups) == 1 else f"only {len(groups)} groups"
        also = ", and training images come from the same" if shared else ""
        return f"The images scored come from {several} of related images ({', '.join(groups)}){also}: {alone}"
    if not shared:
        return None
    same = f"come from the same groups as training images (such as {min(map(str, shared))})"
    if of_shared == len(scored):
        return f"All images scored {same}: {alone}"
    return f"{of_shared} of the {len(scored)} images scored {same}: the score on new scenes is likely to be lower."


def with_sequences(records: Sequence[Record], found: Frames) -> list[Record]:
    """Give each frame its sequence as its group."""
    group = {name: sequence for sequence, names in found.items() for name in names}
    return [replace(record, group=group.get(record.id, record.group)) for record in records]


def describe(found: Frames) -> str:
    """Say which sequences were found, and by what."""
    frames = sum(map(len, found.values()))
    named = ", ".join(sorted(found)[:_MOST_NAMED]) + (", ..." if len(found) > _MOST_NAMED else "")
    many = plural(len(found), "sequence")
    return f"{frames} images are frames of {many} ({named}): their names are numbered and neighbours look alike"


def sequences_note(found: Frames, root: Path) -> Fault:
    """Say which sequences were found, what follows, and how to overrule that."""
    return Fault(
        "sequences",
        "note",
        root,
        f"{describe(found)}. A sequence is a group: it stays on one side of the split where possible, and intervals "
        "are over sequences",
        "nothing needs to be done if that is right; otherwise define what belongs together with "
        "`split.group_by` (with '.+' each image is its own group)",
    )


def _numbered(ids: Iterable[str]) -> Frames:
    """Return the images whose names differ in one number only: the last one that varies."""
    whole = sorted(ids)
    bare = [_bare(name, splits=False) for name in whole]
    if len(set(bare)) < len(bare):  # train/0001.png and val/0001.png are not one frame
        bare = [_bare(name, splits=True) for name in whole]
    alike: dict[tuple[str, ...], list[tuple[str, list[str]]]] = defaultdict(list)
    for name, known in zip(whole, bare, strict=True):
        parts = re.split(r"(\d+)", known)
        alike[tuple(parts[::2])].append((name, parts))
    members: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for entries in alike.values():
        varying = [place for place in range(1, len(entries[0][1]), 2) if _varies(entries, place)]
        if not varying:
            continue
        last = varying[-1]
        for name, parts in entries:
            members["".join([*parts[:last], "#", *parts[last + 1 :]])].append((int(parts[last]), name))
    return {name: tuple(image for _, image in sorted(frames)) for name, frames in members.items() if len(frames) > 1}


def _varies(entries: Sequence[tuple[str, list[str]]], place: int) -> bool:
    return len({parts[place] for _, parts in entries}) > 1


def _bare(name: str, *, splits: bool) -> str:
    """Drop the suffix, and without `splits` such folders as `train` or `images_val`."""
    *folders, file = name.split("/")
    return "/".join([*(folder for folder in folders if splits or folder_meaning(folder).split is None), stem(file)])


def _known_pairs(frames: Sequence[str], similarity: SimilarityIndex) -> list[float]:
    """Return how alike neighbours are, as far as both were looked at."""
    values = similarity.centred(list(pairwise(frames)))
    return values[~np.isnan(values)].tolist()


def _is_film(sequences: Sequence[Sequence[str]], similarity: SimilarityIndex) -> bool:
    """Tell whether neighbours look alike, and more so than other pairs of the same images."""
    near = np.array([value for frames in sequences for value in _known_pairs(frames, similarity)])
    if len(near) < FEWEST_PAIRS or float(np.median(near)) < MEDIAN:
        return False
    places = [(index, place) for index, frames in enumerate(sequences) for place in range(len(frames))]
    drawn = generator(0, "sequences").integers(0, len(places), (_OTHER_PAIRS, 2)).tolist()
    chosen = [(places[one], places[other]) for one, other in drawn]
    apart = [(one, other) for one, other in chosen if one[0] != other[0] or abs(one[1] - other[1]) > 1]
    far = similarity.centred([(sequences[i][p], sequences[j][q]) for (i, p), (j, q) in apart])
    far = np.sort(far[~np.isnan(far)])
    return len(far) > 0 and float(np.searchsorted(far, near).mean()) >= MORE_ALIKE * len(far)
