"""One image to predict: a file, a page of one, a file for each channel, bytes or an array. Searches no folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from maskwright.core.errors import MaskwrightError
from maskwright.core.records import ImageRef, Reading
from maskwright.data.formats.pairing.naming import channel_of
from maskwright.data.readers import DecodeError, read_bytes, read_image
from maskwright.ops.no_data import with_holes

if TYPE_CHECKING:
    from numpy.typing import NDArray

USUAL = Reading()


@dataclass(frozen=True)
class Picture:
    """One image to predict.

    Attributes:
        image: the file, or one page of it; only a name if `given`.
        relative: its path below the source that it was found in, or its file name; `#3` for page 3 of a stack.
        name: what its results are called: a path below the output folder, without suffix, unique among all.
        given: the bytes of an image file, or an array (H, W) or (H, W, C); None for what lies in `image`.
        origin: address in an object store of which `image` is a copy; None for a file of the user's.
    """

    image: ImageRef
    relative: PurePosixPath
    name: PurePosixPath
    given: bytes | NDArray[Any] | None = field(default=None, repr=False, compare=False)
    origin: str | None = None

    @classmethod
    def of(cls, name: str, given: bytes | NDArray[Any]) -> Picture:
        """Return what a caller gave as bytes or as an array, under a name."""
        return cls(ImageRef(Path(name)), PurePosixPath(name), PurePosixPath(name), given)

    def read(self, reading: Reading = USUAL) -> NDArray[Any]:
        """Return the pixels as `read_image` does; those of an array without values for "no data".

        Raises:
            MaskwrightError: they cannot be read.
        """
        if isinstance(self.given, np.ndarray):
            return with_holes(self.given, reading.nodata)
        if self.given is not None:
            return read_bytes(self.given, str(self.image), reading)
        return read_image(replace(self.image, reading=reading))


def with_names(sources: object) -> list[str | Path | Picture]:
    """Return several sources, where a caller may give one; arrays are called `array-1`, ... by their places.

    Raises:
        MaskwrightError: one is neither a path nor an array.
    """
    one = isinstance(sources, str | Path | Picture | np.ndarray) or not isinstance(sources, Sequence)
    found: list[str | Path | Picture] = []
    for number, source in enumerate([sources] if one else cast("Sequence[object]", sources), start=1):
        if isinstance(source, np.ndarray):
            found.append(Picture.of(f"array-{number}", source))
        elif isinstance(source, str | Path | Picture):
            found.append(source)
        else:
            raise MaskwrightError(
                f"a source is of type {type(source).__name__}, and it must be a path (file, folder, glob, list) or an "
                'array: convert a PIL image by numpy.asarray(image.convert("RGB"))'
            )
    return found


def with_channel_files(pictures: list[Picture], channels: int | None) -> list[Picture]:
    """Join CASE_0000.png, CASE_0001.png, ..., the way in which nnU-Net stores channels, to one image CASE each.

    That is done only where every image is such a file, and the files of each case have together as many channels as
    the model takes.
    """
    cases: defaultdict[tuple[PurePosixPath, str], dict[int, Picture]] = defaultdict(dict)
    for picture in pictures:
        channel = channel_of(picture.name.name)
        if channel is None or picture.image.page is not None or picture.given is not None:
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
