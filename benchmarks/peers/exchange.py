"""What a peer gets and gives. This and its neighbours run in the peer's own environment and know nothing of maskwright.

`instance_peers.py` writes train/, val/ and test/ with one .npz an image (`image` uint8 RGB, `ids` int32; no `ids` in
test/). A peer writes found/ with one .npy of ids an image, and facts.json.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Image = NDArray[np.uint8]
    Ids = NDArray[np.int32]
    Predict = Callable[[Image], NDArray[Any]]


@dataclass(frozen=True)
class Job:
    """What a peer has to do.

    Attributes:
        folder: the peer's own, for whatever it writes.
        train, val: images (H, W, 3) and their instance maps (H, W).
        seconds: how long to train.
        threads: how many to use.
        started: when its clock began: after the imports, before the first use of the data.
    """

    folder: Path
    train: list[tuple[Image, Ids]]
    val: list[tuple[Image, Ids]]
    seconds: float
    threads: int
    started: float

    def gone(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self.started

    def left(self) -> float:
        """Return the seconds left to train."""
        return self.seconds - self.gone()

    def coloured(self) -> bool:
        """Whether any image has a colour."""
        return any(np.ptp(image, axis=2).any() for image, _ in [*self.train, *self.val])


def serve(train: Callable[[Job], tuple[Predict, dict[str, Any]]]) -> None:
    """Do one job: train, then predict the held-out images.

    Args:
        train: returns what predicts an image, and facts about the training.
    """
    data, folder = Path(sys.argv[1]), Path(sys.argv[2])
    pairs = {part: [_pair(path) for path in sorted((data / part).iterdir())] for part in ("train", "val")}
    job = Job(folder, pairs["train"], pairs["val"], float(sys.argv[3]), int(sys.argv[4]), time.monotonic())
    predict, facts = train(job)
    (folder / "found").mkdir()
    images = {path.stem: np.load(path)["image"] for path in sorted((data / "test").iterdir())}
    began = time.monotonic()
    for name, image in images.items():
        np.save(folder / "found" / name, np.asarray(predict(image)).astype(np.int32))
    facts["predict_seconds"] = time.monotonic() - began
    (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def _pair(path: Path) -> tuple[Image, Ids]:
    held = np.load(path)
    return held["image"], held["ids"]
