"""Masks with an alpha channel, which is not read: a warning where it may tell more than the values or colours do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.records import Fault
from maskwright.core.text import agree, such_as
from maskwright.data.readers import DecodeError, read_alpha, read_mask

if TYPE_CHECKING:
    from maskwright.core.naming import Naming
    from maskwright.core.records import ImageRef
    from maskwright.data.formats.meaning.scan import Scan

_MOST_MASKS = 24


def transparency_fault(scan: Scan, naming: Naming) -> tuple[Fault, ...]:
    """Warn where masks show the same value or colour in opaque and in transparent pixels."""
    masks = [*(held.mask for held in scan.held), *scan.painted]
    masks = masks[:: len(masks) // _MOST_MASKS + 1]
    found = [mask for mask in masks if _hides(mask)]
    if not found:
        return ()
    what, ignored = "value", "use `read.ignore` with it"
    if scan.colored:
        what, ignored = "colour", f"{naming.with_colors()}, with void as the name of theirs"
    message = (
        f"{len(found)} of {len(masks)} masks looked at, {such_as(len(found), found[0].name)}, "
        f"{agree(len(found), 'shows', 'show')} the same {what} in opaque and in transparent pixels, and transparency "
        "is not read"
    )
    cure = (
        "nothing needs to be done if both mean the same; if nothing is known where masks are transparent, save these "
        f"pixels opaque, with a {what} of their own, and {ignored}"
    )
    return (Fault("transparent", "warning", found[0].path, message, cure),)


def _hides(mask: ImageRef) -> bool:
    try:
        clear = read_alpha(mask).array == 0
    except DecodeError:  # without an alpha channel
        return False
    if not clear.any() or clear.all():
        return False
    raw = read_mask(mask)
    values = raw.array if raw.array.ndim == 2 else raw.colors().astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1])
    return not set(np.unique(values[clear])).isdisjoint(np.unique(values[~clear]))
