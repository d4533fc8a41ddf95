"""The files of label maps that no memory holds: read by rows, written by rows. Knows no network."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from maskwright.core.classes import IGNORE
from maskwright.core.files import replacing
from maskwright.data import ngff
from maskwright.data.cog import ASCII, DOUBLE, SHORT, Tag, write_cog
from maskwright.data.readers.geotiff import KEYS, TEXTS
from maskwright.data.results import MARK, OVERLAY_SIDE, write_jpeg
from maskwright.ops import draw
from maskwright.ops.rows import thinned

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.classes import Classes
    from maskwright.tasks.scan import Scan

_NODATA = 42113
_SIDE = OVERLAY_SIDE // 2  # an overlay is drawn in memory


def write_mask(path: Path, scan: Scan, classes: Classes) -> None:
    """Write a label map as a cloud-optimised TIFF with a palette, where its image lies: values are class indices."""
    described = json.dumps({"software": MARK, "classes": classes.names})
    extra = [Tag(_NODATA, ASCII, str(IGNORE))]
    if scan.place is not None:
        kinds = {KEYS: SHORT, TEXTS: ASCII}
        extra += [Tag(code, kinds.get(code, DOUBLE), values) for code, values in scan.place.tags.items()]
    with replacing(path) as temporary:
        write_cog(temporary, scan.labels, classes.palette(), described, extra)


def write_zarr(path: Path, scan: Scan, classes: Classes) -> None:
    """Write a label map as an OME-NGFF label image: values are class indices; `IGNORE` is transparent."""
    colored = zip(classes.names, classes.colors, strict=True)
    labels = [ngff.Label(index, color, {"class": name}) for index, (name, color) in enumerate(colored)]
    ngff.write_labels(path, scan.labels, [*labels, ngff.Label(IGNORE, (0, 0, 0, 0), {"class": None})], scan.scale)


def write_overlay(path: Path, scan: Scan, classes: Classes) -> None:
    """Write every few rows and columns of an image under its label map as JPEG, at most 4096 pixels a side."""
    step = -(-max(scan.image.size) // _SIDE)
    write_jpeg(path, draw.overlay(thinned(scan.image, step), thinned(scan.labels, step)[..., 0], classes))
