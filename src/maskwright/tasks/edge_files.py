"""The files that a prediction of edges writes, as `data.edge_results` has them. Knows no network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maskwright.data import edge_results
from maskwright.tasks.writer import Writer

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.classes import Classes
    from maskwright.tasks.edge_map import EdgeMap


def write_strength(path: Path, _image: NDArray[Any], result: EdgeMap, _classes: Classes) -> None:
    """Write the strength before suppression."""
    edge_results.write_strength(path, result.strength)


def write_lines(path: Path, _image: NDArray[Any], result: EdgeMap, _classes: Classes) -> None:
    """Write the lines as pixels."""
    edge_results.write_lines(path, result.lines)


def write_overlay(path: Path, image: NDArray[Any], result: EdgeMap, _classes: Classes) -> None:
    """Write the image under its lines."""
    edge_results.write_overlay(path, image, result.lines)


def write_geojson(path: Path, _image: NDArray[Any], result: EdgeMap, _classes: Classes) -> None:
    """Write the lines with their points, each with its mean strength."""
    edge_results.write_geojson(path, result.traced(), result.strength)


def write_svg(path: Path, _image: NDArray[Any], result: EdgeMap, _classes: Classes) -> None:
    """Write the lines as a drawing of the size of the image."""
    edge_results.write_svg(path, result.traced(), result.strength.shape)


WRITERS: dict[str, Writer] = {
    "thin": Writer("edges", ".png", write=write_lines),
    "strength": Writer("strengths", ".png", write=write_strength),
    "geojson": Writer("lines", ".geojson", write=write_geojson),
    "svg": Writer("lines", ".svg", write=write_svg),
    "overlay": Writer("overlays", ".jpg", write=write_overlay),
}
"""What `predict --save` can write of edges."""
