"""Losses: logits and a target in, a scalar out. Knows nothing of models, data or optimisers.

Every loss takes logits (N, K, H, W) and a target (N, H, W) of class indices, in which `core.classes.IGNORE` is seen by
none. What the channels mean is stated by `activation`: a softmax over all of them, or the sigmoid of one, label 1
against label 0. In a training of several processes each computes the global loss.
"""

from maskwright.losses.reduce import across_processes
from maskwright.losses.table import LOSSES, Criterion, LossEntry, WeightedSum, create, weighted_sum

__all__ = ["LOSSES", "Criterion", "LossEntry", "WeightedSum", "across_processes", "create", "weighted_sum"]
