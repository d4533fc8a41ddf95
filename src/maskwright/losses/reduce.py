"""Sums over every process of a training. Knows that there may be several processes, and nothing about any loss.

Convention: every process computes the same GLOBAL loss, global sums over global counts. The gradient of a process's own
logits is then too large by a factor of the number of processes, and the mean over processes that
`DistributedDataParallel` takes corrects it exactly: N processes train as one process with N times the batch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, distributed


def across_processes(tensor: Tensor) -> Tensor:
    """Return the sum of `tensor` (any shape) over all processes, differentiably; with one process, `tensor` itself.

    Every process must call this the same number of times and in the same order.
    """
    if _alone():
        return tensor
    from torch.distributed.nn.functional import all_reduce

    return all_reduce(tensor)


def global_ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Divide one scalar by another after summing both over all processes; 0, with zero gradient, if nothing counts.

    Args:
        numerator: local sum, shape ().
        denominator: local count or sum of weights, shape (), 0 or more.
    """
    top, bottom = across_processes(torch.stack([numerator, denominator.to(numerator.dtype)])).unbind()
    return top / torch.where(bottom > 0, bottom, torch.ones_like(bottom))


@torch.no_grad()
def reached_by(values: Tensor, share: float) -> Tensor:
    """Return the largest value that at least `share` of the values of all processes reach; infinity if there are none.

    Args:
        values: (P,), of this process; P may be 0.
        share: 0..1; the count is rounded up, and at least one value reaches the result.
    """
    several = not _alone()
    count = values.new_tensor(len(values), dtype=torch.int64)
    if several:
        distributed.all_reduce(count)
    wanted = min(max(math.ceil(share * int(count)), 1), int(count))
    if wanted == 0:
        return values.new_tensor(torch.inf)
    highest = values.topk(min(wanted, len(values))).values
    if several:
        padded = values.new_full((wanted,), -torch.inf)
        padded[: len(highest)] = highest
        parts = [torch.empty_like(padded) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, padded)
        highest = torch.cat(parts).topk(wanted).values
    return highest[-1]


def _alone() -> bool:
    return not distributed.is_available() or not distributed.is_initialized() or distributed.get_world_size() == 1
