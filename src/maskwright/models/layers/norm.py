"""Batch normalisation that gives the same result in one process and in several. Knows no network.

Ioffe & Szegedy 2015, "Batch Normalization", algorithms 1 and 2. torch's own layer does the work wherever possible; ours
covers the cases where it cannot:

- several processes: statistics are taken over all of them. torch's `SyncBatchNorm` does not support the CPU.
- one value per channel (a batch of one with a 1x1 map, as in global pooling): see `BatchNorm2d.forward`.
- gradient checkpointing: a layer that runs twice per step must update its running statistics once.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator

_thread = threading.local()


@contextlib.contextmanager
def moving_statistics() -> Iterator[None]:
    """Mark the original forward pass: only inside it do layers with `recomputed` set update their running statistics.

    A checkpointed stage is recomputed outside, in the backward pass, on whichever thread that uses.
    """
    before = getattr(_thread, "forward", False)
    _thread.forward = True
    try:
        yield
    finally:
        _thread.forward = before


class _AllReduceSum(torch.autograd.Function):
    """Sum over all processes; the gradient of each summand is the sum of the gradients of all processes."""

    @staticmethod
    def forward(_context: Any, values: Tensor) -> Tensor:
        total = values.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total


def _processes() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


class BatchNorm2d(nn.BatchNorm2d):
    """torch's `BatchNorm2d`, with statistics over all processes while training.

    In one process the result is torch's, bit for bit. In n processes that each hold a part of a batch, the outputs, the
    running statistics and (after the mean that data parallelism takes) the gradients equal those of one process with
    the whole batch, up to rounding.

    Attributes:
        recomputed: this layer belongs to a checkpointed stage; running statistics are then updated only inside
            `moving_statistics()`.
    """

    recomputed = False

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` (N, C, H, W).

        With a single value per channel there is no variance, and torch raises. We then use the running statistics, and
        do not update them, so that a last batch of one, or a very small image, does not end a training of hours: the
        layer does what it will do in prediction.
        """
        if not self.training:
            return super().forward(x)
        if _processes() > 1:
            return self._synchronised(x)
        if x.numel() == x.shape[1]:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        if self.recomputed and not getattr(_thread, "forward", False):
            # Update copies instead: checkpointing requires the same number of saved tensors as before.
            mean, variance = cast("Tensor", self.running_mean).clone(), cast("Tensor", self.running_var).clone()
            return F.batch_norm(x, mean, variance, self.weight, self.bias, training=True, eps=self.eps)
        return super().forward(x)

    def _synchronised(self, x: Tensor) -> Tensor:
        """Normalise `x` (N, C, H, W) by the statistics of all processes: one all-reduce forward, one backward.

        Sums are taken of x minus the running mean, which is the same everywhere, so that the variance is not a small
        difference of two large numbers.
        """
        shift = cast("Tensor", self.running_mean).detach().clone()[:, None, None]
        centred = x.to(torch.promote_types(x.dtype, torch.float32)) - shift
        count = centred.new_full((1,), x.shape[0] * x.shape[2] * x.shape[3])
        sums = torch.cat([centred.sum((0, 2, 3)), centred.square().sum((0, 2, 3)), count])
        total, squares, number = cast("Tensor", _AllReduceSum.apply(sums)).split([x.shape[1], x.shape[1], 1])
        mean = total / number.clamp_min(1.0)
        variance = (squares / number.clamp_min(1.0) - mean.square()).clamp_min(0.0)
        if not self.recomputed or getattr(_thread, "forward", False):
            self._move(mean.detach(), variance.detach(), number.detach())
        scale = self.weight * torch.rsqrt(variance + self.eps)
        offset = self.bias - mean * scale
        return (centred * scale[:, None, None] + offset[:, None, None]).to(x.dtype)

    def _move(self, mean: Tensor, variance: Tensor, number: Tensor) -> None:
        """Move the running statistics towards those of this batch; `mean` (C,) is relative to the running mean.

        A batch without a value, as of boxes where no image shows an object, moves nothing.
        """
        assert self.momentum is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        running = cast("Tensor", self.running_var)
        unbiased = variance * number / (number - 1.0).clamp_min(1.0)
        cast("Tensor", self.running_mean).add_(mean, alpha=self.momentum)
        running.lerp_(torch.where(number > 0, unbiased, running), self.momentum)


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation (Ba et al. 2016) over the channels of each pixel of a map (N, C, H, W)."""

    def __init__(self, features: int) -> None:
        super().__init__(features, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` (N, C, H, W)."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class BatchNormAct2d(BatchNorm2d):
    """`BatchNorm2d` followed by what timm's layer of this name carries: a drop layer and an activation."""

    def __init__(self, features: int, drop: nn.Module, act: nn.Module, **settings: Any) -> None:
        super().__init__(features, **settings)
        self.drop = drop
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` (N, C, H, W), then drop, then activate."""
        return cast("Tensor", self.act(self.drop(super().forward(x))))


def convert_batch_norm(module: nn.Module) -> None:
    """Replace torch's (and timm's) batch normalisation inside `module` by ours, in place; names and values stay.

    A layer without running statistics, without weights or with a cumulative average is left unchanged.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d) and not isinstance(child, BatchNorm2d):
            if child.affine and child.track_running_stats and child.momentum is not None:
                setattr(module, name, _converted(child))
        else:
            convert_batch_norm(child)


def _converted(layer: nn.BatchNorm2d) -> BatchNorm2d:
    """Build our counterpart of `layer`, sharing its parameters and buffers."""
    settings: dict[str, Any] = {"eps": layer.eps, "momentum": layer.momentum}
    extra = dict(layer.named_children())
    if set(extra) == {"drop", "act"}:
        ours: BatchNorm2d = BatchNormAct2d(layer.num_features, extra["drop"], extra["act"], **settings)
    else:
        assert not extra, f"unknown batch normalisation {type(layer).__name__} with {sorted(extra)}"
        ours = BatchNorm2d(layer.num_features, **settings)
    ours.weight, ours.bias = layer.weight, layer.bias
    ours.running_mean, ours.running_var = layer.running_mean, layer.running_var
    ours.num_batches_tracked = layer.num_batches_tracked
    return ours.train(layer.training)
