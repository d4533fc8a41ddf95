"""One batch as the losses see it: probabilities, labels and counts, each computed once, on first use.

Knows how logits become probabilities (softmax over K channels, sigmoid of one) and which pixels are ignored, and no
loss.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.losses.reduce import across_processes, global_ratio
from maskwright.losses.softmax import SoftmaxParts

if TYPE_CHECKING:
    from maskwright.core.channels import Activation


class Prepared:
    """Logits and target of one batch, and the quantities that several losses share.

    With `sigmoid` the one logit is that of label 1 against label 0; the per-class quantities then have one entry, for
    label 1. Everything is computed in float32, or in float64 where the logits are.

    Attributes:
        logits: (N, K, H, W), as given.
        binary: whether the one channel is for label 1 against label 0.
        mask: (N, H, W), 1 for a labelled pixel and 0 for an ignored one, in the type of the computation.
        labels: (N, H, W) int64; ignored pixels hold 0 and the mask says so.
    """

    def __init__(self, logits: Tensor, target: Tensor, activation: Activation = "softmax") -> None:
        """Take `logits` (N, K, H, W) and `target` (N, H, W) with 0..K-1 (0 and 1 for a sigmoid) or `IGNORE`.

        Raises:
            MaskwrightError: other shapes, or channels that do not go with the activation; on a CPU another label too:
                elsewhere a look at them would wait.
        """
        _check_channels(logits, activation)
        expected = (logits.shape[0], *logits.shape[2:])
        if logits.ndim != 4 or target.shape != expected or not logits.numel():
            raise MaskwrightError(
                f"a loss needs logits (N, K, H, W) and labels (N, H, W), no axis empty, but got "
                f"{tuple(logits.shape)} and {tuple(target.shape)}: give both for the same batch and size"
            )
        target = target.contiguous()
        valid = target != IGNORE
        self.logits = logits
        self.binary = activation == "sigmoid"
        self.mask = valid.to(torch.float64 if logits.dtype == torch.float64 else torch.float32)
        self.labels = target.to(torch.int64).masked_fill(~valid, 0)
        if self.labels.device.type == "cpu":
            _check_labels(self.labels, max(logits.shape[1], 2))

    @cached_property
    def scores(self) -> Tensor:
        """Logits (N, K, H, W) in the dtype of the computation."""
        return self.logits.to(self.mask.dtype)

    @cached_property
    def log_true(self) -> Tensor:
        """Log-probability (N, H, W) of the labelled class; 0 where ignored."""
        if not self.binary:
            return self._softmax[0]
        return F.logsigmoid(self.scores[:, 0] * (2 * self.labels - 1)) * self.mask

    @property
    def log_sum(self) -> Tensor:
        """Log of the sum of exponentials (N, H, W) of the logits; for more than one channel."""
        return self._softmax[1]

    @cached_property
    def probabilities(self) -> Tensor:
        """Probability (N, K, H, W) of each class, ignored pixels included."""
        return self.scores.sigmoid() if self.binary else self._softmax[3]

    @cached_property
    def overlap(self) -> Tensor:
        """Sums (3, K) by class over the labelled pixels of all processes.

        Rows: probability of the class on the pixels it labels, its probability on all pixels, the pixels it labels.
        """
        if self.binary:
            wanted = self.labels * self.mask
            local = torch.stack([(self.probabilities[:, 0] * part).sum() for part in (wanted, self.mask)])
            return across_processes(torch.stack([*local, wanted.sum()])[:, None])
        hit = self._by_class(self.log_true.exp() * self.mask)
        return across_processes(torch.stack([hit, self._softmax[2], self._by_class(self.mask)]))

    def mean(self, values: Tensor) -> Tensor:
        """Average `values` (N, H, W) over the labelled pixels of all processes; 0 if there are none."""
        return global_ratio((values * self.mask).sum(), self.mask.sum())

    @cached_property
    def _softmax(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return SoftmaxParts.apply(self.logits, self.labels, self.mask)

    def _by_class(self, values: Tensor) -> Tensor:
        """Sum `values` (N, H, W) by label to (K,). Row by row first: one long sum in float32 loses precision."""
        width = values.shape[-1]
        rows = values.new_zeros(values.numel() // width, self.logits.shape[1])
        return rows.scatter_add(1, self.labels.view(-1, width), values.reshape(-1, width)).sum(0)


def _check_channels(logits: Tensor, activation: Activation) -> None:
    """Refuse channels that the activation does not go with: what one channel means is stated, not guessed."""
    if logits.ndim != 4 or not logits.numel():
        return  # the shapes are refused next
    if activation == "softmax" and logits.shape[1] == 1:
        raise MaskwrightError(
            "the logits have one channel, which has no softmax: give activation='sigmoid' for label 1 against label 0"
        )
    if activation == "sigmoid" and logits.shape[1] != 1:
        raise MaskwrightError(
            f"the logits have {logits.shape[1]} channels, and activation='sigmoid' takes one: give activation='softmax'"
        )


def _check_labels(labels: Tensor, count: int) -> None:
    """Refuse labels outside 0..count - 1: they would produce a loss without a meaning."""
    least, most = (int(end) for end in labels.aminmax()) if labels.numel() else (0, 0)
    if least < 0 or most >= count:
        raise MaskwrightError(
            f"the target contains label {least if least < 0 else most}, but the logits have labels 0 to {count - 1}: "
            f"mark ignored pixels with {IGNORE}, and give every other class a channel"
        )
