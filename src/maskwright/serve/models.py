"""Served models: loaded, described, and loaded again when their files change. Knows no request and no protocol."""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.errors import MaskwrightError
from maskwright.core.paths import EXPORTS, MODEL_FILES, PARITY, model_file
from maskwright.diagnosis.shift import FILE, Reference
from maskwright.inference import Predictor
from maskwright.inference.engine import TorchEngine, method_of
from maskwright.inference.origin import digest
from maskwright.serve.drift import Drift

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from maskwright.serve.settings import ServeRequest

    Stamp = tuple[tuple[str, int, int, int], ...]

LOG = logging.getLogger("maskwright.serve")
_ALONG = {".xml": ".bin"}


@dataclass(frozen=True)
class Loaded:
    """One state of a model's file.

    Attributes:
        predictor: that it holds.
        sha256: of the file.
        at: when it was loaded, in UTC.
        seconds: that the network takes for a pixel of a tile, about.
        stamp: of the files, to see that they change.
        drift: compares images with those of the training; None where nothing is known of them, or of an export.
    """

    predictor: Predictor
    sha256: str
    at: datetime
    seconds: float
    stamp: Stamp
    drift: Drift | None = None


class Served:
    """A model with its name.

    Args:
        name: in requests.
        path: run folder, export, or model file.
        request: how to run it.

    Attributes:
        current: what requests use; replaced as a whole, so that a request keeps the model that it began with.

    Raises:
        MaskwrightError: no usable model.
    """

    def __init__(self, name: str, path: Path, request: ServeRequest) -> None:
        self.name, self.path, self._request = name, path, request
        self.current = self._load()
        self._seen = self._refused = self.current.stamp

    def refresh(self) -> bool | None:
        """Load the model again if its files changed and are at rest; a bad file leaves the old model.

        Returns:
            Whether the new model is in use; None if nothing changed.
        """
        found = stamp(self.path)
        at_rest, self._seen = found == self._seen, found
        if not found or not at_rest or found in {self.current.stamp, self._refused}:
            return None
        try:
            self.current = self._load()
        except Exception as error:  # noqa: BLE001 (whatever is wrong with the file, the old model works)
            self._refused = found
            LOG.warning("%s changed, but the old model stays in use: %s", self.path, error)
            return False
        LOG.warning("%s changed: %s is the new model (sha256 %s)", self.path, self.name, self.current.sha256[:12])
        return True

    def drift_share(self) -> float:
        """Return the share of recent images that look unlike the training images; NaN where that is unknown."""
        drift = self.current.drift
        return math.nan if drift is None else drift.share

    def drift_images(self) -> float:
        """Return the number of images that the share is over."""
        drift = self.current.drift
        return 0 if drift is None else drift.images

    def describe(self) -> dict[str, Any]:
        """Return what a client needs to know."""
        now, card = self.current, self.current.predictor.card
        return {
            "name": self.name,
            "task": card.task,
            "architecture": card.model.name,
            "classes": class_table(now.predictor),
            "channels": card.data.channels,
            "tile": list(card.predict.tile_size),
            "upright": card.upright,
            "version": card.maskwright,
            "sha256": now.sha256,
            "loaded": now.at.isoformat(timespec="seconds"),
        }

    def _load(self) -> Loaded:
        """Load the files as they are, and let the network see one tile."""
        before, asked = stamp(self.path), self._request
        predictor = Predictor.load(
            self.path, asked.device, fast=asked.fast, postprocess=asked.postprocess, engine=asked.engine
        )
        height, width = predictor.card.predict.tile_size
        tile = np.zeros((1, height, width, predictor.card.data.channels), np.uint8)
        run = method_of(predictor.engine, predictor.card)
        run(tile)  # the first one takes longer, and does not count
        began = time.perf_counter()
        run(tile)
        seconds = (time.perf_counter() - began) / (height * width)
        sha256 = digest(model_file(self.path))
        return Loaded(predictor, sha256, datetime.now(UTC), seconds, before, self._drift(predictor, sha256))

    def _drift(self, predictor: Predictor, sha256: str) -> Drift | None:
        """Return what compares images with those of the training, if `diagnose` has kept them and the engine can.

        Raises:
            MaskwrightError: the file is damaged.
        """
        if not isinstance(predictor.engine, TorchEngine):
            return None
        reference = Reference.load(_reference(self.path), sha256)
        return None if reference is None else Drift(reference)


def _reference(path: Path) -> Path:
    """Return where the training images of a model are described, if they are."""
    return (path if path.is_dir() else path.parent) / FILE


def class_table(predictor: Predictor) -> list[dict[str, Any]]:
    """Return index, name and colour of each class, and whether it means background or has objects of its own."""
    classes = predictor.classes
    return [
        {
            "index": index,
            "name": name,
            "color": list(classes.colors[index]),
            "background": index == classes.background,
            "thing": index in classes.objects,
        }
        for index, name in enumerate(classes.names)
    ]


def stamp(path: Path) -> Stamp:
    """Return what changes when a file of a model does: name, time, size and number; empty while there is none."""
    files = [path] if path.is_file() else [path / name for name in MODEL_FILES]
    files.append(_reference(path))
    files += [file for name in MODEL_FILES for file in sorted(path.glob(f"{EXPORTS}/*/{name}"))]
    files += dict.fromkeys(file.with_name(PARITY) for file in files)  # has their hashes, and may be copied after them
    found = []
    for file in (*files, *(file.with_suffix(_ALONG[file.suffix]) for file in files if file.suffix in _ALONG)):
        try:
            state = file.stat()
        except OSError:
            continue
        found.append((str(file), state.st_mtime_ns, state.st_size, state.st_ino))
    return tuple(found)


def load_all(runs: Sequence[str], request: ServeRequest) -> dict[str, Served]:
    """Load models by name: `RUN`, named after its folder, or `NAME=RUN`.

    Raises:
        MaskwrightError: no usable model, or two of one name.
    """
    found: dict[str, Served] = {}
    for run in runs:
        name, path = _named(run)
        if name in found:
            raise MaskwrightError(
                f"two models are called {name} ({found[name].path} and {path}): give one another name, such as "
                f"{name}2={path}"
            )
        found[name] = Served(name, path, request)
    return found


def _named(run: str) -> tuple[str, Path]:
    name, equals, path = run.partition("=")
    if equals and name and not Path(run).exists():
        return name, Path(path)
    place = Path(run).resolve()
    return (place.parent if place.is_file() else place).name, Path(run)


class Watcher:
    """A thread that looks at the files of models every second.

    Args:
        models: to look at.
        on_reload: gets the name of a model whose file changed, and whether the new file is in use.
        seconds: between two looks.
    """

    def __init__(self, models: Sequence[Served], on_reload: Callable[[str, bool], None], seconds: float = 1.0) -> None:
        self._models, self._on_reload, self._seconds = models, on_reload, seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(self._seconds):
            for model in self._models:
                taken = model.refresh()
                if taken is not None:
                    self._on_reload(model.name, taken)
