"""Draw sets of elongated and concave objects: curved worms that touch, rings, and rods that cross.

Each is a folder with images/ and instances/, for `maskwright train OUT/rods --task instance --set
objects.formulation=centres`. Rods lie on each other, so many are parted; worms and rings stay beside each other.
Run: python benchmarks/drawn_objects.py OUT [--images 60] [--seed 0]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import tifffile
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 160
TRIES, LEAST_AREA = 40, 30
COVERED = {"worms": 0.08, "rings": 0.15, "rods": 0.35}
"""Largest share of an object that may lie on others."""


def worm(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a curved line, 6 to 8 px wide and 40 to 70 px long."""
    steps, angle, bend = rng.integers(14, 24), rng.uniform(0, 2 * np.pi), rng.uniform(-0.25, 0.25)
    points = [rng.uniform(10, SIDE - 10, 2)]
    for turn in bend + rng.normal(0, 0.08, steps):
        angle += turn
        points.append(points[-1] + 3 * np.array([np.cos(angle), np.sin(angle)]))
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.polylines(
        mask, [np.array(points).round().astype(np.int32)], isClosed=False, color=1, thickness=int(rng.integers(6, 9))
    )
    return mask


def ring(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a ring of 18 to 36 px."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    centre = tuple(rng.integers(5, SIDE - 5, 2).tolist())
    cv2.circle(mask, centre, int(rng.integers(9, 18)), 1, int(rng.integers(4, 7)))
    return mask


def rod(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a straight line, 6 to 8 px wide and 44 to 80 px long."""
    middle, angle, half = rng.uniform(5, SIDE - 5, 2), rng.uniform(0, np.pi), rng.uniform(22, 40)
    way = half * np.array([np.cos(angle), np.sin(angle)])
    ends = [tuple((middle + sign * way).astype(int).tolist()) for sign in (-1, 1)]
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.line(mask, *ends, 1, int(rng.integers(6, 9)))
    return mask


DRAWN = {"worms": worm, "rings": ring, "rods": rod}


def scene(kind: str, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Return an image (H, W) of 12 to 17 objects, where they fit, and their ids."""
    ids, image, wanted = np.zeros((SIDE, SIDE), np.uint16), np.full((SIDE, SIDE), 60.0), rng.integers(12, 18)
    for _ in range(TRIES):
        mask = DRAWN[kind](rng) > 0
        if not mask.any() or (ids[mask] > 0).mean() > COVERED[kind]:
            continue
        if kind != "rods":
            mask &= ids == 0
        if mask.sum() >= LEAST_AREA and ids.max() < wanted:
            ids[mask] = ids.max() + 1
            image[mask] = rng.uniform(120, 220)
    image = cv2.GaussianBlur(image, (0, 0), 0.8) + rng.normal(0, 10, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8), ids


def main() -> None:
    """Write the three sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    for kind in DRAWN:
        rng = np.random.default_rng(chosen.seed)
        for folder in ("images", "instances"):
            (chosen.out / kind / folder).mkdir(parents=True)
        for number in range(chosen.images):
            image, ids = scene(kind, rng)
            Image.fromarray(image).save(chosen.out / kind / "images" / f"{number:03}.png")
            tifffile.imwrite(chosen.out / kind / "instances" / f"{number:03}.tif", ids)


if __name__ == "__main__":
    main()
