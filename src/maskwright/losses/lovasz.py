"""The Lovasz losses: a convex surrogate of the IoU itself (Berman, Rannen Triki and Blaschko 2018).

Computed for each image over the classes that are present in its truth (for one channel: for each image that contains
label 1), then averaged over those images. It sorts the errors of every class, so it is the slowest loss here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from maskwright.losses.reduce import global_ratio

if TYPE_CHECKING:
    from torch import Tensor

    from maskwright.losses.prepared import Prepared


def lovasz(batch: Prepared) -> Tensor:
    """Return the Lovasz-softmax loss, or with one channel the Lovasz hinge.

    Args:
        batch: logits (N, K, H, W) and labels (N, H, W).
    """
    # Empty sums of both keep the graph, and with it a zero gradient, when no image counts.
    losses = [batch.scores[:0].sum(), batch.probabilities[:0].sum()]
    images = 0
    for index in range(len(batch.labels)):
        keep = batch.mask[index] > 0
        labels = batch.labels[index][keep]
        present = [1] if batch.binary and bool((labels == 1).any()) else []
        if not batch.binary:
            present = labels.unique().tolist()
        if present:
            images += 1
            losses.append(_image(batch, index, keep, labels, present))
    return global_ratio(torch.stack(losses).sum(), losses[0].new_tensor(float(images)))


def _image(batch: Prepared, index: int, keep: Tensor, labels: Tensor, present: list[int]) -> Tensor:
    """Return the mean over the `present` classes of one image; `keep` (H, W) marks its labelled pixels."""
    truth = torch.stack([labels == label for label in present]).to(batch.mask.dtype)
    if batch.binary:
        errors = (1 - batch.scores[index, 0][keep] * (2 * truth - 1)).relu()
    else:
        errors = (truth - batch.probabilities[index, present][:, keep]).abs()
    return lovasz_extension(errors, truth).mean()


def lovasz_extension(errors: Tensor, truth: Tensor) -> Tensor:
    """Extend the Jaccard loss from sets of wrong pixels to real-valued errors: algorithm 1 of the paper.

    Args:
        errors: (C, P), 0 or more, of each pixel in each class.
        truth: (C, P), 1 where the pixel belongs to the class, else 0; at least one 1 in every row.

    Returns:
        (C,). For errors of 0 and 1 it is 1 - IoU of the prediction that is wrong exactly there.
    """
    ordered, order = errors.sort(dim=1, descending=True)
    sorted_truth = truth.gather(1, order)
    total = sorted_truth.sum(1, keepdim=True)
    missed = sorted_truth.cumsum(1)
    union = total + (torch.arange(1, truth.shape[1] + 1, device=truth.device) - missed)
    # The step of 1 - (total - missed) / union from one pixel to the next, without the difference of near equals.
    kept = total - missed
    slope = torch.where(sorted_truth > 0, 1 / union, kept / (union * (union - 1)).clamp_min(1))
    return (ordered * slope).sum(1)
