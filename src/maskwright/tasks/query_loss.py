"""The loss of networks of queries, for any task: queries are matched with segments of the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from maskwright.losses.queries import query_loss

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from maskwright.losses.queries import Layer
    from maskwright.losses.region_sampling import Truth


class QueryLoss(nn.Module):
    """The loss of queries that are matched with segments.

    Args:
        truths: the segments in the targets of a batch; `rows` are places of classes in the network's logits.
    """

    def __init__(self, truths: Callable[[Mapping[str, Tensor]], list[Truth]]) -> None:
        super().__init__()
        self.truths = truths

    def forward(self, layers: Sequence[Layer], targets: Mapping[str, Tensor], seed: int) -> Tensor:
        """Match and compare the queries of all layers with the targets of the batch."""
        return query_loss(layers, self.truths(targets), seed)
