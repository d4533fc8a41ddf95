"""Cut-outs: images whose alpha channel is the mask. Read only where the user asks for it: `--format alpha`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.classes import Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Dataset, ImageRef, MaskFile, Record
from maskwright.core.text import percent, plural
from maskwright.data.formats.folder import meaningful_splits
from maskwright.data.formats.meaning.scan import scan_masks
from maskwright.data.formats.meaning.tables import read_table
from maskwright.data.formats.pairing import naming
from maskwright.data.formats.walk import images_below, parts_below, record_id
from maskwright.data.readers import read_alpha

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.read_options import ReadOptions

_OPAQUE = 128


def detect(_root: Path) -> None:
    """Never recognise it: most alpha channels are no masks."""
    return


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read the alpha channel of every image as its mask: from 128 on, a pixel is foreground.

    Raises:
        MaskwrightError: no image has an alpha channel, or none is transparent anywhere.
    """
    images = images_below(root) if root.is_dir() else [root]
    if not images:
        raise MaskwrightError(f"{root} holds no images: give a folder of images with transparency")
    if options.map or options.ignore is not None or options.values:
        raise MaskwrightError(
            "masks in alpha channels show two classes: `read.map`, `read.ignore` and measured values cannot be used; "
            "leave them out, or save the masks as files of their own"
        )
    scan = scan_masks([ImageRef(path) for path in images], read=read_alpha)
    if min(scan.values) >= _OPAQUE or max(scan.values) < _OPAQUE:
        what = "opaque" if min(scan.values) >= _OPAQUE else "transparent"
        raise MaskwrightError(
            f"{root}: every image is {what} everywhere, so alpha marks no object: put masks into files of their own"
        )
    partly = sum(pixels for value, pixels in scan.values.items() if 0 < value < 255) / sum(scan.values.values())
    places = {path: naming.place(parts_below(root, path) or (path.name,)) for path in images}
    splits = meaningful_splits(place.split for place in places.values())
    records = tuple(
        Record(
            record_id(root, path),
            ImageRef(path),
            MaskFile(ImageRef(path), "index", alpha=True),
            place.split if splits else None,
        )
        for path, place in places.items()
    )
    soft = f"; {percent(partly)} of the pixels are partly transparent, and foreground from 128 on" if partly else ""
    return Dataset(
        root,
        "alpha",
        f"the alpha channels of {plural(len(records), 'image')}: opaque is foreground{soft}",
        _classes(options),
        tuple(sorted(records, key=lambda record: record.id)),
        {value: int(value >= _OPAQUE) for value in range(256)},
    )


def _classes(options: ReadOptions) -> Classes:
    if options.classes is None:
        return Classes.named(("background", "foreground"))
    names = tuple(entry.name for entry in read_table(options.classes).entries)
    if len(names) != 2:
        raise MaskwrightError(
            f"{options.classes} names {plural(len(names), 'class', 'classes')}, but alpha shows 2: name the background "
            "first"
        )
    return Classes.named(names)
