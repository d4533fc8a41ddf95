"""Losses that are means over pixels: cross-entropy (all, hard, balanced, binary), focal, squared error.

Each is a pure function of a `Prepared` batch. Ignored pixels do not count, and a batch without a labelled pixel costs
0. An absent class needs no special case: it has no pixels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from maskwright.core.errors import MaskwrightError
from maskwright.losses.reduce import global_ratio, reached_by

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from maskwright.losses.prepared import Prepared


def cross_entropy(
    batch: Prepared, class_weights: Sequence[float] | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Return the weighted mean of -log p(label), as `torch.nn.functional.cross_entropy` defines it.

    Args:
        batch: logits (N, K, H, W); with K = 1 the same as `binary_cross_entropy`.
        class_weights: one per class (for one channel: of label 0 and label 1). The mean is divided by the sum of the
            weights of all labelled pixels, over all processes.
        label_smoothing: share of the target that is spread evenly over all classes (Szegedy et al. 2016).
    """
    weights = _weights(batch, class_weights)
    pixel = batch.mask if weights is None else weights[batch.labels] * batch.mask
    loss = -(pixel * batch.log_true)
    if label_smoothing:
        loss = (1 - label_smoothing) * loss - label_smoothing * batch.mask * _mean_log(batch, weights)
    return global_ratio(loss.sum(), pixel.sum())


def binary_cross_entropy(batch: Prepared, class_weights: Sequence[float] | None = None) -> Tensor:
    """Return the mean sigmoid cross-entropy of the one channel, or of each class against the rest.

    Args:
        batch: logits (N, K, H, W), any K.
        class_weights: for one channel the weights of label 0 and label 1, applied to pixels; for several the weight of
            each channel in the mean over channels.
    """
    if batch.binary:
        return cross_entropy(batch, class_weights)
    weights = _weights(batch, class_weights)
    if weights is None:
        weights = batch.mask.new_ones(batch.scores.shape[1])
    channel = weights[:, None, None]
    wanted = batch.scores.gather(1, batch.labels[:, None])[:, 0] * weights[batch.labels]
    loss = (F.softplus(batch.scores) * channel).sum(1) - wanted
    return batch.mean(loss) / weights.sum()


def focal(batch: Prepared, gamma: float = 2.0, class_weights: Sequence[float] | None = None) -> Tensor:
    """Return the mean of -w (1 - p)^gamma log p, with p the probability of the label (Lin et al. 2017, equation 5).

    The sum is divided by the number of labelled pixels, not by the sum of the weights.

    Args:
        batch: logits (N, K, H, W), softmax for K > 1, sigmoid for K = 1.
        gamma: how much easy pixels are discounted; 0 gives the cross-entropy.
        class_weights: the paper's alpha, one per class; for one channel (1 - alpha, alpha).

    Raises:
        MaskwrightError: a negative gamma.
    """
    if gamma < 0:
        raise MaskwrightError(f"focal: gamma is {gamma}, and must be 0 or more; 2 is usual")
    # Kept above 0: a power below 1 has no finite slope there.
    missing = (-torch.expm1(batch.log_true)).clamp_min(1e-12)
    loss = -(missing**gamma) * batch.log_true
    weights = _weights(batch, class_weights)
    return batch.mean(loss if weights is None else loss * weights[batch.labels])


