"""What a network computes, traced while it runs once on a small image. Knows no layer's rows.

PyTorch hands every operation to a mode that is switched on (`TorchDispatchMode`), whatever Python the network consists
of. Operations that do not depend on the image are constants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from maskwright.models.dispatch import DispatchMode

if TYPE_CHECKING:
    from collections.abc import Callable


class NotStreamableError(Exception):
    """A network that cannot be computed by rows, and why: the end of a sentence about it."""


@dataclass(frozen=True)
class Reference:
    """Stands for the result of an operation (or the image) among the arguments of another.

    Attributes:
        number: of the operation; 0 is the image.
    """

    number: int


@dataclass(frozen=True)
class Operation:
    """One operation on what depends on the image.

    Attributes:
        number: of its result.
        function: of PyTorch, an overload of `torch.ops.aten`.
        arguments: positional; tensors that depend on the image are `Reference`s.
        named: by name, the same.
        shape: of the result (N, C, H, W).
        output: which of several results.
    """

    number: int
    function: Any
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    shape: tuple[int, ...]
    output: int | None

    @property
    def name(self) -> str:
        """Name of the function, without the mark of one that overwrites its input."""
        return str(self.function.overloadpacket.__name__).removesuffix("_")

    @property
    def inputs(self) -> list[int]:
        """Numbers of the results that it needs, in their order."""
        found: list[int] = []
        _replaced((*self.arguments, *self.named.values()), lambda reference: found.append(reference.number))
        return found

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Compute it for other inputs, in the order of `inputs`; one that overwrites its input does so."""
        left = iter(inputs)
        arguments = _replaced(self.arguments, lambda _: next(left))
        named = {key: _replaced(value, lambda _: next(left)) for key, value in self.named.items()}
        result = self.function(*arguments, **named)
        found: Tensor = result if self.output is None else result[self.output]
        return found


class Tracer(DispatchMode):
    """Notes the operations on an image while it is switched on.

    Args:
        image: (N, C, H, W).

    Attributes:
        operations: on it, in their order.
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.operations: list[Operation] = []
        self._numbers = {id(image): 0}
        self._kept: list[Tensor] = [image]  # so that no other tensor gets the identity of one that is gone

    def number_of(self, result: Tensor) -> int:
        """Return the number of a result.

        Raises:
            NotStreamableError: it was not computed from the image.
        """
        if id(result) not in self._numbers:
            raise NotStreamableError("its result does not come from its input alone")
        return self._numbers[id(result)]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation and note it."""
        named = kwargs or {}
        result = func(*args, **named)
        arguments, by_name = self._marked(args), {key: self._marked(value) for key, value in named.items()}
        several = isinstance(result, tuple | list)
        for output, tensor in enumerate(result if several else [result]):
            if not isinstance(tensor, Tensor):
                continue
            number = len(self._kept)  # grows with every operation, so results come in order
            operation = Operation(number, func, arguments, by_name, tuple(tensor.shape), output if several else None)
            self._kept.append(tensor)
            if operation.inputs:
                self.operations.append(operation)
                self._numbers[id(tensor)] = number
        return result

    def _marked(self, value: Any) -> Any:
        """Put references where tensors depend on the image."""
        if isinstance(value, Tensor):
            self._kept.append(value)
            number = self._numbers.get(id(value))
            return value if number is None else Reference(number)
        if isinstance(value, tuple | list):
            return type(value)(self._marked(each) for each in value)
        return value


def _replaced(value: Any, found: Callable[[Reference], Any]) -> Any:
    """Return arguments with what `found` makes of each reference in them."""
    if isinstance(value, Reference):
        return found(value)
    if isinstance(value, tuple | list):
        return type(value)(_replaced(each, found) for each in value)
    return value


def traced(network: Callable[[Tensor], Tensor], image: Tensor) -> tuple[list[Operation], int, Tensor]:
    """Run a network once.

    Args:
        network: maps of images.
        image: (1, C, H, W).

    Returns:
        Its operations, the number of its result, and the result.

    Raises:
        NotStreamableError: the result is no map, or does not depend on the image.
    """
    tracer = Tracer(image)
    with torch.no_grad(), tracer:
        result = network(image)
    if not isinstance(result, Tensor):
        raise NotStreamableError("its result is no map")
    return tracer.operations, tracer.number_of(result), result
