"""Files of superpixels and regions: maps of labels, overlays, and drawn labels. Finds no region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
from PIL import Image

from maskwright.core.files import replacing
from maskwright.data.results import MARK, overlay_step, write_jpeg, write_png
from maskwright.ops.draw import outlined

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def write_map(path: Path, regions: NDArray[np.int32]) -> None:
    """Write labels of regions (H, W) as TIFF: uint16, or uint32 for more than 65,536 regions."""
    numbers = regions.astype(np.uint16 if regions.max() <= np.iinfo(np.uint16).max else np.uint32)
    with replacing(path) as temporary:
        tifffile.imwrite(temporary, numbers, description=MARK, metadata=None, compression="zlib", predictor=True)


def write_overlay(path: Path, image: NDArray[Any], regions: NDArray[np.int32]) -> None:
    """Write an image (H, W, C) with the outlines of its regions as JPEG, at most 8192 pixels a side."""
    step = overlay_step(regions.shape)
    write_jpeg(path, outlined(image[::step, ::step], regions[::step, ::step]))


def write_labels(path: Path, labels: NDArray[np.integer], palette: NDArray[np.uint8] | None) -> None:
    """Write labels (H, W) of 8 or 16 bits as PNG, in the colours (256, 3) of a palette if there is one."""
    picture = Image.fromarray(labels)
    if palette is not None:
        picture.putpalette(palette.tobytes())
    write_png(path, picture)
