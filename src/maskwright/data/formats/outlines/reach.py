"""Outlines that leave their image: by a few pixels is normal; by much, they were drawn on an image of another size.

The share of each object that lies outside decides. A file that tells the size of the image deserves more trust than one
that does not. Paints nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.records import Fault
from maskwright.core.text import agree, count, percent, plural, such_as
from maskwright.data.formats.outlines.shapes import Box, DrawnImage, box_over
from maskwright.data.readers import DecodeError, image_orientation, image_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_SLACK, _SLACK_SHARE = 3, 0.02  # An outline may leave its image by so many pixels, or by this share of the side.
_FEWEST = 3
_MOST_OF_IMAGE = {True: 0.5, False: 0.25}  # by whether the file tells the size
_MOST_OF_SET = {True: 0.25, False: 0.05}
_SMALL = {True: 0.6, False: 0.75}
_SMALL_IMAGES, _SMALL_OBJECTS = 5, 10
# Objects that the edge cuts leave an image on all sides alike; those of a larger image leave it to the right and below.
_ALIKE = 0.06
_CURE = (
    "use the images that were annotated, or export the annotations again; if the outlines do leave their images, cut "
    "them off at the edge"
)


class _Fit(NamedTuple):
    """How the objects lie on one image: the box around all, and the share of each that is outside."""

    entry: DrawnImage
    size: tuple[int, int]
    box: Box
    outside: list[float]

    @property
    def mean(self) -> float:
        return sum(self.outside) / len(self.outside)


def leaves(box: Box, size: tuple[int, int]) -> bool:
    """Tell whether a box reaches beyond an image (height, width) by more than hands or rounding explain.

    The sides of an image in fractions are 1.
    """
    across, down = (max(_SLACK * (length > 1), _SLACK_SHARE * length) for length in (size[1], size[0]))
    return box[0] < -across or box[1] < -down or box[2] > size[1] + across or box[3] > size[0] + down


def without_misfits(drawn: Iterable[DrawnImage]) -> tuple[list[DrawnImage], list[Fault]]:
    """Leave out images whose outlines were drawn at another size, as far as that can be told from their places.

    Where a photograph is turned and only one of its two sizes fits the outlines, the image gets that size.
    """
    entries = [entry if entry.normalized or entry.size else _turned(entry) for entry in drawn]
    files = Counter(entry.source for entry in entries)
    groups: defaultdict[tuple[Path | None, bool], list[_Fit]] = defaultdict(list)
    for fit in filter(None, map(_fit, entries)):
        entry = fit.entry
        groups[entry.source if files[entry.source] > 1 else None, bool(entry.size or entry.normalized)].append(fit)
    gone: set[Path] = set()
    faults = []
    for (_, told), fits in groups.items():
        usual, resized = (None, []) if told else _resized(fits)
        wrong = _misfits(fits, told=told)
        wrong = [*wrong, *(fit for fit in resized if fit not in wrong and leaves(fit.box, fit.size))]
        if wrong:
            gone |= {fit.entry.image for fit in wrong}
            faults.append(_misfit(wrong, len(fits), told=told))
        elif _small(fits, told=told):
            faults.append(_small_fault(fits, told=told))
        doubtful = [fit for fit in resized if fit not in wrong]
        if usual is not None and doubtful:
            faults.append(_resized_fault(doubtful, usual))
    return [entry for entry in entries if entry.image not in gone], faults


def _turned(entry: DrawnImage) -> DrawnImage:
    """Add the size on which outlines were drawn, if the image is turned by EXIF and they leave one of its two sizes."""
    box = box_over(shape.box for shape in entry.objects if shape.drawn)
    try:
        if box is None or image_orientation(entry.image) == 1:
            return entry
        upright = image_size(entry.image)
    except DecodeError:  # reported when the pixels are asked for
        return entry
    sizes = [size for size in {upright, upright[::-1]} if not leaves(box, size)]
    return entry._replace(size=sizes[0]) if len(sizes) == 1 else entry


def _fit(entry: DrawnImage) -> _Fit | None:
    boxes = [shape.box for shape in entry.objects if shape.drawn and shape.box is not None]
    around = box_over(boxes)
    try:
        size = (1, 1) if entry.normalized else entry.size or image_size(entry.image)
    except DecodeError:  # reported when the pixels are asked for
        return None
    return None if around is None else _Fit(entry, size, around, [_outside(box, size) for box in boxes])


def _outside(box: Box, size: tuple[int, int]) -> float:
    """Return the share of a box that lies outside an image (height, width)."""
    inside = 1.0
    for low, high, length in ((box[0], box[2], size[1]), (box[1], box[3], size[0])):
        within = min(high, length) - max(low, 0)
        inside *= (max(0.0, within) / (high - low)) if high > low else float(within >= 0)
    return 1 - inside


def _misfits(fits: Sequence[_Fit], *, told: bool) -> Sequence[_Fit]:
    """Return the images of one source that cannot be used: some of them, or all if they agree."""
    alone = [fit for fit in fits if fit.mean > _MOST_OF_IMAGE[told]]
    rest = [fit for fit in fits if fit.mean <= _MOST_OF_IMAGE[told]]
    shares = [share for fit in rest for share in fit.outside]
    several = sum(leaves(fit.box, fit.size) for fit in rest) >= _FEWEST
    if len(alone) > len(rest):
        return fits
    return fits if several and sum(shares) >= _MOST_OF_SET[told] * len(shares) and not _cut_alike(rest) else alone


def _resized(fits: Sequence[_Fit]) -> tuple[tuple[int, int] | None, list[_Fit]]:
    """Return the size of most images, and those that have the same shape at another size: perhaps resized."""
    usual, images = Counter(fit.size for fit in fits).most_common(1)[0]
    if images < _FEWEST or 2 * images <= len(fits):
        return None, []
    return usual, [fit for fit in fits if fit.size != usual and _alike_shaped(fit.size, usual)]


def _alike_shaped(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Tell whether two sizes have one shape, up to the rounding of their sides."""
    return abs(one[0] * other[1] - one[1] * other[0]) <= max(*one, *other)


