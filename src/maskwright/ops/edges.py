"""The geometry of edges: edges of one pixel from soft or thick ones, and lines from pixels. Knows no truth.

In lines, as in `ops.polygons`, pixel (row, column) is the unit square from (column, row) to (column + 1, row + 1) in
x, y, so its centre is half a pixel further on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import scipy  # its parts are imported when they are used, which takes longer than all else here

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NEIGHBOURS = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
"""Steps (rows, columns) to the neighbours x1 to x8: the one to the right first, then against the clock."""
FARTHEST = 0.5
"""Largest distance, in pixels, that a point moves from the centre of its pixel."""
BAND = 256
"""Rows whose ridges are found at once."""
_STRAIGHT = ((0, 1), (1, 0))
_DIAGONAL = ((1, 1), (1, -1))


def thin(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Thin a mask (H, W) to lines of one pixel, with the same pieces and holes.

    Guo and Hall 1989, "Parallel Thinning with Two-Subiteration Algorithms", algorithm A1, as bwmorph of MATLAB and
    `skimage.morphology.thin` apply it. Beyond the image nothing is set.
    """
    image = mask.astype(np.uint8)
    while True:
        before = image
        for kept in _KEPT:
            codes = cv2.filter2D(image, cv2.CV_8U, _POWERS, borderType=cv2.BORDER_CONSTANT)
            image = image & cv2.LUT(codes, kept)
        if np.array_equal(image, before):
            return image.astype(np.bool_)


def suppress(
    strength: NDArray[np.float32], radius: int = 1, border: int = 5, tolerance: float = 1.01
) -> NDArray[np.float32]:
    """Keep the strength of edges only along their ridges: non-maximum suppression across each edge.

    As Dollar and Zitnick 2015, "Fast Edge Detection Using Structured Forests", and most learned detectors after them:
    the map is smoothed, and a pixel stays if it is not weaker than the points on both sides, interpolated bilinearly.

    Args:
        strength: edge map (H, W), 0 or more.
        radius: to how many points on each side a pixel is compared, one pixel apart.
        border: pixels within this distance of the image border are weakened, the outermost to 0.
        tolerance: a pixel stays if its strength times this is as much as that of the other point.

    Returns:
        (H, W), the smoothed strength on ridges and 0 elsewhere. Ridges may be two pixels wide: see `thin`.
    """
    smooth = _smoothed(strength, 1)
    angle = normals(smooth)
    ridges = np.zeros_like(smooth)
    for top in range(0, len(smooth), BAND):  # because places take ten times the memory of the map
        rows, columns = np.nonzero(smooth[top : top + BAND])
        rows += top
        across, down = np.cos(angle[rows, columns]), np.sin(angle[rows, columns])
        values = smooth[rows, columns]
        stays = np.ones(len(values), np.bool_)
        for step in (*range(-radius, 0), *range(1, radius + 1)):
            stays &= values * tolerance >= _sampled(smooth, rows + step * down, columns + step * across)
        ridges[rows[stays], columns[stays]] = values[stays]
    return ridges * np.multiply.outer(*(_fade(size, border) for size in smooth.shape))


