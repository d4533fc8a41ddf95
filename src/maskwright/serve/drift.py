"""Drift: whether the images of the last requests look like those of the training. Knows no request."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from maskwright.diagnosis.shift import UNLIKE, Reference, image_features

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.inference import Predictor

RECENT = 200
"""Images that the share is over."""
FEWEST = 20
"""Images without which nothing is said."""
PAUSE = 20.0
"""No image is looked at for this many times as long as the last one took, so that it costs at most 5 % of the time."""


class Drift:
    """Compares the images of requests with those of a training.

    Args:
        reference: of the training images.
    """

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._unlike: deque[bool] = deque(maxlen=RECENT)
        self._next = 0.0
        self._lock = threading.Lock()

    @property
    def images(self) -> int:
        """Number of images that the share is over."""
        return len(self._unlike)

    @property
    def share(self) -> float:
        """Share of the recent images that look unlike those of the training; NaN while there are too few."""
        recent = list(self._unlike)
        return sum(recent) / len(recent) if len(recent) >= FEWEST else float("nan")

    def look(self, predictor: Predictor, image: NDArray[Any]) -> None:
        """Compare an image (H, W, C) of a request, unless the last one was compared too recently.

        Args:
            predictor: with the engine of the request.
            image: that it has predicted.
        """
        began = time.monotonic()
        with self._lock:
            if began < self._next:
                return
            self._next = float("inf")  # until this one is done
        try:
            distance = self._reference.distances(image_features(predictor, image)[None])
            self._unlike.append(bool(self._reference.chances(distance)[0] <= UNLIKE))
        finally:
            self._next = time.monotonic() + PAUSE * (time.monotonic() - began)