def _cut_alike(fits: Sequence[_Fit]) -> bool:
    """Tell whether objects leave their images on opposite sides by similar shares of them, as where an edge cuts."""
    lefts, tops, rights, bottoms = zip(*map(_relative, fits), strict=True)
    sides = ((-min(lefts), max(rights) - 1), (-min(tops), max(bottoms) - 1))
    return all(min(ends) > 0 and max(ends) - min(ends) <= _ALIKE for ends in sides)


def _misfit(wrong: Sequence[_Fit], among: int, *, told: bool) -> Fault:
    worst = max(wrong, key=lambda fit: fit.mean)
    message = (
        f"the outlines of {count(len(wrong))} of {plural(among, 'image')} lie far outside, such as those of "
        f"{worst.entry.image.name} ({_written(worst)}): they seem to belong to images of another size and are not used"
    )
    others = "" if told or len(wrong) == among else "; also compare the other images with their outlines"
    return Fault("size-mismatch", "error", worst.entry.source, message, _CURE + others)


def _written(fit: _Fit) -> str:
    left, top, right, bottom = fit.box
    return f"{fit.size[1]}x{fit.size[0]}; x from {left:g} to {right:g}, y from {top:g} to {bottom:g}"


def _small(fits: Sequence[_Fit], *, told: bool) -> bool:
    """Tell whether all outlines lie in the upper left of their images, as those of smaller images do."""
    enough = len(fits) >= _SMALL_IMAGES and sum(len(fit.outside) for fit in fits) >= _SMALL_OBJECTS
    lefts, tops, rights, bottoms = zip(*(_relative(fit) for fit in fits), strict=True)
    ends = ((min(lefts), max(rights)), (min(tops), max(bottoms)))
    return enough and all(high < _SMALL[told] and low < (1 - high) / 2 for low, high in ends)


def _relative(fit: _Fit) -> Box:
    height, width = fit.size
    return fit.box[0] / width, fit.box[1] / height, fit.box[2] / width, fit.box[3] / height


def _small_fault(fits: Sequence[_Fit], *, told: bool) -> Fault:
    boxes = [_relative(fit) for fit in fits]
    across, down = (percent(max(box[place] for box in boxes), 0) for place in (2, 3))
    sizes = "although the annotations give the sizes of these" if told else "and the annotations do not give sizes"
    message = (
        f"all outlines of {plural(len(fits), 'image')} lie within the left {across} and the upper {down}, as if they "
        f"were drawn on smaller images, {sizes}"
    )
    cure = "compare one image with its outlines; if they do not fit, use the images that were annotated"
    return Fault("size-mismatch", "warning", fits[0].entry.source, message, cure)


def _resized_fault(fits: Sequence[_Fit], usual: tuple[int, int]) -> Fault:
    first = fits[0]
    have = agree(len(fits), "has", "have")
    message = (
        f"{plural(len(fits), 'image')}, {such_as(len(fits), first.entry.image.name)}, {have} the shape of the others "
        f"at another size ({first.size[1]}x{first.size[0]}, not {usual[1]}x{usual[0]}), and the annotations do not "
        "tell the sizes; outlines do not fit an image that was resized after they were drawn"
    )
    cure = "compare such an image with its outlines; if they do not fit, use the image that was annotated"
    return Fault("size-mismatch", "warning", first.entry.image, message, cure)
