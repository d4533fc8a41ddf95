"""A network as layers that compute rows: traced, fused, and put in order."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from maskwright.inference.streaming.fusion import fused
from maskwright.inference.streaming.layers import Convolution, Pointwise, TransposedConvolution
from maskwright.inference.streaming.rules import layer_of, reduced_stack
from maskwright.inference.streaming.step import Step
from maskwright.inference.streaming.tracing import NotStreamableError, Operation, traced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from maskwright.inference.streaming.layers import Layer

    Stacks = dict[int, tuple[Operation, tuple[int, ...]]]


_VALUE_COST = 40
"""Multiply-adds of a convolution that take as long as to read or write one value: 0.18 and 7 ns in one thread."""


@dataclass(frozen=True)
class RowNetwork:
    """A network as a list of steps, each after those that it reads.

    Attributes:
        steps: see above.
        result: number of the last one.
        channels: of the image.
    """

    steps: tuple[Step, ...]
    result: int
    channels: int

    def parts(self, count: int) -> list[tuple[Step, ...]]:
        """Return the steps in consecutive parts that take about the same time; as many as there are steps at most."""
        until = [0.0, *itertools.accumulate(step.cost for step in self.steps)]
        shares = (until[-1] * part / count for part in range(count + 1))
        edges = [min(range(len(until)), key=lambda edge: abs(until[edge] - share)) for share in shares]
        found = [self.steps[first:last] for first, last in itertools.pairwise(edges)]
        return [part for part in found if part]

    @classmethod
    def of(cls, network: Callable[[Tensor], Tensor], image: Tensor) -> tuple[RowNetwork, Tensor]:
        """Trace a network in evaluation mode.

        Args:
            network: images (N, C, H, W) to maps (N, K, H, W).
            image: small, of a size that the network divides at all its levels, with its precision and on its device.

        Returns:
            The network by rows, and the maps of the image, to compare its own with.

        Raises:
            NotStreamableError: the network cannot be computed by rows.
        """
        operations, result, maps = traced(network, image)
        shapes: dict[int, tuple[int, ...]] = {0: tuple(image.shape)}
        aliases: dict[int, int] = {}
        stacks: Stacks = {}
        steps: list[Step] = []
        for operation in _needed(operations, result):
            inputs = tuple(aliases.get(number, number) for number in operation.inputs)
            shapes[operation.number] = operation.shape
            if operation.name == "stack":
                stacks[operation.number] = operation, inputs
                continue
            layer, inputs = _layer(operation, inputs, shapes, stacks)
            if layer is None:
                aliases[operation.number] = inputs[0]
            else:
                values, cost = _values(operation.shape, image.shape[3]), _cost(operation.number, inputs, layer, shapes)
                steps.append(Step(operation.number, inputs, layer, values, cost=cost))
        last = aliases.get(result, result)
        found = cls(tuple(fused(_without_overwriting(steps), last, shapes)), last, image.shape[1])
        if maps.shape[2:] != image.shape[2:]:
            raise NotStreamableError("its maps have another size than its input")
        return found, maps


def _layer(
    operation: Operation, inputs: tuple[int, ...], shapes: Mapping[int, tuple[int, ...]], stacks: Stacks
) -> tuple[Layer | None, tuple[int, ...]]:
    """Return the layer of an operation and the maps that it reads: of a stack those that were stacked.

    Raises:
        NotStreamableError: see `rules`.
    """
    if inputs[0] not in stacks:
        return layer_of(operation, [shapes[number] for number in inputs]), inputs
    stack, parts = stacks[inputs[0]]
    return reduced_stack(operation, stack, [shapes[number] for number in parts]), parts


def _values(shape: tuple[int, ...], width: int) -> float:
    return shape[1] * shape[3] / width


def _cost(number: int, inputs: Sequence[int], layer: Layer, shapes: Mapping[int, tuple[int, ...]]) -> float:
    """Return the multiply-adds of a layer, and what its values cost that are read and written."""
    values = sum(math.prod(shapes[each]) for each in (number, *inputs))
    multiplied = 0
    if isinstance(layer, Convolution) and layer.weight is not None:
        multiplied = math.prod(shapes[number]) * math.prod(layer.weight.shape[1:])
    elif isinstance(layer, TransposedConvolution):  # each value that it reads is multiplied by the whole kernel
        multiplied = math.prod(shapes[inputs[0]]) * math.prod(layer.weight.shape[1:])
    return float(multiplied + _VALUE_COST * values)


def _needed(operations: list[Operation], result: int) -> list[Operation]:
    """Return the operations that the result depends on, in their order."""
    wanted = {result}
    kept = []
    for operation in reversed(operations):
        if operation.number in wanted:
            wanted.update(operation.inputs)
            kept.append(operation)
    return kept[::-1]


def _without_overwriting(steps: list[Step]) -> list[Step]:
    """Let no step overwrite a map that another one reads too."""
    readers = Counter(source for step in steps for source in step.inputs)
    found = []
    for step in steps:
        call = step.layer.call if isinstance(step.layer, Pointwise) else None
        overwrites = isinstance(call, Operation) and str(call.function.overloadpacket.__name__).endswith("_")
        if overwrites and readers[step.inputs[0]] > 1:
            assert isinstance(call, Operation)
            found.append(replace(step, layer=Pointwise(_on_copy(call))))
        else:
            found.append(step)
    return found


def _on_copy(call: Operation) -> Callable[..., Tensor]:
    return lambda first, *others: call(first.clone(), *others)
