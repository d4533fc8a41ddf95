"""What to say where no image has a mask. Knows how such folders come about, and reads nothing."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError
from maskwright.core.text import agree, plural
from maskwright.data.formats.pairing import naming
from maskwright.data.formats.pairing.pairs import divided
from maskwright.data.formats.walk import folder_name, images_below, walk
from maskwright.data.readers import DecodeError, read_alpha

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from maskwright.data.formats.pairing.pairs import Divided, Pairing

_OPAQUE = 128
_SAVE = "save each mask as a PNG of class ids, with the name of its image"
# The end of a name, what such a file is, and the cure.
_NO_IMAGES = (
    (".mat", "MATLAB", f"drawn edges are read if they are saved with -v7; scipy.io.loadmat reads others; {_SAVE}"),
    (".npz", "archives of NumPy", f"numpy.load reads them; {_SAVE}"),
    *((end, "outlines of ImageJ", f"roifile reads them; {_SAVE}") for end in (".roi", "roiset.zip")),
    (".ndjson", "lines of JSON", "export the annotations as COCO, or convert them to it"),
    *((end, "HDF5", f"h5py reads them; {_SAVE}") for end in (".h5", ".hdf5")),
    *(
        (end, "volumes", "save their slices as images, and those of the masks as PNG of class ids, with equal names")
        for end in (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", ".dcm")
    ),
)


def nothing_pairs(root: Path, pairing: Pairing) -> MaskwrightError:
    """Build the error for a folder in which no image has a mask."""
    paths = images_below(root)
    if not paths:
        return MaskwrightError(f"{root} holds no images: give a folder with images and masks")
    unread = _unread_masks(root) if not pairing.masks else None
    if unread is not None:
        return MaskwrightError(f"{root} holds {plural(pairing.images, 'image')} but no masks: {unread}")
    if not pairing.masks:
        clear = "; if their transparency is the mask, use `read.format` alpha" if _are_cut_outs(paths) else ""
        return MaskwrightError(
            f"{root} holds {plural(pairing.images, 'image')} but no masks: put the masks in a folder masks/ next to "
            f"images/, with the same names, or name them like image_mask.png{clear}"
        )
    doubt = next((fault for fault in pairing.faults if fault.kind == "ambiguous"), None)
    if doubt is not None:
        return MaskwrightError(f"{root}: {doubt.message}: {doubt.cure}")
    cure = _parts_cure(divided(root, paths)) or "give an image and its mask the same name"
    return MaskwrightError(
        f"{root} holds {plural(pairing.images, 'image')} and {plural(pairing.masks, 'mask')}, but no image and mask "
        f"have the same name ({'; '.join(fault.message for fault in pairing.faults[:2])}): {cure}"
    )


def _parts_cure(found: Divided) -> str | None:
    """Tell where to put masks of which most images have several, each with the name of its image and a word or more."""
    names = {file.path.stem for file in found.images}
    parts: defaultdict[str, list[str]] = defaultdict(list)
    for mask in found.masks:
        stem = mask.path.stem
        ends = [match.start() for match in re.finditer(r"[_\-. ]", stem)]
        owner = next((stem[:end] for end in reversed(ends) if stem[:end] in names), None)
        if owner is not None:
            parts[owner].append(mask.path.name)
    several = [owner for owner, masks in parts.items() if len(masks) > 1]
    if 2 * len(several) <= len(found.images):
        return None
    owner = several[0]
    return (
        f"the masks seem to show parts of an image: if each shows one object, put {parts[owner][0]} and the others of "
        f"{owner} into {owner}/masks/, and the image into {owner}/images/; if they show classes, join those of one "
        f"class and image, and save them as masks/CLASS/{owner}.png"
    )


def _unread_masks(root: Path) -> str | None:
    """Say what the files in folders of masks are, where none of them is an image, or else what other files may be."""
    paths = list(walk(root))
    files = [path for path in paths if naming.place(path.relative_to(root).parts).role in {"mask", "instance"}]
    files = files or [path for path in paths if _known(path)]
    if not files:
        return None
    first = files[0].name
    held = agree(len(files), first, f"{len(files)} files such as {first}")
    ending, what, cure = _known(files[0]) or (files[0].suffix, "", _SAVE)
    kind = f" ({what})" if what else ""
    folder = folder_name(root, files[0].parent)
    return f"{folder} holds {held}, and {ending or 'such'} files{kind} are not read: {cure}"


def _known(path: Path) -> tuple[str, str, str] | None:
    return next((known for known in _NO_IMAGES if path.name.lower().endswith(known[0])), None)


def _are_cut_outs(paths: Sequence[Path]) -> bool:
    """Tell whether the first image is opaque in some places and transparent in others."""
    try:
        alpha = read_alpha(paths[0]).array
    except DecodeError:
        return False
    return bool(alpha.min() < _OPAQUE <= alpha.max())
