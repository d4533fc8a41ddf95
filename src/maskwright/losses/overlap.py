"""Losses on the overlap of regions: Dice, Jaccard, Tversky. Pure functions of the sums over one batch.

The sums run over all images of the batch and all processes, not over each image: a small object then counts the same in
an image on its own as in one with others. The mean is taken over the classes that are present in the truth of the
batch. An absent class has no overlap to gain: scoring it would punish any probability assigned to it by the full 1,
however small (without a smoothing constant), or reward the network for its absence (with one). Probability wrongly
assigned to an absent class is taken from the classes that are present, and their terms penalise it. No smoothing
constant is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from torch import Tensor

    from maskwright.losses.prepared import Prepared


def dice(batch: Prepared) -> Tensor:
    """Return the mean over classes of 1 - 2 |P and T| / (|P| + |T|) (Milletari et al. 2016, without the squares).

    Args:
        batch: logits (N, K, H, W) and labels (N, H, W).
    """
    return tversky(batch, 0.5, 0.5)


def jaccard(batch: Prepared) -> Tensor:
    """Return the mean over classes of 1 - |P and T| / |P or T|, the soft IoU (Rahman and Wang 2016).

    Args:
        batch: logits (N, K, H, W) and labels (N, H, W).
    """
    return tversky(batch, 1.0, 1.0)


def tversky(batch: Prepared, alpha: float = 0.3, beta: float = 0.7) -> Tensor:
    """Return the mean over classes of 1 - TP / (TP + alpha FP + beta FN) (Salehi et al. 2017).

    Args:
        batch: logits (N, K, H, W), softmax for K > 1, sigmoid for K = 1 (the mean is then over label 1 alone).
        alpha: cost of a false positive.
        beta: cost of a false negative; above `alpha` it favours recall.

    Raises:
        MaskwrightError: a cost of 0 or less.
    """
    if alpha <= 0 or beta <= 0:
        raise MaskwrightError(f"tversky: alpha is {alpha} and beta {beta}; both must be above 0, e.g. 0.3 and 0.7")
    hit, predicted, true = batch.overlap.unbind()
    present = true > 0
    reach = hit + alpha * (predicted - hit) + beta * (true - hit)
    score = hit / torch.where(present, reach, torch.ones_like(reach))
    return ((1 - score) * present).sum() / present.sum().clamp_min(1)
