"""One image to predict, which may be one file, a page of one, or a file for each channel. Searches no folder."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from maskwright.core.records import ImageRef
from maskwright.data.formats.pairing.naming import channel_of
from maskwright.data.readers import DecodeError, read_image

if TYPE_CHECKING:
    from pathlib import PurePosixPath


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


def with_channel_files(pictures: list[Picture], channels: int | None) -> list[Picture]:
    """Join CASE_0000.png, CASE_0001.png, ..., the way in which nnU-Net stores channels, to one image CASE each.

    That is done only where every image is such a file, and the files of each case have together as many channels as
    the model takes.
    """
    cases: defaultdict[tuple[PurePosixPath, str], dict[int, Picture]] = defaultdict(dict)
    for picture in pictures:
        channel = channel_of(picture.name.name)
        if channel is None or picture.image.page is not None:
            return pictures
        cases[picture.relative.parent, channel[0]][channel[1]] = picture
    count = len(next(iter(cases.values()), ()))
    complete = all(sorted(case) == list(range(count)) for case in cases.values())
    if count < 2 or not complete or channels != count * _channels(pictures[0].image):
        return pictures
    return [_joined([case[number] for number in range(count)], name) for (_, name), case in cases.items()]


def _joined(files: list[Picture], name: str) -> Picture:
    first = files[0]
    image = ImageRef(first.image.path, more=tuple(picture.image.path for picture in files[1:]))
    return replace(first, image=image, name=first.name.with_name(name))


def _channels(image: ImageRef) -> int:
    try:
        return int(read_image(image).shape[2])
    except DecodeError:  # reported when the pixels are asked for
        return 0
