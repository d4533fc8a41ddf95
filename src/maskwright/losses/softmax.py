"""The softmax that all losses of a sum share: one pass forward, one pass backward. Knows labels, and no loss.

Written by hand because the loss takes a noticeable share of a training step on a CPU: autograd's own chain
(log_softmax, gather, exp, masked sum, and the backward pass of each) moves the whole (N, K, H, W) array about three
times as often.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class SoftmaxParts(torch.autograd.Function):
    """Everything that losses need from a softmax over classes.

    `apply(logits (N, K, H, W), labels (N, H, W) int64 within 0..K-1, mask (N, H, W) 0 or 1)` returns
    `log_true (N, H, W)`: log-probability of the labelled class, 0 where the mask is 0;
    `log_sum (N, H, W)`: log of the sum of exponentials of the logits;
    `class_sums (K,)`: sum of each class's probability over the pixels in the mask;
    `probabilities (N, K, H, W)`.
    Half-precision logits are computed in float32; their gradient is returned in their own dtype.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Compute the four parts (shapes as above) and save the probabilities for the backward pass."""
        count, classes = logits.shape[:2]
        scores = logits.to(mask.dtype, memory_format=torch.contiguous_format)
        log_probabilities = scores.log_softmax(1)
        log_true = log_probabilities.gather(1, labels[:, None])[:, 0].mul_(mask)
        log_sum = scores[:, 0] - log_probabilities[:, 0]
        probabilities = log_probabilities.exp_()
        class_sums = torch.bmm(probabilities.view(count, classes, -1), mask.view(count, -1, 1)).sum((0, 2))
        ctx.save_for_backward(probabilities, labels, mask)
        ctx.dtype = logits.dtype
        ctx.set_materialize_grads(False)
        return log_true, log_sum, class_sums, probabilities

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, by_true: Tensor | None, by_sum: Tensor | None, by_class: Tensor | None, by_each: Tensor | None
    ) -> tuple[Tensor, None, None]:
        """Combine the gradients of the parts, g, into that of the logits (N, K, H, W): p * (g - <g, p>)."""
        probabilities, labels, mask = ctx.saved_tensors
        with torch.autocast(probabilities.device.type, enabled=False):
            shift = torch.zeros_like(mask) if by_sum is None else by_sum.clone()
            if by_true is not None:
                by_true = by_true * mask
                shift -= by_true
            gradient = _before_labels(probabilities, mask, shift, by_class, by_each)
            if by_true is not None:
                gradient.scatter_add_(1, labels[:, None], by_true[:, None])
        return gradient.to(ctx.dtype), None, None


def _before_labels(
    probabilities: Tensor, mask: Tensor, shift: Tensor, by_class: Tensor | None, by_each: Tensor | None
) -> Tensor:
    """Return p * (mask x by_class + by_each + shift - <both, p>); `shift` (N, H, W) is changed in place."""
    count, classes = probabilities.shape[:2]
    flat, flat_mask, flat_shift = (
        probabilities.view(count, classes, -1),
        mask.view(count, 1, -1),
        shift.view(count, 1, -1),
    )
    if by_each is not None:
        shift -= (by_each * probabilities).sum(1)
    if by_class is None:
        gradient = probabilities * shift[:, None]
    else:
        flat_shift -= torch.matmul(by_class.expand(count, 1, classes), flat) * flat_mask
        # (K, 2) @ (2, HW) writes mask x by_class + shift in one pass where broadcasting takes two.
        columns = torch.stack([by_class, torch.ones_like(by_class)], 1).expand(count, classes, 2)
        gradient = torch.bmm(columns, torch.cat([flat_mask, flat_shift], 1)).mul_(flat).view_as(probabilities)
    return gradient if by_each is None else gradient.addcmul_(by_each, probabilities)
