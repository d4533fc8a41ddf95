"""The files that a prediction of edges writes: strengths, lines as pixels and as vectors, overlays. Knows no network.

Lines are in pixels of the image, x to the right and y down, from the upper left corner of the image.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, PngImagePlugin

from maskwright.core.files import replacing, write_text
from maskwright.tasks import edge_pictures
from maskwright.tasks.base import Writer
from maskwright.tasks.files import MARK, overlay_step, write_jpeg

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.classes import Classes
    from maskwright.tasks.edge_map import EdgeMap

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


def write_geojson(path: Path, _image: NDArray[Any], result: EdgeMap, _classes: Classes) -> None:
    """Write the lines as GeoJSON, each with its mean strength."""
    features = ", ".join(
        json.dumps(
            {
                "type": "Feature",
                "geometry": {"type": "LineString", "coordinates": np.round(line, 2).tolist()},
                "properties": {"id": number, "strength": round(_strength(result, line), 4)},
            }
        )
        for number, line in enumerate(result.polylines(), start=1)
    )
    head = f'"type": "FeatureCollection", "generator": {json.dumps(MARK)}'
    write_text(path, f'{{{head}, "features": [{features}]}}')


def write_svg(path: Path, _image: NDArray[Any], result: EdgeMap, _classes: Classes) -> None:
    """Write the lines as SVG, as large as the image and as opaque as they are strong."""
    height, width = result.strength.shape
    lines = "\n".join(
        f'<polyline points="{" ".join(f"{x:.2f},{y:.2f}" for x, y in line)}" opacity="{_strength(result, line):.2f}"/>'
        for line in result.polylines()
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    style = f'<!-- {MARK} -->\n<g fill="none" stroke="black" stroke-width="1">'
    write_text(path, f"{head}\n{style}\n{lines}\n</g>\n</svg>\n")


def _strength(result: EdgeMap, line: NDArray[np.float64]) -> float:
    """Return the mean strength (0..1) at the points (n, 2) of a line."""
    height, width = result.strength.shape
    columns, rows = line.astype(np.int64).T
    return float(np.nan_to_num(result.strength[rows.clip(0, height - 1), columns.clip(0, width - 1)]).mean())


def _write_png(path: Path, pixels: NDArray[Any]) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Software", MARK)
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG", pnginfo=notes)


WRITERS: dict[str, Writer] = {
    "thin": Writer("edges", ".png", write=write_lines),
    "strength": Writer("strengths", ".png", write=write_strength),
    "geojson": Writer("lines", ".geojson", write=write_geojson),
    "svg": Writer("lines", ".svg", write=write_svg),
    "overlay": Writer("overlays", ".jpg", write=write_overlay),
}
"""What `predict --save` can write of edges."""
