"""A network as an ONNX graph: uint8 images of any number and size in, raw maps or objects out. Knows no data set.

The normalisation of the training is part of the graph, so its user only needs pixels. Sizes stay symbols through the
whole network (`torch.export`), and so do the reflection at the edges and the cut back to the size of the image.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from maskwright.core.channels import emits_objects
from maskwright.core.errors import MaskwrightError
from maskwright.core.optional import optional
from maskwright.exporting.suppression import suppressed, translations
from maskwright.exporting.usage import INPUT, OUTPUT, metadata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from maskwright.models.bundle import Card
    from maskwright.models.objects.reading import Reading
    from maskwright.models.segmenter import Segmenter

_SCOPES = "pkg.torch.onnx.name_scopes"
OPSET = 20
_TRACED = (2, 421, 331)
"""Images, height and width of the example. Where the network asks whether two sizes are equal, the graph keeps the
answer for this example: so they are unequal, and large enough that no grid of a pyramid is as fine as its level."""


class Graph(nn.Module):
    """A segmenter that takes pixels: uint8 (N, H, W, C) to raw maps float32 (N, K, H, W), or to tensors of objects.

    Attributes:
        names: of what it returns.
        reading: how tensors become objects; None for maps.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, segmenter: Segmenter, card: Card) -> None:
        super().__init__()
        self.segmenter = segmenter
        self.reading: Reading | None = None
        self.names: tuple[str, ...] = (OUTPUT,)
        if emits_objects(card.channels):
            network = cast("Any", segmenter)
            self.reading, self.names = network.reading, network.reading.names
            boxes = network.reading.stride is None
            self._tensors = partial(network.tensors, suppress=suppressed()) if boxes else network.tensors
        shape = (1, card.data.channels, 1, 1)
        self.register_buffer("mean", torch.tensor(card.data.mean).reshape(shape))
        self.register_buffer("std", torch.tensor(card.data.std).reshape(shape))

    def forward(self, image: Tensor) -> Any:
        """Normalise the pixels and return the maps, or the tensors of objects."""
        x = self.normalised(image)
        return self.segmenter(x) if self.reading is None else tuple(self._tensors(x))

    def normalised(self, image: Tensor) -> Tensor:
        """Return pixels, uint8 (N, H, W, C), as the network takes them: float32 (N, C, H, W)."""
        return image.permute(0, 3, 1, 2).float().sub(self.mean).div(self.std)


def to_onnx(segmenter: Segmenter, card: Card) -> tuple[Any, dict[str, str]]:
    """Return the `onnx.ModelProto` of a network in evaluation mode, and the module that each node computes.

    Args:
        segmenter: of any kind.
        card: of it.

    Raises:
        MaskwrightError: PyTorch cannot export the network, or the packages of the extra `onnx` are missing.
    """
    optional("onnx", "onnx")
    optional("onnxscript", "onnx")
    example = torch.zeros((*_TRACED, card.data.channels), dtype=torch.uint8)
    free = dict.fromkeys(range(3), torch.export.Dim.DYNAMIC)
    network = Graph(segmenter, card).eval()
    with _quiet(), torch.no_grad(), _out_of_place(segmenter):
        try:
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                opset_version=OPSET,
                verbose=False,
                input_names=[INPUT],
                output_names=network.names,
                dynamic_shapes=(free,),
                external_data=False,
                custom_translation_table=translations(),
            )
        except torch.onnx.OnnxExporterError as error:
            raise MaskwrightError(
                f"PyTorch cannot write the network {card.model.name} as an ONNX graph ({_reason(error)}): export to "
                "torch, or train another network"
            ) from error
    assert program is not None
    model = program.model_proto
    modules = {node.name: _module(node) for node in model.graph.node}
    _clean(model)
    _name_axes(model.graph)
    for key, text in metadata(card, network.reading).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, text
    return model, modules


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter from talking about its own parts."""
    logger = logging.getLogger("onnxscript.optimizer")
    level = logger.level
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)


@contextlib.contextmanager
def _out_of_place(network: nn.Module) -> Iterator[None]:
    """Let activations write new maps meanwhile.

    PyTorch divides a ReLU6 that works in place into simpler steps, which takes a quarter of the time for
    EfficientNet-Lite0; one that does not is a single node.
    """
    changed = [layer for layer in network.modules() if getattr(layer, "inplace", False) is True]
    for layer in changed:
        layer.inplace = False  # type: ignore[assignment]
    try:
        yield
    finally:
        for layer in changed:
            layer.inplace = True  # type: ignore[assignment]


def _reason(error: BaseException) -> str:
    """Return the first line of the error that an exporter's error comes from."""
    cause = error.__cause__ or error
    return next((line.strip() for line in str(cause).splitlines() if line.strip()), type(cause).__name__)


def halved(model: Any) -> None:
    """Store the weights of a model in half the bytes, as float16 that is widened when the file is loaded; in place.

    Only tensors of 16 values or more are stored so: the others save nothing, and some are sizes.
    """
    import onnx
    from onnx import numpy_helper

    casts = []
    for weights in model.graph.initializer:
        values = numpy_helper.to_array(weights)
        if weights.data_type != onnx.TensorProto.FLOAT or values.size < 16:
            continue
        name = weights.name
        weights.CopyFrom(numpy_helper.from_array(values.astype("float16"), f"{name}.half"))
        casts.append(
            onnx.helper.make_node("Cast", [f"{name}.half"], [name], f"{name}.widen", to=onnx.TensorProto.FLOAT)
        )
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *rest])


def _module(node: Any) -> str:
    """Return the path of the module that a node belongs to, without the wrapper's name; "" for the wrapper itself."""
    scopes = next((entry.value for entry in node.metadata_props if entry.key == _SCOPES), "[]")
    path = [scope for scope in scopes.strip("[]").replace("'", "").split(", ") if scope]
    return path[-2].removeprefix("segmenter.") if len(path) > 1 else ""


def _clean(model: Any) -> None:
    """Remove what the exporter notes for its own developers, such as the paths of source files."""
    graph = model.graph
    for part in (*graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output, graph, model):
        del part.metadata_props[:]
    for node in graph.node:
        node.doc_string = ""


def _name_axes(graph: Any) -> None:
    """Call the free sizes of the image what they are, instead of the symbols that PyTorch counts them by: s40, s62."""
    names = dict(zip((axis.dim_param for axis in _axes(graph.input[0])), ("batch", "height", "width"), strict=False))
    for value in (*graph.input, *graph.output, *graph.value_info):
        for axis in _axes(value):
            if axis.dim_param:
                axis.dim_param = re.sub(r"\w+", lambda word: names.get(word[0], word[0]), axis.dim_param)


def _axes(value: Any) -> Any:
    return value.type.tensor_type.shape.dim
