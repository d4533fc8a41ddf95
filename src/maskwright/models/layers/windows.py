"""Averages over the whole image, or over a window around each pixel: context that a larger image does not change.

A network that averages over its whole input says other things of the same pixels in a larger image, and never agrees
with itself in tiles. Trained on crops, it has only seen averages over a crop; a window of that size around each pixel
shows it the same, whatever the size of the image, and makes its receptive field finite. A window that the edge of the
map cuts is averaged over what is left of it.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class Averaging(nn.Module):
    """Base class of layers that average over their whole input, or over windows.

    Attributes:
        window: (height, width) in pixels of the map; None for the whole map.
    """

    window: tuple[float, float] | None = None


def moving_average(x: Tensor, window: tuple[float, float]) -> Tensor:
    """Average `x` (N, C, H, W) over a window around each pixel: (N, C, H, W).

    Args:
        x: the map.
        window: (height, width) in pixels of the map; each becomes the odd number that is next to it, 1 at least.
    """
    rows, columns = (2 * int(side // 2) + 1 for side in window)
    x = F.avg_pool2d(x, (rows, 1), 1, (rows // 2, 0), count_include_pad=False)
    return F.avg_pool2d(x, (1, columns), 1, (0, columns // 2), count_include_pad=False)