def ohem(
    batch: Prepared, threshold: float = 0.7, min_kept: float = 1 / 16, class_weights: Sequence[float] | None = None
) -> Tensor:
    """Return the cross-entropy of the hard pixels: those whose label has a probability of `threshold` or less.

    Online hard example mining (Shrivastava et al. 2016) on pixels, as Wu et al. 2016 bootstrap them: if too few are
    hard, the hardest `min_kept` of all labelled pixels count, over the whole batch and all processes.

    Args:
        batch: logits (N, K, H, W), softmax for K > 1, sigmoid for K = 1.
        threshold: probability of the label above which a pixel is easy.
        min_kept: share of the labelled pixels that always count, 0..1.
        class_weights: one per class; the mean is divided by the sum of the weights of the pixels that count.

    Raises:
        MaskwrightError: a share outside 0..1.
    """
    if not 0 < threshold <= 1 or not 0 <= min_kept <= 1:
        raise MaskwrightError(
            f"ohem: threshold is {threshold} and min_kept {min_kept}; both are shares from 0 to 1, e.g. 0.7 and 0.0625"
        )
    losses = -batch.log_true
    least = reached_by(losses.detach()[batch.mask > 0], min_kept).clamp_max(-math.log(threshold))
    weights = _weights(batch, class_weights)
    kept = (losses.detach() >= least) * batch.mask
    kept = kept if weights is None else kept * weights[batch.labels]
    return global_ratio((losses * kept).sum(), kept.sum())


def balanced_cross_entropy(batch: Prepared, background: float = 1.1) -> Tensor:
    """Return the cross-entropy, each pixel weighted by the share of its image that has another label.

    For edges: an edge pixel gets the share of the background, and a background pixel the share of the edges (Xie and Tu
    2015, equation 2) times `background`, so that both together weigh about the same in each image (Liu et al. 2017,
    "Richer Convolutional Features for Edge Detection", equation 1). An image with a single label does not count. Where
    we differ: the sum is divided by the sum of the weights, so that its size does not depend on that of the images.

    Args:
        batch: logits (N, K, H, W), softmax for K > 1, sigmoid for K = 1.
        background: factor on the weights of label 0; above 1 for fewer and thinner edges.

    Raises:
        MaskwrightError: a factor of 0 or less.
    """
    if background <= 0:
        raise MaskwrightError(f"balanced_cross_entropy: background is {background}, and must be above 0; 1.1 is usual")
    flat = batch.labels.flatten(1)
    counts = batch.mask.new_zeros(len(flat), max(batch.logits.shape[1], 2)).scatter_add(1, flat, batch.mask.flatten(1))
    total = counts.sum(1, keepdim=True)
    weights = (total - counts) / total.clamp_min(1)
    weights[:, 0] *= background
    pixel = weights.gather(1, flat).view_as(batch.mask) * batch.mask
    return global_ratio(-(pixel * batch.log_true).sum(), pixel.sum())


def mean_squared_error(batch: Prepared) -> Tensor:
    """Return the mean over pixels and channels of (p - y)^2, y being 1 for the label and 0 otherwise (Brier 1950).

    Args:
        batch: logits (N, K, H, W) and labels (N, H, W).
    """
    wrong = batch.probabilities
    if batch.binary:
        wrong = wrong - batch.labels[:, None]
    else:
        label = batch.labels[:, None]
        wrong = wrong.scatter_add(1, label, -torch.ones_like(label, dtype=wrong.dtype))
    return batch.mean(wrong.square().mean(1))


def _mean_log(batch: Prepared, weights: Tensor | None) -> Tensor:
    """Return the mean over classes of w log p, (N, H, W)."""
    if batch.binary:
        score = batch.scores[:, 0]
        low, high = (1.0, 1.0) if weights is None else weights.unbind()
        return (high * F.logsigmoid(score) + low * F.logsigmoid(-score)) / 2
    classes = batch.scores.shape[1]
    if weights is None:
        return batch.scores.mean(1) - batch.log_sum
    weighted = (batch.scores * weights[:, None, None]).sum(1)
    return (weighted - weights.sum() * batch.log_sum) / classes


def _weights(batch: Prepared, given: Sequence[float] | None) -> Tensor | None:
    """Return the weights by label (K,), or (2,) for one channel."""
    if given is None:
        return None
    labels = 2 if batch.binary else batch.logits.shape[1]
    if len(given) != labels:
        raise MaskwrightError(f"{len(given)} class weights were given for {labels} labels: give one weight per label")
    return batch.mask.new_tensor(given)
