"""Examples to small pictures inside the page. Knows nothing of files: every picture becomes a data URI."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from maskwright.core.classes import IGNORE
from maskwright.ops import draw
from maskwright.report.numbers import finite, percent, share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maskwright.core.classes import Classes
    from maskwright.report.content import Example

SIDES = (480, 400, 320, 240, 160, 96)
MOST_BYTES = 1_900_000
MOST_EXAMPLES = 24


@dataclass(frozen=True)
class Panel:
    """One picture: what it is, in a word and in a sentence, and its data URI with width and height in pixels."""

    title: str
    alt: str
    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class _Drawing:
    """One picture before it is encoded; `kind` is `photo` or `flat` (few colours, sharp edges)."""

    title: str
    alt: str
    kind: str
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class Shown:
    """One example, ready for the page: its name, its IoU in words, its largest error in words, four pictures."""

    id: str
    iou: str | None
    error: str
    panels: tuple[Panel, ...]


def pictures(examples: Sequence[Example], classes: Classes) -> list[Shown]:
    """Draw the examples, as large as fits into the page's allowance for pictures.

    Args:
        examples: any number; beyond `MOST_EXAMPLES` the middle ones are left out.
        classes: names and colours.
    """
    half = MOST_EXAMPLES // 2
    kept = list(examples) if len(examples) <= MOST_EXAMPLES else [*examples[:half], *examples[-half:]]
    drawn = [_drawn(example, classes) for example in kept]
    encoded: list[tuple[Panel, ...]] = []
    largest = float(SIDES[0])
    for side in SIDES:
        if side > largest and side != SIDES[-1]:
            continue
        encoded = [tuple(_panel(drawing, side) for drawing in drawings) for drawings in drawn]
        total = sum(len(panel.uri) for panels in encoded for panel in panels)
        if total <= MOST_BYTES:
            break
        # Bytes go with the area: the sizes in between would not fit either, and need not be tried.
        largest = side * (MOST_BYTES / total) ** 0.5 * 1.15
    return [_shown(example, classes, panels) for example, panels in zip(kept, encoded, strict=True)]


def largest_error(truth: NDArray[np.uint8], prediction: NDArray[np.uint8], names: Sequence[str]) -> str:
    """Say in words which two classes are confused most, by pixels (H, W)."""
    known = (truth != IGNORE) & (truth != prediction)
    if not known.any():
        return "No labelled pixel is wrong."
    pairs = truth[known].astype(np.int64) * 256 + prediction[known]
    codes, pixels = np.unique(pairs, return_counts=True)
    worst = int(pixels.argmax())
    said = int(codes[worst] % 256)
    called = f"taken for {names[said]}" if said < len(names) else "left without a class"
    part = share(float(pixels[worst]) / int((truth != IGNORE).sum()))
    wrong = percent(float(known.sum()) / int((truth != IGNORE).sum()))
    return f"{wrong} of the pixels are wrong; most often {names[int(codes[worst] // 256)]} is {called} ({part})."


def classes_seen(examples: Sequence[Example], classes: Classes) -> list[int]:
    """Return the indices of the classes that are painted in any truth or prediction, in order."""
    seen = {int(value) for example in examples for labels in _labels(example) for value in np.unique(labels)}
    return sorted(index for index in seen if index < len(classes) and index != classes.background)


def _labels(example: Example) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    return example.truth, example.prediction


def error_legend(classes: Classes) -> list[tuple[str, str]]:
    """Return what the colours of the picture of errors mean, as (words, CSS colour)."""
    entries = [("taken for another class", draw.WRONG_CLASS)]
    if classes.background is not None:
        entries = [
            ("missed", draw.FALSE_NEGATIVE),
            ("made up", draw.FALSE_POSITIVE),
            *(entries if len(classes) > 2 else []),
        ]
    return [(words, "#{:02x}{:02x}{:02x}".format(*color)) for words, color in entries]


def _shown(example: Example, classes: Classes, panels: tuple[Panel, ...]) -> Shown:
    iou = finite(example.iou)
    wrong = largest_error(example.truth, example.prediction, classes.names)
    return Shown(example.id, None if iou is None else percent(iou), wrong, panels)


def _drawn(example: Example, classes: Classes) -> list[_Drawing]:
    """Draw at full size, so that thin structures survive, and keep no more than the page can use."""
    mistakes = draw.errors(example.image, example.truth, example.prediction, classes)
    kinds = (
        ("image", "photo", example.image),
        ("truth", *_painted(example, example.truth, classes)),
        ("prediction", *_painted(example, example.prediction, classes)),
        ("errors", "photo", mistakes),
    )
    return [
        _Drawing(title, f"{title} of {example.id}", kind, _reduced(pixels, SIDES[0])) for title, kind, pixels in kinds
    ]


def _painted(example: Example, labels: NDArray[np.uint8], classes: Classes) -> tuple[str, NDArray[np.uint8]]:
    """Tint the image where a background lets it show through, else paint the labels alone: they are read best so."""
    if classes.background is None:
        return "flat", draw.colorize(labels, classes)
    return "photo", draw.overlay(example.image, labels, classes, 0.7)


def _reduced(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Shrink a picture (H, W, 3) until its longer side fits; never enlarge it."""
    height, width = pixels.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return pixels
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _panel(drawing: _Drawing, side: int) -> Panel:
    small = np.ascontiguousarray(_reduced(drawing.pixels, side))
    buffer = io.BytesIO()
    # Flat colours are both smaller and exact without loss; photographs are not.
    options = {"quality": 74} if drawing.kind == "photo" else {"lossless": True, "quality": 60}
    Image.fromarray(small).save(buffer, "WEBP", **options)
    uri = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    return Panel(drawing.title, drawing.alt, uri, small.shape[1], small.shape[0])
