"""Writes Zarr stores for tests, by zarr-python: OME-NGFF of versions 2 and 3 of Zarr, plates and collections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

zarr = pytest.importorskip("zarr")

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np

KINDS = {"t": "time", "c": "channel"}


def axes_of(axes: str, unit: str | None = None) -> list[dict[str, Any]]:
    units = {} if unit is None else {"unit": unit}
    return [{"name": axis, "type": KINDS.get(axis, "space"), **(units if axis in "zyx" else {})} for axis in axes]


def ome_image(
    path: Path,
    levels: Sequence[np.ndarray],
    axes: str,
    version: int = 3,
    *,
    scales: Sequence[Sequence[float]] | None = None,
    unit: str | None = None,
    **settings: Any,
) -> Path:
    """Write an image with the levels of its pyramid."""
    scales = scales or [[1.0] * len(axes) for _ in levels]
    multiscales: dict[str, Any] = {
        "axes": axes_of(axes, unit),
        "datasets": [
            {"path": f"s{number}", "coordinateTransformations": [{"type": "scale", "scale": list(scale)}]}
            for number, scale in enumerate(scales)
        ],
    }
    group(path, {"multiscales": [multiscales]}, version)
    for number, level in enumerate(levels):
        array(path / f"s{number}", level, version, **settings)
    return path


def group(path: Path, ome: dict[str, Any], version: int) -> Path:
    attributes = {"ome": {"version": "0.5", **ome}} if version == 3 else ome
    zarr.create_group(str(path), zarr_format=version, attributes=attributes)
    return path


def array(path: Path, values: np.ndarray, version: int = 3, **settings: Any) -> Path:
    settings = {"chunks": tuple(min(side, 64) for side in values.shape), **settings}
    if version == 2:
        settings.setdefault("chunk_key_encoding", {"name": "v2", "separator": "/"})
    made = zarr.create_array(str(path), shape=values.shape, dtype=values.dtype, zarr_format=version, **settings)
    made[...] = values
    return path
