"""Finds the layers of an export that differ from the trained network, module by module. Knows no score.

A module of the network corresponds to the last node of the graph that carries its path, unless one of a module in it
comes later, so the outputs of both can be compared on the same tile. A convolution with a normalisation behind it is
left out: a graph computes both as one node, that of the normalisation. The error of a layer is the mean difference over
the mean value; a layer hurts by what its error exceeds that of all layers before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from maskwright.core.optional import optional
from maskwright.inference.exported import compiled, onnx_session

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.exporting.graph import Graph

FEW = 3


def worst(graph: Graph, file: Path, modules: Mapping[str, str], tile: NDArray[np.uint8]) -> list[tuple[str, float]]:
    """Return the modules that hurt most, the worst first, each with the error that it adds.

    Args:
        graph: the trained network.
        file: the export, ONNX or OpenVINO.
        modules: module of each node, in the order of the graph.
        tile: uint8 (1, h, w, channels).
    """
    last: dict[str, str] = {}
    for node, module in modules.items():
        if module:
            last.pop(module, None)  # a module comes where its last node does
            last[module] = node
            for holder in _holders(module):
                last.pop(holder, None)  # what it computed itself was not its output
    exported = _onnx_outputs(file, last, tile) if file.suffix == ".onnx" else _openvino_outputs(file, last, tile)
    trained = _torch_outputs(graph, exported, tile)
    added, before = [], 0.0
    for module in exported:
        if module not in trained or trained[module].shape != exported[module].shape:
            continue
        error = _error(trained[module], exported[module])
        if error > before:
            added.append((module, error - before))
            before = error
    return sorted(added, key=lambda entry: -entry[1])[:FEW]


def _holders(module: str) -> list[str]:
    """Return the paths of the modules that hold this one."""
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _error(trained: NDArray[Any], exported: NDArray[Any]) -> float:
    return float(np.abs(trained - exported).mean() / max(float(np.abs(trained).mean()), 1e-9))


def _torch_outputs(graph: Graph, wanted: Mapping[str, Any], tile: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """Run the network and keep the outputs of the modules wanted."""
    found: dict[str, NDArray[Any]] = {}
    convolved: dict[int, tuple[str, torch.Tensor]] = {}  # by the identity of the tensor, which must live for that

    def keep(name: str) -> Any:
        def hook(module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor):
                if isinstance(module, nn.Conv2d):
                    convolved[id(output)] = name, output
                found[name] = output.detach().numpy().copy()  # some later layers work in place

        return hook

    def leave_out(_norm: nn.Module, inputs: Any) -> None:
        name, _ = convolved.get(id(inputs[0]), ("", None))
        found.pop(name, None)

    named = dict(graph.segmenter.named_modules())
    hooks = [named[name].register_forward_hook(keep(name)) for name in wanted if name in named]
    norms = (module for module in named.values() if isinstance(module, nn.BatchNorm2d))
    hooks += [norm.register_forward_pre_hook(leave_out) for norm in norms]
    try:
        with torch.no_grad():
            graph(torch.from_numpy(tile))
    finally:
        for each in hooks:
            each.remove()
    return found


def _onnx_outputs(file: Path, last: Mapping[str, str], tile: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    onnx = optional("onnx", "onnx")
    model = onnx.load(str(file))
    outputs = {node.name: node.output[0] for node in model.graph.node}
    named = {module: outputs[node] for module, node in last.items() if node in outputs}
    have = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in {*named.values()} - have)
    session = onnx_session(model.SerializeToString())
    found = session.run(list(named.values()), {session.get_inputs()[0].name: tile})
    return dict(zip(named, found, strict=True))


def _openvino_outputs(file: Path, last: Mapping[str, str], tile: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    core = optional("openvino", "openvino").Core()
    model = core.read_model(file)
    nodes = {node.get_friendly_name(): node for node in model.get_ordered_ops()}
    named = {module: nodes[node].output(0) for module, node in last.items() if node in nodes}
    first = len(model.outputs)
    model.add_outputs(list(named.values()))
    model.reshape(list(tile.shape))  # see `OpenvinoEngine` for what happens to int8 otherwise
    found = compiled(core, model)([tile])
    return {module: np.asarray(found[first + place]) for place, module in enumerate(named)}
