"""Scenes of things on stuff, and COCO panoptic files of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 64
NAMES = ("sky", "grass", "ball", "crate")
COLORS = ((120, 170, 230), (60, 140, 60), (200, 60, 50), (170, 120, 60))
THINGS = {2, 3}


def scene(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """An image, the ids of its segments (H, W), from 1, and the class of each."""
    rows, columns = np.indices((SIDE, SIDE))
    horizon = int(rng.integers(16, 40))
    ids = np.where(rows < horizon, 1, 2)
    classes = [0, 1]
    for _ in range(int(rng.integers(3, 7))):
        row, column, radius = rng.integers(6, SIDE - 6), rng.integers(6, SIDE - 6), rng.integers(5, 9)
        index = int(rng.integers(2, 4))
        far = (
            np.hypot(rows - row, columns - column) if index == 2 else np.maximum(abs(rows - row), abs(columns - column))
        )
        mask = (far <= radius) & (ids <= 2)
        if mask.sum() > 0.8 * (far <= radius).sum():
            classes.append(index)
            ids[mask] = len(classes)
    image = np.array(COLORS)[np.array([0, *classes])[ids]]
    shade = rng.normal(0, 12, (len(classes) + 1, 1))[ids]
    return np.clip(image + shade + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8), ids, classes


def write_png(path: Path, ids: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.stack([ids & 255, ids >> 8 & 255, ids >> 16], axis=2).astype(np.uint8)).save(path)


def write_panoptic(root: Path, scenes: list[tuple[np.ndarray, np.ndarray, list[int]]], step: int = 300) -> Path:
    """Write images/ and panoptic.json with panoptic/; the id of a segment is its number times `step`."""
    (root / "images").mkdir(parents=True)
    images, annotations = [], []
    for number, (image, ids, classes) in enumerate(scenes, start=1):
        name = f"{number:02d}"
        Image.fromarray(image).save(root / "images" / f"{name}.png")
        write_png(root / "panoptic" / f"{name}.png", ids * step)
        infos: list[dict[str, Any]] = [
            {"id": place * step, "category_id": 10 + index, "iscrowd": 0}
            for place, index in enumerate(classes, start=1)
            if (ids == place).any()
        ]
        images.append({"id": number, "file_name": f"{name}.png"})
        annotations.append({"image_id": number, "file_name": f"{name}.png", "segments_info": infos})
    categories = [
        {"id": 10 + index, "name": name, "isthing": int(index in THINGS), "color": COLORS[index]}
        for index, name in enumerate(NAMES)
    ]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "panoptic.json").write_text(json.dumps(content))
    return root
