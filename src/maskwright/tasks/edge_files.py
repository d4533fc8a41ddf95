"""The files that a prediction of edges writes: strengths, lines, overlays. Knows no network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, PngImagePlugin

from maskwright.core.files import replacing
from maskwright.tasks import edge_pictures
from maskwright.tasks.base import Writer
from maskwright.tasks.edge_map import EdgeMap
from maskwright.tasks.files import MARK, overlay_step, write_jpeg

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.classes import Classes

_MOST = 65535


def write_strength(path: Path, _image: NDArray[Any], result: EdgeMap, _classes: Classes) -> None:
    """Write the strength (H, W) as a PNG of 16 bits: 65535 is 1; 0 too where the image has no data."""
    _write_png(path, np.rint(np.nan_to_num(result.strength) * _MOST).astype(np.uint16))


def write_lines(path: Path, _image: NDArray[Any], result: EdgeMap, _classes: Classes) -> None:
    """Write the lines (H, W) as a PNG: 255 on a line, 0 elsewhere."""
    _write_png(path, result.lines.astype(np.uint8) * np.uint8(255))


def write_overlay(path: Path, image: NDArray[Any], result: EdgeMap, _classes: Classes) -> None:
    """Write an image (H, W, C) under its lines as JPEG, at most 8192 pixels a side."""
    step = overlay_step(result.strength.shape)
    write_jpeg(path, edge_pictures.overlay(image, result)[::step, ::step])


def _write_png(path: Path, pixels: NDArray[Any]) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Software", MARK)
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG", pnginfo=notes)


WRITERS: dict[str, Writer] = {
    "thin": Writer("edges", ".png", write=write_lines),
    "strength": Writer("strengths", ".png", write=write_strength),
    "overlay": Writer("overlays", ".jpg", write=write_overlay),
}
"""What `predict --save` can write of edges."""
