"""What to say where no image has a mask. Knows how such folders come about, and reads nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError
from maskwright.core.text import plural
from maskwright.data.formats.walk import images_below
from maskwright.data.readers import DecodeError, read_alpha

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from maskwright.data.formats.pairing.pairs import Pairing

_OPAQUE = 128


def nothing_pairs(root: Path, pairing: Pairing) -> MaskwrightError:
    """Build the error for a folder in which no image has a mask."""
    paths = images_below(root)
    if not paths:
        return MaskwrightError(f"{root} holds no images: give a folder with images and masks")
    if not pairing.masks:
        clear = "; if their transparency is the mask, use `read.format` alpha" if _are_cut_outs(paths) else ""
        return MaskwrightError(
            f"{root} holds {plural(pairing.images, 'image')} but no masks: put the masks in a folder masks/ next to "
            f"images/, with the same names, or name them like image_mask.png{clear}"
        )
    doubt = next((fault for fault in pairing.faults if fault.kind == "ambiguous"), None)
    if doubt is not None:
        return MaskwrightError(f"{root}: {doubt.message}: {doubt.cure}")
    return MaskwrightError(
        f"{root} holds {plural(pairing.images, 'image')} and {plural(pairing.masks, 'mask')}, but no image and mask "
        f"have the same name ({'; '.join(fault.message for fault in pairing.faults[:2])}): give an image and its "
        "mask the same name"
    )


def _are_cut_outs(paths: Sequence[Path]) -> bool:
    """Tell whether the first image is opaque in some places and transparent in others."""
    try:
        alpha = read_alpha(paths[0]).array
    except DecodeError:
        return False
    return bool(alpha.min() < _OPAQUE <= alpha.max())
