"""Files of found edges: strengths, lines, overlays, and lines with sub-pixel points. Finds no edge."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image

from maskwright.core.files import write_text
from maskwright.data.results import MARK, overlay_step, write_jpeg, write_png
from maskwright.ops.draw import to_rgb8

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.ops.edges import Trace

LINE = (213, 94, 0)
"""Colour of lines on an image."""
MOST = 65535
DIGITS = 2
"""Of coordinates, in pixels: more would be noise."""


def write_strength(path: Path, strength: NDArray[np.floating]) -> None:
    """Write a strength (H, W) within 0..1 as a PNG of 16 bits: 65535 is 1; NaN, where there are no data, becomes 0."""
    write_png(path, Image.fromarray(np.rint(np.nan_to_num(strength) * MOST).astype(np.uint16)))


def write_lines(path: Path, lines: NDArray[np.bool_]) -> None:
    """Write lines (H, W) as a PNG: 255 on a line, 0 elsewhere."""
    write_png(path, Image.fromarray(lines.astype(np.uint8) * np.uint8(255)))


def write_overlay(path: Path, image: NDArray[Any], lines: NDArray[np.bool_]) -> None:
    """Write an image (H, W, C) under its lines as JPEG, at most 8192 pixels a side; a smaller one loses no line."""
    step = overlay_step(lines.shape)
    wide = cv2.dilate(lines.astype(np.uint8), np.ones((step, step), np.uint8)) > 0
    write_jpeg(path, overlay(image, wide)[::step, ::step])


def overlay(image: NDArray[Any], lines: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Draw lines (H, W) on an image (H, W, C): RGB uint8 (H, W, 3)."""
    picture = to_rgb8(image)
    picture[lines] = LINE
    return picture


def write_geojson(path: Path, lines: Sequence[Trace], strength: NDArray[np.floating]) -> None:
    """Write lines as `geojson_text` has them."""
    write_text(path, geojson_text(lines, strength))


def geojson_text(lines: Sequence[Trace], strength: NDArray[np.floating]) -> str:
    """Return lines as GeoJSON, in pixels from the upper left corner of the image.

    Args:
        lines: from `ops.edges.traced`.
        strength: (H, W), of which each line gets the mean over its pixels.
    """
    features = ", ".join(json.dumps(_feature(number, line, strength)) for number, line in enumerate(lines, start=1))
    return f'{{"type": "FeatureCollection", "generator": {json.dumps(MARK)}, "features": [{features}]}}'


def write_svg(path: Path, lines: Sequence[Trace], size: tuple[int, int]) -> None:
    """Write lines as SVG with one unit a pixel, for an image of `size` (height, width)."""
    height, width = size
    drawn = "\n".join(
        f'<polyline points="{" ".join(f"{x:g},{y:g}" for x, y in line.points.round(DIGITS))}"/>' for line in lines
    )
    write_text(
        path,
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">\n'
        f"<!-- {MARK} -->\n"
        f'<g fill="none" stroke="black" stroke-linejoin="round" stroke-linecap="round">\n{drawn}\n</g>\n</svg>\n',
    )


def _feature(number: int, line: Trace, strength: NDArray[np.floating]) -> dict[str, Any]:
    length = float(np.hypot(*np.diff(line.points, axis=0).T).sum())
    return {
        "type": "Feature",
        "geometry": {"type": "LineString", "coordinates": line.points.round(DIGITS).tolist()},
        "properties": {
            "id": number,
            "strength": round(line.mean(strength), 4),
            "length": round(length, DIGITS),
            "closed": bool((line.pixels[0] == line.pixels[-1]).all()),
        },
    }
