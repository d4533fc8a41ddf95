"""Examples to small pictures inside the page. Knows nothing of files: every picture becomes a data URI."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maskwright.report.content import Example
    from maskwright.tasks import Panel

SIDES = (480, 400, 320, 240, 160, 96)
MOST_BYTES = 1_900_000
MOST_EXAMPLES = 24


@dataclass(frozen=True)
class Picture:
    """One picture: what it is, in a word and in a sentence, and its data URI with width and height in pixels."""

    title: str
    alt: str
    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Shown:
    """One example, ready for the page: its name, its score, its largest error in words, its pictures."""

    id: str
    score: float | None
    note: str
    panels: tuple[Picture, ...]


def pictures(examples: Sequence[Example]) -> list[Shown]:
    """Encode the examples, as large as fits into the page's allowance for pictures.

    Args:
        examples: any number; beyond `MOST_EXAMPLES` the middle ones are left out.
    """
    half = MOST_EXAMPLES // 2
    kept = list(examples) if len(examples) <= MOST_EXAMPLES else [*examples[:half], *examples[-half:]]
    encoded: list[tuple[Picture, ...]] = []
    largest = float(SIDES[0])
    for side in SIDES:
        if side > largest and side != SIDES[-1]:
            continue
        encoded = [tuple(_picture(panel, example.id, side) for panel in example.panels) for example in kept]
        total = sum(len(picture.uri) for row in encoded for picture in row)
        if total <= MOST_BYTES:
            break
        # Bytes go with the area: the sizes in between would not fit either, and need not be tried.
        largest = side * (MOST_BYTES / total) ** 0.5 * 1.15
    return [Shown(example.id, example.score, example.note, row) for example, row in zip(kept, encoded, strict=True)]


def legends(
    examples: Sequence[Example],
) -> tuple[list[tuple[str, tuple[int, int, int]]], list[tuple[str, tuple[int, int, int]]]]:
    """Return the colours of classes and of errors in any example, each once, as (words, RGB)."""
    classes = dict.fromkeys(entry for example in examples for entry in example.legend.classes)
    errors = dict.fromkeys(entry for example in examples for entry in example.legend.errors)
    return list(classes), list(errors)


def reduced(pixels: NDArray[np.uint8], side: int = SIDES[0]) -> NDArray[np.uint8]:
    """Shrink a picture (H, W, 3) until its longer side fits; never enlarge it."""
    height, width = pixels.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return pixels
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _picture(panel: Panel, example: str, side: int) -> Picture:
    small = np.ascontiguousarray(reduced(panel.pixels, side))
    buffer = io.BytesIO()
    # Flat colours are both smaller and exact without loss; photographs are not.
    options = {"quality": 74} if panel.kind == "photo" else {"lossless": True, "quality": 60}
    Image.fromarray(small).save(buffer, "WEBP", **options)
    uri = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    return Picture(panel.title, f"{panel.title} of {example}", uri, small.shape[1], small.shape[0])
