"""Finds the files of a model, opens one with an engine, or the fastest of them. Knows no image.

A run folder holds the trained model and, below `exports/`, its exports, each of which agreed with the model
(`exporting.parity`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from importlib.util import find_spec
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.core.paths import EXPORTS, MODEL_FILES, model_file
from maskwright.inference.engine import TorchEngine, method_of
from maskwright.inference.exported import OnnxEngine, OpenvinoEngine
from maskwright.inference.origin import check_origin, check_whole, digest
from maskwright.models import bundle

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.inference.engine import Engine
    from maskwright.models.bundle import Card

ENGINES = {"torch": (".safetensors",), "onnx": (".onnx",), "openvino": (".xml", ".onnx")}
"""The suffixes of the files that each engine reads."""
PACKAGES = {"onnx": "onnxruntime", "openvino": "openvino"}
"""The package of each engine but torch, which is always there."""
AUTO = "auto"
_CPU = ("auto", "cpu")
"""Devices that may be asked for where only the CPU can be used."""
_RUNS = 5


@dataclass(frozen=True)
class How:
    """How a model is run.

    Attributes:
        device: as `models.device.resolve_device` takes it; exports run on the CPU only.
        fast: bfloat16, where the engine has it.
        output_stride: largest stride of the network, which only PyTorch can change; None for what the card says.
    """

    device: str | torch.device = "auto"
    fast: bool = False
    output_stride: int | None = None


class Loaded(NamedTuple):
    """The arguments of `Predictor.load` and `with_flip`, with which another process can load the same model."""

    path: Path
    device: str
    fast: bool
    output_stride: int | None
    postprocess: str | None
    engine: str | None
    flip: bool | None = None

    def digest(self) -> str:
        """Return the SHA-256 of the model's files."""
        return digest(model_file(self.path))


def opened(path: Path, how: How, engine: str | None = None) -> tuple[Engine, Card]:
    """Open a model with an engine.

    Args:
        path: a run folder, the folder of an export, or a model file.
        how: to run it.
        engine: name in `ENGINES`; `auto` for the fastest, on this machine, of those that are installed, that the model
            has a file for and that can be run in this way; None for the first that reads the file.

    Raises:
        MaskwrightError: no such file, engine or device, a damaged file, or an export that was made from another model
            than the one in the run.
    """
    if engine is None:
        file = model_file(path)
        check_whole(file)
        return _open(file, next((name for name in ENGINES if file.suffix in ENGINES[name]), "torch"), how)
    if engine not in {AUTO, *ENGINES}:
        raise unknown_name("engine", engine, (*ENGINES, AUTO), "engine")
    names = [name for name in ENGINES if _possible(name, how)] if engine == AUTO else [engine]
    own, *exports = _files(path)
    # PyTorch takes the model itself: what an export stores of it is rounded.
    found = [(file, "torch") for file in [own] if "torch" in names and file.suffix in ENGINES["torch"]]
    others = [name for name in names if name != "torch"]
    # What is compared with the model is an export in its own engine, so `auto` takes no other.
    read = {name: ENGINES[name][:1] if engine == AUTO else ENGINES[name] for name in others}
    found += [(file, name) for file in (own, *exports) for name in others if file.suffix in read[name]]
    compared = {file: check_origin(file, own) for file, _ in found if file is not own}
    if not found:
        raise MaskwrightError(
            f"{path} has no file for the engine {engine}: export the model for it, or choose another engine",
            "engine",
        )
    for file in dict(found):
        check_whole(file)
    if len(found) == 1:
        return _open(*found[0], how)
    models = [_open(file, name, how) for file, name in found]
    if engine == AUTO and how.fast:  # without the hardware, bfloat16 is the slower one
        models += [_open(file, name, replace(how, fast=False)) for file, name in found]
    elif engine == AUTO:
        rounded = [file for file, _ in found if compared.get(file, {}).get("bfloat16") is not None]
        models += [_open(file, "openvino", replace(how, fast=True)) for file in rounded]
    times = milliseconds([model for model, _ in models], models[0][1])
    return models[times.index(min(times))]


def milliseconds(engines: Sequence[Engine], card: Card, tile: NDArray[np.uint8] | None = None) -> list[float]:
    """Return the median time of one tile for each engine, after one that does not count.

    They take turns, so that other programs on the machine disturb all of them alike.

    Args:
        engines: of networks that emit the same.
        card: of one of them.
        tile: real one, uint8 (1, h, w, channels), for networks of objects, which take longer the more objects they
            find; None for noise.
    """
    if tile is None:
        height, width = card.predict.tile_size
        tile = np.random.default_rng(0).integers(0, 256, (1, height, width, card.data.channels), np.uint8)
    times: list[list[float]] = [[] for _ in engines]
    for run in range(1 + _RUNS):
        for engine, own in zip(engines, times, strict=True):
            started = time.perf_counter()
            found = method_of(engine, card)(tile)
            if isinstance(found, torch.Tensor):
                found.cpu()  # a GPU has finished when its result is here
            if run:
                own.append(time.perf_counter() - started)
    return [1000 * median(own) for own in times]


def _possible(engine: str, how: How) -> bool:
    """Whether an engine is installed and can be run as wanted."""
    if engine == "torch":
        return True
    return find_spec(PACKAGES[engine]) is not None and str(how.device) in _CPU and how.output_stride is None


def _files(path: Path) -> list[Path]:
    """Return all files of a model."""
    own = model_file(path)
    return [own, *(file for name in MODEL_FILES for file in sorted(path.glob(f"{EXPORTS}/*/{name}")))]


def _open(file: Path, engine: str, how: How) -> tuple[Engine, Card]:
    if engine == "torch":
        segmenter, card = bundle.load(file)
        if how.output_stride is not None:
            wanted = card.predict.model_copy(update={"output_stride": how.output_stride})
            card = card.model_copy(update={"predict": wanted})
        return TorchEngine(segmenter, card, how.device, fast=how.fast), card
    if str(how.device) not in _CPU:
        raise MaskwrightError(f"{file} runs on the CPU only, and the device is {how.device}: leave it out", "device")
    if how.output_stride is not None:
        raise MaskwrightError(f"the output stride of {file} is fixed: leave it out, or use the run", "output_stride")
    return OnnxEngine.load(file) if engine == "onnx" else OpenvinoEngine.load(file, fast=how.fast)
