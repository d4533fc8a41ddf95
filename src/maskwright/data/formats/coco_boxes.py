"""Boxes of COCO that contradict the outlines of their objects: one of the two is wrong. Opens no file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Fault
from maskwright.core.text import agree, plural, such_as
from maskwright.data.formats.outlines.shapes import box_around
from maskwright.ops import rle as rle_codes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from maskwright.data.formats.outlines.shapes import Box, Drawing

    _Boxed = tuple[Sequence[float], Drawing, Box]
    """The box of an object as the file gives it, the object, and the box around its outline."""

_LEAST_IN_COMMON = 0.5
_SLACK = 3.0  # pixels by which a side may differ: rounding and thin objects


def box_told(values: object) -> Box | None:
    """Return (left, top, right, bottom) of COCO's [left, top, width, height], if it is one."""
    box = box_around(values) if isinstance(values, list) and len(values) == 4 else None
    if box is None or not isinstance(values, list):
        return None
    left, top, width, height = map(float, values)
    return (left, top, left + width, top + height) if width > 0 and height > 0 else None


def without_area(values: object) -> bool:
    """Tell whether COCO's [left, top, width, height] is a box that covers nothing."""
    return (
        isinstance(values, list) and len(values) == 4 and bool(box_around(values)) and min(map(float, values[2:])) == 0
    )


def box_faults(
    path: Path, entries: Sequence[dict[str, Any]], objects: Sequence[Drawing], sizes: Sequence[tuple[int, int] | None]
) -> Iterable[Fault]:
    """Warn of objects whose outline lies elsewhere than their box; corners instead of width and height are no harm.

    Args:
        path: the file.
        entries: its annotations.
        objects: what was read of each.
        sizes: (height, width) of the image of each, as the file tells it. A run-length code of another size is no
            matter of boxes: it is reported when it is painted.

    Raises:
        MaskwrightError: most run-length codes fit their boxes only if their runs follow rows, or most polygons only
            with x and y exchanged.
    """
    pairs = zip(entries, objects, strict=True)
    told = [(entry["bbox"], drawing) for entry, drawing in pairs if box_told(entry.get("bbox")) is not None]
    both = [(values, drawing, box) for values, drawing in told if (box := _drawn_box(drawing)) is not None]
    wrong = [(values, drawing, box) for values, drawing, box in both if not _fits(values, box)]
    _require_columns(path, both, wrong)
    _require_unexchanged(path, both, wrong)
    resized = {id(drawing) for drawing, size in zip(objects, sizes, strict=True) if _of_another_size(drawing, size)}
    wrong = [entry for entry in wrong if id(entry[1]) not in resized]
    if wrong:
        values, drawing, (left, top, right, bottom) = wrong[0]
        where = f"{drawing.name}, with x from {left:g} to {right:g}, y from {top:g} to {bottom:g}, but bbox {values}"
        message = (
            f"{len(wrong)} of {plural(len(both), 'object')} with a box {agree(len(wrong), 'has', 'have')} an outline "
            f"elsewhere, {such_as(len(wrong), where)}; the outlines are used"
        )
        cure = "compare an image with its outlines, and correct these or the boxes (left, top, width, height in pixels)"
        yield Fault("bad-outline", "warning", path, message, cure)


def _require_columns(path: Path, both: Sequence[_Boxed], wrong: Sequence[_Boxed]) -> None:
    """Refuse run-length codes of which most fit their boxes (left, top, width, height) only along rows."""
    coded = sum(drawing.rle is not None for _, drawing, _ in both)
    turned = [drawing for values, drawing, _ in wrong if drawing.rle is not None and _fits_along_rows(values, drawing)]
    if 2 * len(turned) > coded:
        raise MaskwrightError(
            f"{path}: {len(turned)} of {plural(coded, 'run-length code')} with a box "
            f"{agree(len(turned), 'fits', 'fit')} it only if the runs follow rows, "
            f"{such_as(len(turned), turned[0].name)}, but those of COCO follow columns: write the runs again, "
            "column by column"
        )


def _require_unexchanged(path: Path, both: Sequence[_Boxed], wrong: Sequence[_Boxed]) -> None:
    """Refuse polygons of which most fit their boxes (left, top, width, height) only with x and y exchanged."""
    plain = sum(drawing.rle is None for _, drawing, _ in both)
    turned = [drawing for values, drawing, box in wrong if drawing.rle is None and _fits(values, _exchanged(box))]
    if 2 * len(turned) > plain:
        raise MaskwrightError(
            f"{path}: {len(turned)} of {plural(plain, 'outline')} with a box {agree(len(turned), 'fits', 'fit')} it "
            f"only with x and y exchanged, {such_as(len(turned), turned[0].name)}: write x before y in the outlines, "
            "or in the boxes (left, top, width, height) if the outlines are right"
        )


def _exchanged(box: Box) -> Box:
    return box[1], box[0], box[3], box[2]


def _fits_along_rows(told: Sequence[float], drawing: Drawing) -> bool:
    assert drawing.rle is not None
    box = rle_codes.box(rle_codes.transposed(drawing.rle))
    return box is not None and _fits(told, _exchanged(box))


def _of_another_size(drawing: Drawing, size: tuple[int, int] | None) -> bool:
    return drawing.rle is not None and size is not None and drawing.rle["size"] != list(size)


def _drawn_box(drawing: Drawing) -> Box | None:
    """Return the box around what can be painted; None if there is nothing."""
    if drawing.rle is None:
        return drawing.box if drawing.polygons else None
    try:
        return rle_codes.box(drawing.rle)
    except MaskwrightError:  # reported when it is painted
        return None


def _fits(told: Sequence[float], box: Box) -> bool:
    """Tell whether a box as the file tells it, or as two corners, is that of the outline."""
    left, top, across, down = map(float, told)
    return any(_near(other, box) for other in ((left, top, left + across, top + down), (left, top, across, down)))


def _near(one: Box, other: Box) -> bool:
    if all(abs(first - second) <= _SLACK for first, second in zip(one, other, strict=True)):
        return True
    sides = [min(one[place + 2], other[place + 2]) - max(one[place], other[place]) for place in (0, 1)]
    common = max(0.0, sides[0]) * max(0.0, sides[1])
    areas = ((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return 0 < common >= _LEAST_IN_COMMON * (sum(areas) - common)
