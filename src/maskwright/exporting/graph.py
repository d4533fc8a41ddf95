"""A network as an ONNX graph: uint8 images of any number and size in, raw maps out. Knows no data set and no runtime.

The normalisation of the training is part of the graph, so its user only needs pixels. Sizes stay symbols through the
whole network (`torch.export`), and so do the reflection at the edges and the cut back to the size of the image.
"""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from maskwright.core.channels import total
from maskwright.core.errors import MaskwrightError
from maskwright.core.optional import optional
from maskwright.models.weights import CARD_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from maskwright.models.bundle import Card
    from maskwright.models.segmenter import Segmenter

INPUT, OUTPUT = "image", "maps"
USAGE_KEY = "maskwright.usage"
_SCOPES = "pkg.torch.onnx.name_scopes"
OPSET = 20
_TRACED = (2, 421, 331)
"""Images, height and width of the example. Where the network asks whether two sizes are equal, the graph keeps the
answer for this example: so they are unequal, and large enough that no grid of a pyramid is as fine as its level."""


class Graph(nn.Module):
    """A segmenter that takes pixels: uint8 (N, H, W, C) to raw maps float32 (N, K, H, W)."""

    mean: Tensor
    std: Tensor

    def __init__(self, segmenter: Segmenter, card: Card) -> None:
        super().__init__()
        self.segmenter = segmenter
        shape = (1, card.data.channels, 1, 1)
        self.register_buffer("mean", torch.tensor(card.data.mean).reshape(shape))
        self.register_buffer("std", torch.tensor(card.data.std).reshape(shape))

    def forward(self, image: Tensor) -> Tensor:
        """Normalise the pixels and return the maps."""
        x = image.permute(0, 3, 1, 2).float().sub(self.mean).div(self.std)
        return cast("Tensor", self.segmenter(x))


def to_onnx(segmenter: Segmenter, card: Card) -> tuple[Any, dict[str, str]]:
    """Return the `onnx.ModelProto` of a network in evaluation mode, and the module that each node computes.

    Args:
        segmenter: emits maps, not objects.
        card: of it.

    Raises:
        MaskwrightError: PyTorch cannot export the network, or the packages of the extra `onnx` are missing.
    """
    optional("onnx", "onnx")
    optional("onnxscript", "onnx")
    example = torch.zeros((*_TRACED, card.data.channels), dtype=torch.uint8)
    free = dict.fromkeys(range(3), torch.export.Dim.DYNAMIC)
    quiet = contextlib.redirect_stdout(io.StringIO())
    with warnings.catch_warnings(), quiet, torch.no_grad(), _out_of_place(segmenter):
        warnings.simplefilter("ignore")  # of the exporter, on its own parts
        try:
            program = torch.onnx.export(
                Graph(segmenter, card).eval(),
                (example,),
                dynamo=True,
                opset_version=OPSET,
                verbose=False,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=(free,),
                external_data=False,
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
    for key, text in ((CARD_KEY, json.dumps(card.model_dump())), (USAGE_KEY, usage(card))):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, text
    return model, modules


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


def usage(card: Card) -> str:
    """Say what a program needs to know to use the file without Python."""
    data, decoding = card.data, card.decoding
    lines = [
        f"Input {INPUT}: uint8 (N, H, W, {data.channels}), any N, H and W; normalisation is part of the network.",
        f"Output {OUTPUT}: float32 (N, {total(card.channels)}, H, W), raw values in these groups of channels: "
        + "; ".join(f"{group.name} ({group.count}, {group.activation})" for group in card.channels)
        + ".",
        "Apply each group's activation. In the group 'classes', the index of the largest value is the class of a "
        "pixel; names and colours are in the card, under 'classes'.",
        f"The card is the JSON text under the key {CARD_KEY!r}: 'data' says how pixels were scaled before, 'predict' "
        "the size and overlap of tiles for large images, 'decoding' what was fitted on validation images.",
    ]
    if decoding:
        lines.append(
            f"Decoding: {json.dumps(decoding)}. Add 'offsets' to the raw values of the classes before the largest is "
            "taken; divide the sums by 'temperature' before the activation to get calibrated probabilities."
        )
    return "\n".join(lines)


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