def normals(strength: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the angle (H, W) across the edge at each pixel, 0..pi, from x towards y, in radians.

    From the second derivatives of the smoothed map, by the formula of Dollar and Zitnick's code: exact for multiples of
    45 degrees, and up to 13 degrees off between them.
    """
    smooth = _smoothed(strength, 4)
    slope_x, slope_y = _slope(smooth, 1), _slope(smooth, 0)
    xx, xy, yy = _slope(slope_x, 1), _slope(slope_x, 0), _slope(slope_y, 0)
    return np.mod(np.arctan2(np.where(xy > 0, -yy, yy), xx + 1e-5), np.pi)


def linked(ridges: NDArray[np.floating], low: float, high: float) -> NDArray[np.bool_]:
    """Link ridges to lines of one pixel by hysteresis (Canny 1986).

    The ridges of at least `low` are thinned. Of the pieces that are left, whose pixels touch at a side or a corner,
    those stay that have at least `high` somewhere, and more than one pixel.

    Args:
        ridges: (H, W), the strength along ridges, which may be two pixels wide, and 0 elsewhere.
        low: least strength of a line.
        high: strength that each line has somewhere.
    """
    mask = thin((ridges >= low) & (ridges > 0))
    count, parts, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    strong = np.zeros(count, np.bool_)
    strong[parts[mask & (ridges >= high)]] = True
    return (strong & (boxes[:, cv2.CC_STAT_AREA] > 1))[parts] & mask


class Trace(NamedTuple):
    """One line.

    Attributes:
        pixels: (n, 2), row and column of its pixels, n > 1; the last is the first one if it is closed.
        points: (n, 2), x and y of its points, one for each pixel.
    """

    pixels: NDArray[np.intp]
    points: NDArray[np.float64]

    def mean(self, strength: NDArray[np.floating]) -> float:
        """Return the mean of a strength (H, W) over the pixels, in which NaN counts as 0."""
        return float(np.nan_to_num(strength[tuple(self.pixels.T)]).mean())


def traced(edges: NDArray[np.bool_], profile: NDArray[np.float32] | None = None) -> list[Trace]:
    """Trace edges as lines.

    The edges are thinned. Lines end where edges end or meet: there, all lines of a junction share its point. A pixel
    without a neighbour gives no line.

    Args:
        edges: (H, W).
        profile: edge map (H, W) before suppression; with it, each point moves across its edge to the top of the
            parabola through the map there and one pixel to either side.

    Returns:
        Lines in raster order of their first points; open lines first.
    """
    mask = thin(edges)
    pixels = np.argwhere(mask)
    points = (pixels[:, ::-1] + 0.5).astype(np.float64)
    if profile is not None:
        points += _shifts(profile, pixels)
    return [Trace(pixels[chain], points[chain]) for chain in _chains(_neighbours(mask))]


def polylines(edges: NDArray[np.bool_], profile: NDArray[np.float32] | None = None) -> list[NDArray[np.float64]]:
    """Return the points (n, 2) of the lines that `traced` finds, x and y; in a closed line the last is the first."""
    return [line.points for line in traced(edges, profile)]


def _smoothed(strength: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    """Smooth with a triangle that reaches `radius` pixels to each side; the image is mirrored beyond its border."""
    kernel = np.concatenate([np.arange(1, radius + 2), np.arange(radius, 0, -1)]) / (radius + 1) ** 2
    return cv2.sepFilter2D(strength, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_REFLECT)


def _slope(field: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    return np.gradient(field, axis=axis) if field.shape[axis] > 1 else np.zeros_like(field)


def _sampled(
    field: NDArray[np.float32], rows: NDArray[np.floating], columns: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Interpolate bilinearly at points (n,); beyond the border lies the border's value."""
    return scipy.ndimage.map_coordinates(field, (rows, columns), order=1, mode="nearest")


def _fade(size: int, border: int) -> NDArray[np.float32]:
    """Return factors (size,) that rise from 0 at both ends to 1 over `border` pixels, at most over half the size."""
    width = min(border, size // 2)
    place = np.arange(size)
    return (
        np.minimum(np.minimum(place, size - 1 - place) / max(width, 1), 1).astype(np.float32)
        if width
        else np.ones(size, np.float32)
    )


def _shifts(strength: NDArray[np.float32], pixels: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return how far (n, 2), in x and y, the ridge is from the centres of pixels (n, 2)."""
    angle = normals(strength)[tuple(pixels.T)]
    across = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    before, at, after = (
        scipy.ndimage.map_coordinates(
            strength, (pixels + step * across[:, ::-1]).T, np.float64, order=1, mode="nearest", prefilter=False
        )
        for step in (-1, 0, 1)
    )
    bend = before - 2 * at + after
    top = np.divide(before - after, 2 * bend, out=np.zeros_like(at), where=bend < 0)
    return np.clip(top, -FARTHEST, FARTHEST)[:, None] * across


def _neighbours(mask: NDArray[np.bool_]) -> list[list[int]]:
    """List the neighbours of each edge pixel, numbered in raster order.

    A diagonal neighbour counts only if no pixel touches a side of both, so that corners do not become junctions.
    """
    numbers = np.full(np.add(mask.shape, 2), -1)
    numbers[1:-1, 1:-1][mask] = np.arange(np.count_nonzero(mask))
    rows, columns = np.nonzero(numbers >= 0)
    found: list[list[int]] = [[] for _ in rows]
    for down, across in (*_STRAIGHT, *_DIAGONAL):
        linked = numbers[rows + down, columns + across] >= 0
        if (down, across) in _DIAGONAL:
            linked &= (numbers[rows + down, columns] < 0) & (numbers[rows, columns + across] < 0)
        ends = numbers[rows[linked] + down, columns[linked] + across]
        for first, second in zip(np.flatnonzero(linked).tolist(), ends.tolist(), strict=True):
            found[first].append(second)
            found[second].append(first)
    return found


def _chains(neighbours: list[list[int]]) -> list[list[int]]:
    """Split the graph of pixels into chains between pixels that do not have two neighbours, and closed chains."""
    chains = []
    inner = [len(near) == 2 for near in neighbours]
    visited = [False] * len(neighbours)
    walked: set[tuple[int, int]] = set()
    for end, near in enumerate(neighbours):
        for first in near if not inner[end] else ():
            if (end, first) not in walked:
                chain = _walk(neighbours, inner, [end, first])
                walked.add((chain[-1], chain[-2]))
                for pixel in chain:
                    visited[pixel] = True
                chains.append(chain)
    for start in range(len(neighbours)):
        if inner[start] and not visited[start]:
            chain = _walk(neighbours, inner, [start, neighbours[start][0]])
            for pixel in chain:
                visited[pixel] = True
            chains.append(chain)
    return chains


def _walk(neighbours: list[list[int]], inner: list[bool], chain: list[int]) -> list[int]:
    """Follow pixels with two neighbours from the first two of a chain, to its end or back to its start."""
    while inner[chain[-1]] and chain[-1] != chain[0]:
        one, other = neighbours[chain[-1]]
        chain.append(other if one == chain[-2] else one)
    return chain


def _powers() -> NDArray[np.float32]:
    """Return the kernel (3, 3) that encodes eight neighbours as a number of eight bits, x1 the lowest."""
    kernel = np.zeros((3, 3), np.float32)
    for bit, (down, across) in enumerate(_NEIGHBOURS):
        kernel[1 + down, 1 + across] = 1 << bit
    return kernel


def _kept() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return two tables (256), one a subiteration: whether a pixel stays, by the code of its neighbours."""
    x = np.zeros((10, 256), np.bool_)  # x[1] to x[8], as in the paper, and x[9] = x[1]
    x[1:9] = np.arange(256) >> np.arange(8)[:, None] & 1
    x[9] = x[1]
    odd, even, after = x[1:9:2], x[2:9:2], x[3:10:2]
    crossings = (~odd & (even | after)).sum(axis=0)
    pairs = np.minimum((odd | even).sum(axis=0), (even | after).sum(axis=0))
    removable = (crossings == 1) & (pairs >= 2) & (pairs <= 3)
    first = (x[2] | x[3] | ~x[8]) & x[1]
    second = (x[6] | x[7] | ~x[4]) & x[5]
    return (~removable | first).astype(np.uint8), (~removable | second).astype(np.uint8)


_POWERS = _powers()
_KEPT = _kept()
