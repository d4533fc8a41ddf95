"""The files that an export writes, and int8 quantisation on real tiles. Knows no data set and no score.

ONNX and OpenVINO start from the same graph (`exporting.graph`). Weights in half the bytes are widened when the file is
loaded, so the arithmetic stays float32.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from maskwright.core.errors import MaskwrightError
from maskwright.core.optional import optional
from maskwright.core.paths import EXPORT_FILES
from maskwright.exporting.graph import halved, to_onnx
from maskwright.exporting.usage import INPUT
from maskwright.models import bundle
from maskwright.models.layers.blocks import DoubleConv
from maskwright.models.objects.query_decoder import QueryDecoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from maskwright.models.bundle import Card
    from maskwright.models.segmenter import Segmenter


@dataclass(frozen=True)
class Precision:
    """The numbers of an export.

    Attributes:
        half: store weights as float16.
        tiles: real prepared tiles, each uint8 (1, h, w, channels), to quantise to int8 with; None for no quantisation.
        kept: names of nodes that stay in floating point.
    """

    half: bool = False
    tiles: Sequence[NDArray[np.uint8]] | None = None
    kept: Sequence[str] = ()


class Exporter:
    """One network, on its way into files.

    Args:
        segmenter: in evaluation mode, at the output stride of the card.
        card: of the network.

    Attributes:
        modules: of an ONNX graph, the module that each node computes; empty before there is a graph.
    """

    def __init__(self, segmenter: Segmenter, card: Card) -> None:
        self.segmenter, self.card = segmenter, card
        self.modules: dict[str, str] = {}
        self._graph: Any = None

    def check_int8(self) -> None:
        """Refuse a network that int8 is not for.

        Raises:
            MaskwrightError: its attention is masked.
        """
        if any(isinstance(layer, QueryDecoder) for layer in self.segmenter.modules()):
            raise MaskwrightError(
                f"{self.card.model.name} masks its attention with minus infinity, for which int8 has no range: export "
                "it without int8",
                "int8",
            )

    def prepare_int8(self) -> None:
        """Compute convolutions of upsampled maps by layers that runtimes have in int8 (`models.layers.enlarging`).

        U-Net with `compact`, 512x512, OpenVINO, one thread with AVX2: 85 ms instead of 104 with upsampled maps.
        """
        blocks = [layer for layer in self.segmenter.modules() if isinstance(layer, DoubleConv) and layer.coarse]
        for block in blocks:
            block.split()
        if blocks:
            self._graph = None

    def write(self, target: str, folder: Path, precision: Precision) -> Path:
        """Write the network for a target into an existing folder, and return the file to open.

        Raises:
            MaskwrightError: a precision that the target cannot have, a network that cannot be exported, or a package
                is missing.
        """
        file = folder / EXPORT_FILES[target]
        if target == "torch":
            if precision.tiles is not None:
                raise MaskwrightError("int8 needs the target onnx or openvino, and the target is torch", "int8")
            bundle.save(file, self.segmenter, self.card, torch.float16 if precision.half else torch.float32)
        elif target == "onnx":
            self._write_onnx(file, precision)
        else:
            self._write_openvino(file, precision)
        return file

    def _onnx(self) -> Any:
        """Return a copy of the graph, which is made once."""
        if self._graph is None:
            self._graph, self.modules = to_onnx(self.segmenter, self.card)
        copy = type(self._graph)()
        copy.CopyFrom(self._graph)
        return copy

    def _write_onnx(self, file: Path, precision: Precision) -> None:
        model = self._onnx()
        metadata = list(model.metadata_props)
        if precision.tiles is not None:
            model = quantised(model, [{INPUT: tile} for tile in precision.tiles], precision.kept)
            del model.metadata_props[:]
            model.metadata_props.extend(metadata)
        if precision.half:
            halved(model)
        file.write_bytes(model.SerializeToString())

    def _write_openvino(self, file: Path, precision: Precision) -> None:
        openvino = optional("openvino", "openvino")
        graph = self._onnx()
        model = openvino.Core().read_model(graph.SerializeToString())
        if precision.tiles is not None:
            _fold(model)
            model = quantised(model, precision.tiles, _operations(model, precision.kept))
        for entry in graph.metadata_props:
            model.set_rt_info(entry.value, [entry.key])
        openvino.save_model(model, file, compress_to_fp16=precision.half)


def _fold(model: Any) -> None:
    """Compute what depends on constants only, in place: among others the weights of depthwise convolutions.

    From weights that are still to be reshaped, NNCF takes a range for each column of a kernel, which OpenVINO computes
    in floating point.
    """
    passes = optional("openvino.passes", "openvino")
    manager = passes.Manager()
    manager.register_pass(passes.ConstantFolding())
    manager.run_passes(model)


def _operations(model: Any, nodes: Sequence[str]) -> list[str]:
    """Return the operations of an OpenVINO model that stand for nodes of the ONNX graph.

    A convolution with a bias becomes an addition of the same name and `NAME/WithoutBiases`, which does the work.
    """
    wanted = set(nodes)
    names = (operation.get_friendly_name() for operation in model.get_ordered_ops())
    return [name for name in names if name.partition("/")[0] in wanted]


def quantised(model: Any, tiles: Sequence[Any], kept: Sequence[str]) -> Any:
    """Return an ONNX or OpenVINO model with int8 layers, whose ranges are those seen on real tiles.

    Weights use half of the range (7 bits): without VNNI, processors add products of 8 bits in 16 bits, and larger sums
    are cut. The file may be run on such a processor, wherever it was made.

    Args:
        model: in floating point.
        tiles: inputs of the model.
        kept: names of nodes that stay in floating point.

    Raises:
        MaskwrightError: NNCF is not installed.
    """
    nncf = optional("nncf", "int8")
    parameters = optional("nncf.quantization.advanced_parameters", "int8")
    nncf.set_log_level(40)  # errors only
    with _without_cuda():
        return nncf.quantize(
            model,
            nncf.Dataset(tiles),
            preset=nncf.QuantizationPreset.MIXED,  # activations need not be symmetric
            subset_size=len(tiles),
            advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=parameters.OverflowFix.ENABLE),
            ignored_scope=nncf.IgnoredScope(names=list(kept), validate=False) if kept else None,
        )


@contextmanager
def _without_cuda() -> Iterator[None]:
    """Keep PyTorch from warning that a machine with CUDA's compiler has no GPU, and from nothing else.

    NNCF imports PyTorch's builder of C++ extensions to see whether a model is PyTorch's, and that looks for CUDA when
    it is imported. Nothing is built here.
    """

    def other(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("No CUDA runtime is found")

    logger = logging.getLogger("torch.utils.cpp_extension")
    logger.addFilter(other)
    try:
        yield
    finally:
        logger.removeFilter(other)
