"""Engines for exported networks: ONNX Runtime and OpenVINO, on the CPU. They know no image and no task.

Both take what `exporting.graph` writes: uint8 tiles in, raw maps or tensors of objects out. Neither sends anything
(`core.optional`).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import torch
from pydantic import ValidationError

from maskwright.core import resources
from maskwright.core.channels import emits_objects
from maskwright.core.errors import MaskwrightError
from maskwright.core.optional import optional
from maskwright.models.bundle import parse_card
from maskwright.models.objects.reading import READING_KEY, Reading
from maskwright.models.weights import CARD_KEY
from maskwright.ops.images import working_size

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from maskwright.core.plan import PredictPlan
    from maskwright.models.bundle import Card
    from maskwright.models.objects.base import Found, Segments

_CPU = torch.device("cpu")
_OTHER_SIZES = 4
"""Compiled networks that are kept for sizes of tiles besides those of the plan; each takes tens of MB."""
_WEIGHTS = re.compile(rb'offset="(\d+)" size="(\d+)"')
"""Where the weights of a layer lie in the file beside a description."""


class _CpuEngine(ABC):
    """What both engines share: a CPU that one tile keeps busy, and what the outputs of a graph mean.

    Args:
        reading: how tensors become objects; None for a network that emits maps.
    """

    device = _CPU
    batch = 1

    def __init__(self, reading: Reading | None) -> None:
        self._reading = reading

    @abstractmethod
    def _run(self, tiles: NDArray[np.uint8]) -> list[NDArray[Any]]:
        """Return the outputs of the graph, in its order."""

    def forward(self, tiles: NDArray[np.uint8]) -> Tensor:
        """See `Engine`."""
        return torch.from_numpy(self._run(tiles)[0])

    def objects(self, tiles: NDArray[np.uint8]) -> list[Found | Segments]:
        """See `Engine`."""
        assert self._reading is not None
        tensors = zip(self._reading.names, map(torch.from_numpy, self._run(tiles)), strict=True)
        return self._reading.objects(dict(tensors), len(tiles))


class OnnxEngine(_CpuEngine):
    """ONNX Runtime, in float32 or with the int8 layers of the file."""

    def __init__(self, session: Any, reading: Reading | None = None) -> None:
        super().__init__(reading)
        self._session = session

    @classmethod
    def load(cls, path: Path) -> tuple[OnnxEngine, Card]:
        """Open an exported ONNX file.

        Raises:
            MaskwrightError: the package is missing, or the file is damaged or not from an export.
        """
        optional("onnxruntime", "onnx")
        try:
            session = onnx_session(path)
        except Exception as error:  # noqa: BLE001 (its errors share no base)
            first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise _unreadable(path, first.strip()) from None
        card, reading = _described(dict(session.get_modelmeta().custom_metadata_map), path)
        return cls(session, reading), card

    def _run(self, tiles: NDArray[np.uint8]) -> list[NDArray[Any]]:
        found: list[NDArray[Any]] = self._session.run(None, {self._session.get_inputs()[0].name: tiles})
        return found


class OpenvinoEngine(_CpuEngine):
    """OpenVINO, in float32 unless speed is asked for, or with the int8 layers of the file.

    A network compiled for one size of tile is faster than one for any size, and differs in the last bit. So it depends
    on the size alone which one runs: the tile of the card has its own, also at the scales of the views. On processors
    with AMX, OpenVINO crashes when a network with int8 layers takes any size (issue 37577 of openvinotoolkit/openvino),
    so there every size has its own.

    Args:
        core: of OpenVINO.
        model: takes tiles of any size.
        how: the card's way to predict.
        reading: how tensors become objects; None for a network that emits maps.
        fast: see `load`.
    """

    def __init__(
        self, core: Any, model: Any, how: PredictPlan, reading: Reading | None = None, *, fast: bool = False
    ) -> None:
        super().__init__(reading)
        self._core, self._model, self._fast = core, model, fast
        self._tensor = optional("openvino", "openvino").Tensor
        sizes = {how.tile_size, *(working_size(*how.tile_size, scale) for scale, _ in how.views)}
        self._planned = {(1, *size) for size in sizes}
        self._takes_any = not (resources.multiplies_tiles() and _has_int8(model))
        self._requests: dict[tuple[int, ...] | None, Any] = {}

    @classmethod
    def load(cls, path: Path, *, fast: bool = False) -> tuple[OpenvinoEngine, Card]:
        """Open an exported OpenVINO or ONNX file.

        Args:
            path: of it.
            fast: bfloat16 where the processor multiplies it in hardware. Left alone, OpenVINO takes it wherever it can.

        Raises:
            MaskwrightError: the package is missing, or the file is damaged or not from an export.
        """
        openvino = optional("openvino", "openvino")
        if path.suffix == ".xml" and not path.with_suffix(".bin").is_file():
            raise MaskwrightError(f"{path} has no {path.with_suffix('.bin').name} beside it: copy both files")
        core = openvino.Core()
        try:
            model = core.read_model(path)
            card, reading = _described(_metadata(model), path)
            return cls(core, model, card.predict, reading, fast=fast), card
        except RuntimeError as error:
            raise _unreadable(*_fault(path)) from error

    def for_tiles(self, how: PredictPlan) -> OpenvinoEngine:
        """Return an engine of the same network that is compiled for the tiles of another plan."""
        return OpenvinoEngine(self._core, self._model, how, self._reading, fast=self._fast)

    def _run(self, tiles: NDArray[np.uint8]) -> list[NDArray[Any]]:
        size = None if self._takes_any and tiles.shape[:3] not in self._planned else tiles.shape[:3]
        request = self._request(size, tiles.shape[3])
        if any(output.partial_shape.is_dynamic for output in request.model_outputs):
            found = request.infer({0: tiles}, share_inputs=True)
            return [found[place].copy() for place in range(len(found))]
        own = [self._tensor(output.element_type, output.shape) for output in request.model_outputs]
        request.set_output_tensors(dict(enumerate(own)))
        request.infer({0: tiles}, share_inputs=True, share_outputs=True)  # into them, which spares a copy
        return [tensor.data for tensor in own]

    def _request(self, size: tuple[int, ...] | None, channels: int) -> Any:
        """Return the compiled network for tiles of a size (N, h, w), or of any.

        Those of the plan are kept, and the last few of other sizes.
        """
        found = self._requests.pop(size, None)
        if found is None:
            others = [known for known in self._requests if known not in self._planned]
            if len(others) == _OTHER_SIZES:
                del self._requests[others[0]]  # the least recently used
            model = self._model
            if size is not None:
                model = model.clone()
                model.reshape([*size, channels])
            found = compiled(self._core, model, fast=self._fast).create_infer_request()
        self._requests[size] = found
        return found


def _has_int8(model: Any) -> bool:
    return any(node.get_type_name() == "FakeQuantize" for node in model.get_ops())


def onnx_session(model: Path | bytes) -> Any:
    """Open an ONNX model, a file or its content, for the cores of this process."""
    runtime = optional("onnxruntime", "onnx")
    runtime.disable_telemetry_events()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = resources.cores()
    options.log_severity_level = 3  # errors only
    # Threads that spin keep a core from the decoder and other programs: 4 % faster alone, much slower beside them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def compiled(core: Any, model: Any, *, fast: bool = False) -> Any:
    """Compile an OpenVINO model for the cores of this process."""
    able = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    settings = {
        "INFERENCE_NUM_THREADS": resources.cores(),
        "INFERENCE_PRECISION_HINT": "bf16" if fast and able else "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    return core.compile_model(model, "CPU", settings)


def _metadata(model: Any) -> dict[str, str]:
    """Return the metadata of an OpenVINO model: its own, or those of the ONNX file that it was read from."""
    found = {}
    for key in (CARD_KEY, READING_KEY):
        for path in ([key], ["framework", key]):
            if model.has_rt_info(path):
                found[key] = model.get_rt_info(path).astype(str)
    return found


def _described(metadata: dict[str, str], path: Path) -> tuple[Card, Reading | None]:
    """Return the card of a file, and how its tensors become objects, where it emits objects.

    Raises:
        MaskwrightError: one of them is missing or damaged.
    """
    card = parse_card(metadata, str(path))
    if not emits_objects(card.channels):
        return card, None
    try:
        return card, Reading.model_validate_json(metadata.get(READING_KEY, ""))
    except ValidationError:
        raise MaskwrightError(
            f"{path} does not say how to read its objects ({READING_KEY}): copy the file again, or export again"
        ) from None


def _fault(path: Path) -> tuple[Path, str]:
    """Return the file that OpenVINO refuses and what is wrong with it; its own words name lines of its source."""
    if path.suffix == ".xml":
        content, weights = path.read_bytes(), path.with_suffix(".bin")
        if not content.rstrip().endswith(b"</net>"):
            return path, "its end is missing"
        needed = max((int(offset) + int(size) for offset, size in _WEIGHTS.findall(content)), default=0)
        held = weights.stat().st_size
        if held < needed:
            return weights, f"it has {held} bytes, and {path.name} needs {needed}"
    return path, "OpenVINO cannot read it"


def _unreadable(path: Path, fault: str) -> MaskwrightError:
    return MaskwrightError(
        f"{path} cannot be opened ({fault}): it was cut, or has another format. Copy it again, or export again"
    )
