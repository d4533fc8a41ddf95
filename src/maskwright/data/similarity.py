"""How alike two images look: a 16 x 16 thumbnail as perceptual hash, compared by correlation. Knows no record.

Two images are near-duplicates when their thumbnails correlate, and still do after the data set's mean thumbnail is
taken away. The second half matters: parts on one fixture, or pages of one scanner, all look alike at 16 x 16, and what
tells them apart is only what deviates from the mean.

Measured on driving, cracks, cells, people and COCO photographs: unrelated images stay below 0.85 (centred), frames
1/15 s apart lie above 0.97. A copy that was re-encoded, resized or brightened lies above 0.99. Not seen: copies that
were mirrored, rotated or strongly cropped.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from maskwright.ops.images import channel_groups, joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

GRID = 16
_COARSE = 128
_PLAIN = 0.96
_CENTRED = 0.92
_ENOUGH_TO_CENTRE = 10
_BLOCK = 1024
_MOST_PARTNERS = 20


@dataclass(frozen=True)
class Look:
    """What is remembered of an image's appearance, 260 bytes.

    Attributes:
        thumbnail: GRID x GRID bytes, grey, stretched to the image's own contrast; all 0 for a flat image.
        checksum: CRC-32 of the decoded pixels, shape and type; equal for copies.
    """

    thumbnail: bytes
    checksum: int


def look(image: NDArray[Any]) -> Look:
    """Return the look of an image (H, W, C) of any pixel type."""
    checksum = zlib.crc32(f"{image.shape}{image.dtype}".encode())
    checksum = zlib.crc32(np.ascontiguousarray(image).data, checksum)
    height, width = image.shape[:2]
    if image.dtype.kind == "f":
        image = np.nan_to_num(image.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    if height > _COARSE or width > _COARSE:  # first in the image's own type: quick, and 64 cells average the rounding
        size = min(width, _COARSE), min(height, _COARSE)
        image = joined([cv2.resize(group, size, interpolation=cv2.INTER_AREA) for group in channel_groups(image)])
    grey = image.reshape(*image.shape[:2], -1).astype(np.float32).mean(axis=2)
    small = cv2.resize(grey, (GRID, GRID), interpolation=cv2.INTER_AREA)
    low, high = float(small.min()), float(small.max())
    if high - low <= 1e-6 * max(abs(low), abs(high)):
        return Look(bytes(GRID * GRID), checksum)
    return Look(np.round((small - low) * (255.0 / (high - low))).astype(np.uint8).tobytes(), checksum)


class Likeness:
    """The looks of a set of images, ready to be compared.

    Attributes:
        looks: the images, in the caller's order.
    """

    def __init__(self, looks: Sequence[Look]) -> None:
        self.looks = tuple(looks)
        thumbnails = np.frombuffer(b"".join(entry.thumbnail for entry in looks), np.uint8)
        self._plain = _unit(thumbnails.reshape(-1, GRID * GRID).astype(np.float32))
        centred = len(self.looks) >= _ENOUGH_TO_CENTRE
        mean = self._plain.mean(axis=0, dtype=np.float64).astype(np.float32) if centred else np.float32(0)
        self._centred = _unit(self._plain - mean)

    def centred(self, first: int, second: int) -> float:
        """Return the correlation -1..1 of two images, after what all images share is taken away."""
        return float(self._centred[first] @ self._centred[second])

    def identical(self) -> list[tuple[int, int]]:
        """Return pairs that link all copies with the very same pixels (each to the first of its kind)."""
        first: dict[int, int] = {}
        return [
            (first[entry.checksum], index)
            for index, entry in enumerate(self.looks)
            if first.setdefault(entry.checksum, index) != index
        ]

    def pairs(self) -> list[tuple[int, int]]:
        """Return the pairs (i, j), i < j, of near-duplicates, identical ones included.

        Every image is compared with every other in blocks: 10,000 images take seconds and some 100 MB. Of one image
        at most the first `_MOST_PARTNERS` are named, so that a folder of copies does not fill the memory.
        """
        found = set(self.identical())
        for start in range(0, len(self.looks), _BLOCK):
            stop = start + _BLOCK
            alike = (self._plain[start:stop] @ self._plain[start:].T) >= _PLAIN
            alike &= (self._centred[start:stop] @ self._centred[start:].T) >= _CENTRED
            alike = np.triu(alike, 1)
            if np.count_nonzero(alike, axis=1).max() > _MOST_PARTNERS:
                alike &= np.cumsum(alike, axis=1, dtype=np.int32) <= _MOST_PARTNERS
            rows, columns = np.nonzero(alike)
            found.update(zip((rows + start).tolist(), (columns + start).tolist(), strict=True))
        return sorted(found)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale each row to mean 0 and length 1; a flat row becomes 0 and is like nothing."""
    rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 1e-6)
