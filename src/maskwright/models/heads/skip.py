"""The head of FCN-32s, 16s and 8s: scores of a coarse level, upsampled and added to those of finer levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskwright.models.heads.pixel import Head, PixelHead

if TYPE_CHECKING:
    from collections.abc import Sequence


class BilinearUp(nn.ConvTranspose2d):
    """Transposed convolution to twice the size, one kernel per channel, initialised as bilinear interpolation.

    The map is extended by repeating its edge, so that initially the result is the interpolation at the edges too
    (corners not aligned); otherwise scores would fade there.

    Args:
        channels: of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 4, stride=2, padding=3, groups=channels, bias=False)
        tent = torch.tensor([0.25, 0.75, 0.75, 0.25])
        with torch.no_grad():
            self.weight.copy_(torch.outer(tent, tent).expand_as(self.weight))

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Return (N, channels, 2H, 2W) for `x` (N, channels, H, W)."""
        return super().forward(F.pad(x, (1, 1, 1, 1), mode="replicate"), output_size)


class SkipHead(Head):
    """Score every level by a 1x1 convolution; upsample the coarser sum by 2 and add, level by level.

    Skips start at 0, so the network starts as the one without them (Long et al. 2015, section 4.2). If staged, skip i
    of n is trained from progress i / (n + 1) on: one network after the other in a single training. A skip that is not
    trained yet is 0, so scores do not depend on the stage, and no state has to be saved.

    Args:
        inputs: channels of each level, coarsest first, each of half the stride of the one before.
        classes: number of logits per pixel.
        dropout: share of the coarsest level's channels that are dropped.
        staged: train the skips one after the other.

    Attributes:
        progress: share of the training that is done, 0..1; 1 unless set.
    """

    def __init__(self, inputs: Sequence[int], classes: int, dropout: float, *, staged: bool) -> None:
        super().__init__()
        self.score = PixelHead(inputs[0], classes, dropout)
        self.skips = nn.ModuleList(nn.Conv2d(channels, classes, 1) for channels in inputs[1:])
        self.ups = nn.ModuleList(BilinearUp(classes) for _ in self.skips)
        self.staged = staged
        self.progress = 1.0
        for weight in self.skips.parameters():
            nn.init.zeros_(weight)

    @property
    def bias(self) -> Tensor:
        """The bias (K,) of the logits: that of the finest scores."""
        return cast("Tensor", self.skips[-1].bias) if len(self.skips) else self.score.bias

    def set_progress(self, progress: float) -> None:
        """Set the share of the training that is done."""
        self.progress = progress

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Return logits (N, K, h, w) at the stride of the finest of `maps` (N, C_i, h_i, w_i), coarsest first."""
        x = self.score(maps[0])
        for number, (up, skip, level) in enumerate(zip(self.ups, self.skips, maps[1:], strict=True), start=1):
            # Times 0, not left out: every weight keeps a gradient, which training in several processes needs.
            there = not self.staged or self.progress * (len(self.skips) + 1) >= number
            x = up(x) + skip(level) * float(there)
        return cast("Tensor", x)
