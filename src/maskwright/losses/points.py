"""Random points of masks, and what the truth holds there, without a stack of whole masks. Knows no network.

Kirillov, Wu, He, Girshick 2020, "PointRend", section 3.1: a mask is compared at random points, most of them where it is
least certain. Coordinates are x and y as shares, 0..1, of a map's width and height.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from maskwright.losses.region_sampling import Truth

OVERSAMPLING = 3
"""Points from which the least certain ones are taken, as a multiple of all points."""
UNCERTAIN = 0.75
"""Share of the points that are the least certain ones; the others are drawn uniformly."""
UNKNOWN = -1


class Seen(NamedTuple):
    """What the truth holds at points.

    Attributes:
        inside: (n, P), how much of a point lies in each segment, 0..1.
        known: (n, P) or (1, P), how much of it the annotation says anything of, 0..1.
    """

    inside: Tensor
    known: Tensor


def at(maps: Tensor, points: Tensor) -> Tensor:
    """Return the values (n, P) of maps (n, h, w) at their points (n, P, 2), bilinearly; 0 outside of them."""
    return F.grid_sample(maps[:, None], 2 * points[:, None] - 1, align_corners=False)[:, 0, 0]


def uncertain_points(masks: Tensor, count: int, random: torch.Generator) -> Tensor:
    """Draw points (n, count, 2) of masks (n, h, w), logits: most of them where they are nearest to 0."""
    near = int(UNCERTAIN * count)
    drawn = evenly(len(masks), OVERSAMPLING * count, random, masks.device)
    places = at(masks, drawn).abs().topk(near, dim=1, largest=False).indices
    chosen = drawn.gather(1, places[:, :, None].expand(-1, -1, 2))
    return torch.cat([chosen, evenly(len(masks), count - near, random, masks.device)], dim=1)


def evenly(masks: int, count: int, random: torch.Generator, device: torch.device) -> Tensor:
    """Draw points (masks, count, 2) uniformly; a generator on the CPU gives the same ones on every device."""
    return torch.rand(masks, count, 2, generator=random).to(device)


class TruthMap:
    """The segments of one image, looked up at points.

    Args:
        truth: of the image.
        size: (height, width) of the map that points are shares of: the image, and what was added to it at the right and
            bottom, of which nothing is known.

    Attributes:
        rows: (n,) rows of the classes of the segments.
    """

    def __init__(self, truth: Truth, size: tuple[int, int]) -> None:
        height, width = truth.ids.shape
        codes = truth.ids.masked_fill(truth.unknown, UNKNOWN)
        whole = F.pad(codes, (0, size[1] - width, 0, size[0] - height), value=UNKNOWN)
        # Beyond the edge lies no segment, as if zeros surrounded a mask; but nothing is known beside what is unknown.
        unknown = F.pad((whole == UNKNOWN).float()[None], (1, 1, 1, 1), mode="replicate")[0] > 0
        self.codes = F.pad(whole, (1, 1, 1, 1)).masked_fill(unknown, UNKNOWN)
        self.numbers, self.rows = truth.numbers, truth.rows
        self.size = size

    def shared(self, points: Tensor) -> Seen:
        """Look all segments up at the same points (1, P, 2)."""
        return self._seen(self.numbers, points)

    def each(self, points: Tensor, segments: Tensor) -> Seen:
        """Look segments, given by their places (n,), up at points (n, P, 2) of their own."""
        return self._seen(self.numbers[segments], points)

    def _seen(self, numbers: Tensor, points: Tensor) -> Seen:
        codes, weights = self._corners(points)
        inside = ((codes == numbers[:, None, None]) * weights).sum(dim=2)
        return Seen(inside, ((codes != UNKNOWN) * weights).sum(dim=2))

    def _corners(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return the codes and weights (n, P, 4) of the four pixels around each point."""
        height, width = self.size
        x, y = (points * points.new_tensor([width, height]) + 0.5).unbind(-1)  # pixel i is i + 1 in `codes`
        left, top = x.floor().clamp(0, width), y.floor().clamp(0, height)
        across, down = x - left, y - top
        first = (top * (width + 2) + left).long()
        steps = torch.tensor([0, 1, width + 2, width + 3], device=points.device)
        codes = self.codes.flatten()[first[..., None] + steps]
        parts = [(1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across]
        return codes, torch.stack(parts, dim=-1)
