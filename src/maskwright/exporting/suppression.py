"""Non-maximum suppression as one operation of an ONNX graph, for all groups of boxes at once. Knows no network.

What PyTorch makes of torchvision's own operation is one suppression for all boxes, moved apart by group, which compares
each box with those of all other groups. `NonMaxSuppression` of ONNX has classes, which are the groups.
"""

from __future__ import annotations

import operator
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torchvision.ops import batched_nms

if TYPE_CHECKING:
    from collections.abc import Callable

MOST = 1000
"""Boxes that may stay in a group: no network takes more."""
LARGEST = 2**63 - 1
ELSEWHERE, NOWHERE = -1e30, -1e29
"""The score of a box in a group that is not its own, and the least of one that counts: scores may be logits."""
NAME = "maskwright::suppressed"


@cache
def suppressed() -> Callable[[Tensor, Tensor, Tensor, float], Tensor]:
    """Return the operation for PyTorch, which takes what `torchvision.ops.batched_nms` takes; made on the first use."""

    @torch.library.custom_op(NAME, mutates_args=())
    def kept(boxes: Tensor, scores: Tensor, groups: Tensor, overlap: float) -> Tensor:
        return batched_nms(boxes, scores, groups, overlap)

    @kept.register_fake
    def _(*given: Any) -> Tensor:
        empty: Tensor = given[2].new_empty(torch.library.get_ctx().new_dynamic_size())
        return empty

    return kept


def translations() -> dict[Any, Callable[..., Any]]:
    """Return what operations become in the graph, for `torch.onnx.export`."""
    from onnxscript import opset20

    op: Any = opset20  # it takes lists for tensors, which its types do not say

    def written(boxes: Any, scores: Any, groups: Any, overlap: float) -> Any:
        count = op.Add(op.ReduceMax(op.Concat(groups, op.Constant(value_ints=[0]), axis=0), keepdims=1), [1])
        numbers = op.Range(0, op.Squeeze(count), 1)
        own = op.Equal(op.Unsqueeze(groups, [0]), op.Unsqueeze(numbers, [1]))
        apart = op.Where(own, op.Unsqueeze(scores, [0]), op.Constant(value_float=ELSEWHERE))
        kept = op.NonMaxSuppression(op.Unsqueeze(boxes, [0]), op.Unsqueeze(apart, [0]), [MOST], [overlap], [NOWHERE])
        return op.Squeeze(op.Slice(kept, [2], [3], [1]), [1])

    def at_most(first: Any, second: Any) -> Any:
        """Write a bound of a number of boxes that PyTorch notes, which can be above the largest integer of a graph."""
        return op.LessOrEqual(first, min(second, LARGEST) if isinstance(second, int) else second)

    suppressed()
    return {torch.ops.maskwright.suppressed.default: written, operator.le: at_most}
