"""From an operation that was traced to the layer that computes it by rows; one rule a function, in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from maskwright.inference.streaming.layers import (
    AveragePool,
    Convolution,
    Layer,
    MaxPool,
    Padding,
    Pointwise,
    ReplicationPadding,
    TransposedConvolution,
)
from maskwright.inference.streaming.resampling import Subsample, Upsample
from maskwright.inference.streaming.tracing import NotStreamableError, Operation, Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_UNCHANGED = frozenset({"alias", "clone", "detach", "contiguous"})
"""Operations that change nothing."""
_REDUCTIONS = frozenset({"sum", "mean", "amax", "amin"})
_POINTWISE = frozenset(
    {
        *("relu", "hardtanh", "clamp", "sigmoid", "silu", "hardswish", "hardsigmoid", "gelu", "leaky_relu", "elu"),
        *("tanh", "mish", "_prelu_kernel", "add", "sub", "rsub", "mul", "div", "neg", "abs", "pow", "sqrt", "_to_copy"),
        *("native_batch_norm", "_native_batch_norm_legit_no_training"),
    }
)
_ALONG_AXIS = {"cat": 1, "slice": 1, "split": 2, "split_with_sizes": 2, "mean": 1, "amax": 1, "_softmax": 1}
"""Operations along one axis, and which argument names it: pointwise if it is the axis of the channels."""

_WHOLE = 1 << 62
"""The end of a slice to the end of an axis, or beyond it."""


def layer_of(operation: Operation, shapes: Sequence[tuple[int, ...]]) -> Layer | None:
    """Return the layer of an operation, or None if it changes nothing.

    Args:
        operation: on maps (N, C, H, W).
        shapes: of its inputs when it was traced.

    Raises:
        NotStreamableError: its rows need all rows of its input, or it is not known here.
    """
    name, shape = operation.name, operation.shape
    if len(shape) != 4:
        raise NotStreamableError(f"{name} gives a result of {len(shape)} axes")
    heights = [given[2] for given in shapes]
    if name in _UNCHANGED or (name == "slice" and shape == shapes[0]):
        return None
    if name in _POINTWISE or _along_channels(operation):
        _check_constants(operation)
        layer: Layer = Pointwise(operation)
    elif name in _RULES:
        layer = _RULES[name](operation)
    elif name.startswith("upsample_"):
        return _upsampling(operation, shapes[0])
    else:
        raise NotStreamableError(f"its operation `{name}` may need the whole image")
    if any(layer.height(height) != shape[2] for height in heights):
        raise NotStreamableError(f"{name} changes the height in a way that is not known")
    return layer


def reduced_stack(operation: Operation, stack: Operation, shapes: Sequence[tuple[int, ...]]) -> Layer:
    """Return the layer of what reduces a stack of maps to one map, pixel by pixel.

    Args:
        operation: on the stack.
        stack: on maps (N, C, H, W).
        shapes: of these maps.

    Raises:
        NotStreamableError: it is no sum, average or maximum over the stack.
    """
    axis = stack.arguments[1] if len(stack.arguments) > 1 else 0
    reduces = operation.name in _REDUCTIONS and len(operation.arguments) > 1 and operation.arguments[1] == [0]
    if axis != 0 or not reduces or any(shape != operation.shape for shape in shapes):
        raise NotStreamableError(f"{operation.name} uses a stack of maps in a way that is not known")

    def reduce(*maps: Tensor) -> Tensor:
        found: Tensor = operation(stack(*maps))
        return found

    return Pointwise(reduce)


def _along_channels(operation: Operation) -> bool:
    position = _ALONG_AXIS.get(operation.name)
    if position is None:
        return False
    axes = operation.arguments[position] if len(operation.arguments) > position else 0
    return axes in (1, [1], -3, [-3])


def _check_constants(operation: Operation) -> None:
    """Refuse constants that depend on the place in the map, such as positions that were learnt."""
    if "batch_norm" in operation.name:  # its values are those of channels
        if operation.name == "native_batch_norm" and operation.arguments[5]:
            raise NotStreamableError("a batch normalisation uses the statistics of the image")
        return
    for value in (*operation.arguments, *operation.named.values()):
        if isinstance(value, Tensor) and any(side > 1 for side in value.shape[-2:]):
            raise NotStreamableError(f"{operation.name} takes values that depend on the place")


def _convolution(operation: Operation) -> Layer:
    _, weight, bias, stride, padding, dilation, transposed, more, groups = operation.arguments
    if isinstance(weight, Reference) or weight.ndim != 4:
        raise NotStreamableError("a convolution has weights that depend on the image")
    if not transposed:
        columns = (stride[-1], padding[-1], dilation[-1])
        return Convolution(weight.shape[2], stride[0], padding[0], dilation[0], weight, bias, columns, groups)
    if any(more) or set(dilation) != {1}:
        raise NotStreamableError("a transposed convolution is dilated or larger at one side")
    return TransposedConvolution(
        weight.shape[2], stride[0], padding[0], weight, bias, (stride[-1], padding[-1]), groups
    )


def _padding(operation: Operation) -> Layer:
    sides, value = operation.arguments[1], (operation.arguments[2] if len(operation.arguments) > 2 else 0)
    whole = (*sides, *(0,) * (4 - len(sides)))
    if len(sides) > 4 or min(sides) < 0:
        raise NotStreamableError("it crops its maps")
    return Padding(whole, float(value))


def _replication_padding(operation: Operation) -> Layer:
    sides = operation.arguments[1]
    if min(sides) < 0:
        raise NotStreamableError("it crops its maps")
    return ReplicationPadding(tuple(sides))


def _subsampling(operation: Operation) -> Layer:
    given: list[Any] = [*operation.arguments[1:], *(0, None, None, 1)[len(operation.arguments) - 1 :]]
    axis, start, end, step = given
    whole = not start and (end is None or end >= _WHOLE)
    if axis % 4 < 2 or not whole:
        raise NotStreamableError("it crops its maps")
    return Subsample(1, step) if axis % 4 == 2 else Subsample(1, columns=(1, step))


def _pairs(operation: Operation, defaults: Sequence[Any]) -> list[Any]:
    """Return the arguments of a pooling after its input, pairs as (rows, columns)."""
    given = [*operation.arguments[1:], *defaults[len(operation.arguments) - 1 :]]
    pairs = [[*each, *each][:2] if isinstance(each, list) and each else each for each in given]
    return [pairs[0], pairs[1] or pairs[0], *pairs[2:]]  # the stride is that of the kernel if it is left out


def _max_pool(operation: Operation) -> Layer:
    if operation.output:
        raise NotStreamableError("it uses the places of largest values")
    kernel, stride, padding, dilation, _ = _pairs(operation, [None, [], [0, 0], [1, 1], False])
    columns = (kernel[1], stride[1], padding[1], dilation[1])
    return MaxPool(kernel[0], stride[0], padding[0], dilation[0], columns)


def _average_pool(operation: Operation) -> Layer:
    kernel, stride, padding, _, padded, divisor = _pairs(operation, [None, [], [0, 0], False, True, None])
    if divisor is not None:
        raise NotStreamableError("an average has a divisor of its own")
    return AveragePool(kernel[0], stride[0], padding[0], 1, (kernel[1], stride[1], padding[1]), padded)


def _upsampling(operation: Operation, shape: tuple[int, ...]) -> Layer | None:
    """Return upsampling by a whole factor; None for one by 1."""
    mode = {"upsample_bilinear2d": "bilinear", "upsample_nearest2d": "nearest"}.get(operation.name)
    aligned = mode == "bilinear" and operation.arguments[2]
    factor = operation.shape[2] // shape[2]
    if mode is None or aligned or tuple(operation.shape[2:]) != (factor * shape[2], factor * shape[3]):
        raise NotStreamableError("it resizes maps by other than whole factors")
    return None if factor == 1 else Upsample((factor, factor), mode)


_RULES: Mapping[str, Callable[[Operation], Layer]] = {
    "convolution": _convolution,
    "constant_pad_nd": _padding,
    "replication_pad2d": _replication_padding,
    "slice": _subsampling,
    "max_pool2d_with_indices": _max_pool,
    "avg_pool2d": _average_pool,
}
