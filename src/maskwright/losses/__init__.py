"""Losses: logits and a target in, a scalar out. Knows nothing of models, data or optimisers.

Every loss takes logits (N, K, H, W) and a target (N, H, W) of class indices; pixels of `core.classes.IGNORE` are left
out. With one channel the logit is that of label 1 against label 0. With several processes each computes the global
loss.
"""

from maskwright.losses.reduce import across_processes
from maskwright.losses.table import LOSSES, Criterion, LossEntry, WeightedSum, create, weighted_sum

__all__ = ["LOSSES", "Criterion", "LossEntry", "WeightedSum", "across_processes", "create", "weighted_sum"]
