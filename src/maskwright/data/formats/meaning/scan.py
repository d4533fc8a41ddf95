"""The values and colours in the masks, counted in a sample of them in constant memory. Knows no names of classes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from maskwright.data.readers import DecodeError, is_lossy, read_mask

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    from maskwright.core.records import ImageRef
    from maskwright.data.formats.meaning.table_lines import Color
    from maskwright.data.readers import RawMask

MOST_MASKS = 200
_MOST_COLORS = 4096
# How rare an annotation error is, and how many there may be: more rare values are the long tail of many classes.
_FEWEST_TO_COMPARE = 5
_ENOUGH_FOR_TWO = 100
_STRAY_SHARE = 0.001
FEW_STRAYS = 3
_NEARLY_ALL, _HIGH_ID = 0.9, 32


class Held(NamedTuple):
    """What one mask of the sample holds.

    Attributes:
        mask: the file.
        values: value -> pixels.
        colors: value -> its colour in the mask's palette; empty without one.
        channel: of its colours, that holds the values; None where the mask holds no colours.
    """

    mask: ImageRef
    values: dict[int, int]
    colors: dict[int, Color]
    channel: int | None = None

    def read(self) -> NDArray[Any] | None:
        """Read the values (H, W) again; None if the file holds colours now."""
        raw = read_mask(self.mask)
        return raw.indices() if self.channel is None else raw.colors()[..., self.channel]


@dataclass
class Scan:
    """What was found in a sample of the masks.

    Attributes:
        masks: number of masks.
        looked: number of decoded masks.
        indexed: number of decoded masks that hold values, and not real colours.
        values: value -> pixels, over the masks that hold values.
        holders: value -> number of masks that hold it.
        first: value -> the first mask that holds it.
        colors: colour -> pixels, over the masks that hold colours (at most 4096 different ones are counted).
        color_holders: colour -> number of masks that hold it.
        held: the masks that hold values, one by one.
        painted: the masks that hold real colours.
        color_counts: colour -> pixels in each of those.
        nodata: values that masks declare to mean "no data".
        palettes: number of palette images.
        inverted: number of masks whose palette shows 0 in white and 1 in black.
        wide: number of masks with more than 8 bits.
        lossy: number of lossily compressed masks.
        soft: number of masks that hold fractions, which are cut at half.
        contiguous: number of masks that hold the values 0..n and no other.
        error: the first decoding error, if any.
    """

    masks: int
    looked: int = 0
    indexed: int = 0
    values: Counter[int] = field(default_factory=Counter)
    holders: Counter[int] = field(default_factory=Counter)
    first: dict[int, ImageRef] = field(default_factory=dict)
    colors: Counter[Color] = field(default_factory=Counter)
    color_holders: Counter[Color] = field(default_factory=Counter)
    held: list[Held] = field(default_factory=list)
    painted: list[ImageRef] = field(default_factory=list)
    color_counts: list[Counter[Color]] = field(default_factory=list)
    nodata: set[int] = field(default_factory=set)
    palettes: int = 0
    inverted: int = 0
    wide: int = 0
    lossy: int = 0
    soft: int = 0
    contiguous: int = 0
    error: DecodeError | None = None

    @property
    def colored(self) -> bool:
        """Whether most of the masks hold real colours."""
        return self.indexed * 2 < self.looked

    def binary(self, excluded: AbstractSet[int] = frozenset()) -> bool:
        """Whether the masks hold only 0 and 255, and 255 does occur; values `excluded` do not count."""
        return 255 in self.values and set(self.values) - excluded <= {0, 255}

    def strays(self) -> list[int]:
        """Return the values that look like annotation errors: rare, and few unless all the rest is 0 and 255."""
        found = sorted(self.rare() - {0, 255})
        return found if len(found) <= FEW_STRAYS or self.binary(frozenset(found)) else []

    def rare(self) -> frozenset[int]:
        """Return the values with at most 0.1% of the pixels, in one mask, or in two of at least a hundred.

        In a sample one mask represents many, so there the limit is one.
        """
        if self.indexed < _FEWEST_TO_COMPARE:
            return frozenset()
        holders = 2 if self.indexed >= _ENOUGH_FOR_TWO and self.masks <= MOST_MASKS else 1
        few = _STRAY_SHARE * sum(self.values.values())
        return frozenset(
            value for value, pixels in self.values.items() if pixels <= few and self.holders[value] <= holders
        )

    @property
    def palette(self) -> dict[int, Color]:
        """Value -> colour of the palette, for the values found in palette images; the first colour of each counts."""
        found: dict[int, Color] = {}
        for held in self.held:
            found = {**held.colors, **found}
        return found

    @property
    def blurred(self) -> bool:
        """Whether most masks are lossily compressed, black and white, with grey edges."""
        total = sum(self.values.values())
        ends = sum(pixels for value, pixels in self.values.items() if value < 16 or 239 < value < 256)
        white = sum(pixels for value, pixels in self.values.items() if 239 < value < 256)
        lossy = self.lossy * 2 > self.looked
        return lossy and max(self.values) < 256 and ends > 0.8 * total and white > total - ends

    @property
    def instances(self) -> bool:
        """Whether the values look like object ids: more than 8 bits, 0..n without gaps in each mask, and many."""
        return self.many_wide and self.contiguous >= _NEARLY_ALL * self.indexed

    @property
    def many_wide(self) -> bool:
        """Whether nearly all masks have more than 8 bits, and values above what classes have."""
        return self.wide >= _NEARLY_ALL * self.indexed > 0 and max(self.values, default=0) >= _HIGH_ID


def scan_masks(masks: list[ImageRef], most: int = MOST_MASKS, read: Callable[[ImageRef], RawMask] = read_mask) -> Scan:
    """Decode at most `most` masks with `read`, evenly spread over `masks`, and count their values and colours.

    A mask that cannot be decoded is skipped here; the fingerprint, which opens every mask, reports it. So are JPEGs
    unless they are the majority: their values were not drawn.

    Raises:
        DecodeError: no mask could be decoded; the error of the first one.
    """
    scan = Scan(masks=len(masks))
    chosen = _spread(masks, most)
    jpegs = {mask for mask in chosen if _is_jpeg(mask)}
    for mask in chosen if 2 * len(jpegs) > len(chosen) else [mask for mask in chosen if mask not in jpegs]:
        try:
            raw = read(mask)
        except DecodeError as error:
            scan.error = scan.error or error
            continue
        _count(scan, raw, mask)
    if scan.error is not None and not scan.looked:
        raise scan.error
    return scan


def _is_jpeg(mask: ImageRef) -> bool:
    try:
        return is_lossy(mask)
    except DecodeError:
        return False


def _spread(masks: list[ImageRef], most: int) -> list[ImageRef]:
    if len(masks) <= most:
        return masks
    return [masks[place] for place in np.linspace(0, len(masks) - 1, most).round().astype(int)]


def _count(scan: Scan, raw: RawMask, mask: ImageRef) -> None:
    scan.looked += 1
    scan.lossy += raw.lossy
    scan.soft += raw.soft
    values = raw.indices()
    if values is None:
        scan.painted.append(mask)
        _count_colors(scan, raw)
        return
    scan.indexed += 1
    scan.inverted += raw.inverted
    scan.wide += values.dtype.itemsize > 1
    counted = _histogram(values)
    scan.contiguous += set(counted) == set(range(len(counted)))
    scan.values.update(counted)
    scan.holders.update(counted.keys())
    for value in counted:
        scan.first.setdefault(value, mask)
    colors: dict[int, Color] = {}
    if raw.palette is not None:
        scan.palettes += 1
        for value in counted:
            red, green, blue = raw.palette[value].tolist()
            colors[value] = (red, green, blue)
    scan.held.append(Held(mask, counted, colors))
    scan.nodata |= raw.nodata & counted.keys()


def _histogram(values: Any) -> dict[int, int]:
    """Count the values of a mask (H, W) in bands of rows, so that it needs no array of eight bytes a pixel."""
    if values.dtype not in (np.uint8, np.uint16):
        found, pixels = np.unique(values, return_counts=True)
        return dict(zip(found.tolist(), pixels.tolist(), strict=True))
    counts = np.zeros(256**values.dtype.itemsize, np.int64)
    rows = max(1, (1 << 20) // values.shape[1])
    for start in range(0, values.shape[0], rows):
        counts += np.bincount(values[start : start + rows].ravel(), minlength=len(counts))
    present = np.flatnonzero(counts)
    return dict(zip(present.tolist(), counts[present].tolist(), strict=True))


def _count_colors(scan: Scan, raw: RawMask) -> None:
    rows = max(1, (1 << 20) // raw.array.shape[1])
    found: Counter[Color] = Counter()
    for start in range(0, raw.array.shape[0], rows):
        band = raw.array[start : start + rows].astype(np.uint32)
        codes, pixels = np.unique(band[..., 0] << 16 | band[..., 1] << 8 | band[..., 2], return_counts=True)
        for code, count in zip(codes.tolist(), pixels.tolist(), strict=True):
            color = (code >> 16, code >> 8 & 255, code & 255)
            if color in scan.colors or color in found or len(scan.colors) + len(found) < _MOST_COLORS:
                found[color] += count
    scan.colors.update(found)
    scan.color_holders.update(found.keys())
    scan.color_counts.append(found)
