"""Examples of label maps as pictures: image, truth, prediction, errors, and the largest error in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.text import percent, share
from maskwright.ops import draw
from maskwright.tasks.base import Legend, Painted, Panel

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from maskwright.core.classes import Classes


def paint(
    image: NDArray[np.uint8], truth: NDArray[np.uint8], prediction: NDArray[np.uint8], classes: Classes
) -> Painted:
    """Draw an example at full size, so that thin structures survive.

    Args:
        image: RGB (H, W, 3).
        truth: label map (H, W), `IGNORE` where nothing is known.
        prediction: label map (H, W).
        classes: names and colours.
    """
    panels = (
        Panel("image", "photo", image),
        _painted("truth", image, truth, classes),
        _painted("prediction", image, prediction, classes),
        Panel("errors", "photo", draw.errors(image, truth, prediction, classes)),
    )
    return Painted(panels, largest_error(truth, prediction, classes.names))


def legend(maps: Iterable[NDArray[np.uint8]], classes: Classes) -> Legend:
    """Return the colours of the classes painted in any of the label maps, and of the kinds of errors."""
    seen = {int(value) for labels in maps for value in np.unique(labels)}
    shown = sorted(index for index in seen if index < len(classes) and index != classes.background)
    errors = [("wrong class", draw.WRONG_CLASS)]
    if classes.background is not None:
        errors = [
            ("false negative", draw.FALSE_NEGATIVE),
            ("false positive", draw.FALSE_POSITIVE),
            *(errors if len(classes) > 2 else []),
        ]
    return Legend(tuple((classes.names[index], classes.colors[index]) for index in shown), tuple(errors))


def largest_error(truth: NDArray[np.uint8], prediction: NDArray[np.uint8], names: Sequence[str]) -> str:
    """Say which two classes are confused most, by pixels (H, W)."""
    known = (truth != IGNORE) & (truth != prediction)
    if not known.any():
        return "All labelled pixels are correct."
    labelled = int((truth != IGNORE).sum())
    pairs = truth[known].astype(np.int64) * 256 + prediction[known]
    codes, pixels = np.unique(pairs, return_counts=True)
    worst = int(pixels.argmax())
    predicted = int(codes[worst] % 256)
    called = f"predicted as {names[predicted]}" if predicted < len(names) else "not assigned a class"
    part, wrong = share(float(pixels[worst]) / labelled), percent(float(known.sum()) / labelled)
    return f"{wrong} of the pixels are wrong; most often {names[int(codes[worst] // 256)]} is {called} ({part})."


def _painted(title: str, image: NDArray[np.uint8], labels: NDArray[np.uint8], classes: Classes) -> Panel:
    """Tint the image where a background lets it show through, else paint the labels alone, which reads best."""
    if classes.background is None:
        return Panel(title, "flat", draw.colorize(labels, classes))
    return Panel(title, "photo", draw.overlay(image, labels, classes, 0.7))
