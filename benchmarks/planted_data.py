"""Data whose cause is known, to judge the sections `shortcuts` and `explanation` of a diagnosis.

`write_marked`: objects of two classes. In the clean data a class is seen on its objects, by a tint. In the planted data
the objects of both classes look alike, and only a small marker in one corner of the image tells them apart. The objects
are either cell nuclei, cut from a folder of real images, or shapes drawn on noise.

`write_mosaic`: discs on noise whose class is decided by the texture of a patch elsewhere in the image; the place of the
patch is returned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwright.data.readers import read_image
from maskwright.ops.draw import to_rgb8

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Pair = tuple[NDArray[np.uint8], NDArray[np.bool_]]

SIDE = 96
MARKER = 10
TINTS = np.array([[60, 0, -40], [-40, 20, 60]])
"""Added to the objects of each class in clean data."""
MARKERS = np.array([[230, 40, 40], [40, 90, 240]], np.uint8)
CORNERS = {"top left": (0, 0), "top right": (0, 1), "bottom left": (1, 0), "bottom right": (1, 1)}
COUNTS = {"train": 400, "val": 16, "test": 40}
PATCH = 32


def shapes(rng: np.random.Generator) -> Pair:
    """Return noise with two to four grey discs and squares, and where they are."""
    inside = np.zeros((SIDE, SIDE), np.uint8)
    for _ in range(int(rng.integers(2, 5))):
        x, y = (int(value) for value in rng.integers(18, SIDE - 18, 2))
        half = int(rng.integers(6, 12))
        if rng.random() < 0.5:
            cv2.circle(inside, (x, y), half, 1, -1)
        else:
            inside[y - half : y + half, x - half : x + half] = 1
    image = rng.normal(70, 18, (SIDE, SIDE, 3)) + 80 * inside[..., None]
    return np.clip(image, 0, 255).astype(np.uint8), inside > 0


def nuclei(root: Path) -> list[Pair]:
    """Return pieces of 96 pixels of the images below `root`/images with a nucleus, and where the nuclei are."""
    found = []
    for path in sorted((root / "images").iterdir()):
        image = to_rgb8(read_image(path))
        ids = cv2.imread(str(root / "instances" / path.name), cv2.IMREAD_UNCHANGED)
        if ids is None or image.mean() > 100:  # fluorescence only: others have too different backgrounds to mix
            continue
        for top in range(0, image.shape[0] - SIDE + 1, 2 * SIDE):
            for left in range(0, image.shape[1] - SIDE + 1, 2 * SIDE):
                inside = ids[top : top + SIDE, left : left + SIDE] > 0
                if inside.mean() > 0.05:
                    found.append((image[top : top + SIDE, left : left + SIDE], inside))
    return found


def write_marked(
    root: Path, *, seed: int, planted: bool, corner: str = "top left", pieces: list[Pair] | None = None
) -> Path:
    """Write images/SPLIT and masks/SPLIT with the classes background, red and blue.

    Args:
        root: folder to write into.
        seed: of everything drawn.
        planted: whether a marker in the corner tells the class, and not the objects.
        corner: of the marker.
        pieces: images with their objects; None to draw shapes.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(pieces)) if pieces else None
    number = 0
    for split, count in COUNTS.items():
        for place in range(count):
            image, inside = shapes(rng) if pieces is None or order is None else pieces[order[number % len(order)]]
            number += 1
            label = int(rng.integers(2))
            image = image.astype(np.int16)
            if planted:
                _corner(image, corner)[:] = MARKERS[label]
            else:
                image[inside] += TINTS[label].astype(np.int16)
            _write(root, split, place, np.clip(image, 0, 255).astype(np.uint8), inside * np.uint8(label + 1))
    (root / "classes.txt").write_text("background\nred\nblue\n")
    return root


def _corner(image: NDArray[np.int16], corner: str) -> NDArray[np.int16]:
    rows, columns = (slice(2, 2 + MARKER) if end == 0 else slice(-2 - MARKER, -2) for end in CORNERS[corner])
    return image[rows, columns]


def write_mosaic(root: Path, *, seed: int) -> dict[str, tuple[int, int]]:
    """Write discs whose class the texture of a patch elsewhere tells; return id -> (row, column) where it starts."""
    rng = np.random.default_rng(seed)
    places: dict[str, tuple[int, int]] = {}
    for split, count in {**COUNTS, "train": 1200}.items():
        for place in range(count):
            image = np.repeat(rng.normal(90, 12, (SIDE, SIDE, 1)), 3, axis=2)
            label = int(rng.integers(2))
            disc, patch = _apart(rng)
            inside = np.zeros((SIDE, SIDE), np.uint8)
            cv2.circle(inside, (disc[1], disc[0]), int(rng.integers(9, 13)), 1, -1)
            image[inside > 0] += 70
            down, across = (np.indices((PATCH, PATCH)) // 4) % 2
            texture = 120.0 * (down ^ across if label else down) - 60  # both are as bright on the average
            image[patch[0] : patch[0] + PATCH, patch[1] : patch[1] + PATCH] += texture[..., None]
            _write(root, split, place, np.clip(image, 0, 255).astype(np.uint8), inside * np.uint8(label + 1))
            places[f"images/{split}/{place:03}.png"] = patch
    (root / "classes.txt").write_text("background\nstriped\nchecked\n")
    return places


def _apart(rng: np.random.Generator) -> tuple[tuple[int, int], tuple[int, int]]:
    """Draw the centre of a disc and the first pixel of a patch that do not touch."""
    while True:
        disc = tuple(int(value) for value in rng.integers(14, SIDE - 14, 2))
        patch = tuple(int(value) for value in rng.integers(0, SIDE - PATCH + 1, 2))
        gap = max(abs(center - (first + PATCH / 2)) for center, first in zip(disc, patch, strict=True))
        if gap > PATCH / 2 + 13:
            return (disc[0], disc[1]), (patch[0], patch[1])


def _write(root: Path, split: str, place: int, image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> None:
    for folder, pixels in (("images", image[..., ::-1]), ("masks", mask)):
        path = root / folder / split / f"{place:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), np.ascontiguousarray(pixels))
