"""Edges without training: the table of methods, and lines of one pixel from any of them. Opens no file.

Every method takes an image (H, W) or (H, W, C) of any real dtype and a scale. `planes` has the rules that all of them
share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

from maskwright.classic.edges.canny import canny, multiscale
from maskwright.classic.edges.gradients import Response, color, laplacian, scharr, sobel
from maskwright.classic.edges.phase import phase
from maskwright.classic.planes import planes_of, seen
from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.ops.edges import linked, suppress, thin

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

FAINT = 1e-3
"""A quarter of a grey value of 8-bit images."""
INCONGRUENT = 0.1
"""Phase congruency that noise reaches: measured .12 at most in 480,000 pixels, and .04 in one of 1,000."""
NOISE_SHARE = 0.08
"""Of the pixels on thinned ridges where noise or texture fills an image: measured .09 to .27 on photographs."""
AROUND = 31
"""Side of the square around a ridge in which others are counted."""
STRONGEST = 0.02
"""Share of the ridges that reach the automatic threshold at least: 3 % and more do by the rule on photographs."""
SHARE = 0.5
"""Of the upper threshold that the lower one is, as Canny advises (a half to a third)."""


class EdgeMethod(NamedTuple):
    """A way to find edges.

    Attributes:
        respond: function (planes (C, H, W), sigma) -> response.
        lines: whether the strength is 0 beside the edges already, so that nothing needs suppressing.
        faint: weaker ridges are rounding or noise: automatic thresholds ignore them.
    """

    respond: Callable[..., Response]
    lines: bool = False
    faint: float = FAINT

    def strength(self, image: NDArray[Any], **scale: float) -> NDArray[np.float32]:
        """Return how strong the edge at each pixel of an image is.

        Args:
            image: (H, W) or (H, W, C), any real dtype.
            **scale: `sigma`, in pixels; without it the method's own.

        Returns:
            float32 (H, W), cut off at 1, and 0 where the image has no data.

        Raises:
            MaskwrightError: not an image, or a sigma outside the method's range.
        """
        planes = planes_of(image)
        return _cut(self.respond(seen(planes.values), **scale).strength, planes.gone)

    def ridges(self, strength: NDArray[np.float32]) -> NDArray[np.float32]:
        """Keep a strength (H, W) of this method only along the middle of each edge."""
        return strength if self.lines else suppress(strength, border=0)


EDGES: dict[str, EdgeMethod] = {
    "color": EdgeMethod(color),
    "canny": EdgeMethod(canny, lines=True),
    "multiscale": EdgeMethod(multiscale, lines=True),
    "phase": EdgeMethod(phase, faint=INCONGRUENT),
    "laplacian": EdgeMethod(laplacian, lines=True),
    "sobel": EdgeMethod(sobel),
    "scharr": EdgeMethod(scharr),
}


class FoundEdges(NamedTuple):
    """The edges of one image.

    Attributes:
        strength: float32 (H, W) within 0..1.
        lines: bool (H, W), the edges, one pixel wide.
        profile: float32 (H, W), 0 or more, greatest on the lines also between pixels, for `ops.edges.polylines`.
        thresholds: of the lines, lower and upper.
    """

    strength: NDArray[np.float32]
    lines: NDArray[np.bool_]
    profile: NDArray[np.float32]
    thresholds: tuple[float, float]


def find_edges(
    image: NDArray[Any],
    method: str = "color",
    sigma: float | None = None,
    low: float | None = None,
    high: float | None = None,
) -> FoundEdges:
    """Find edges, and link them to lines by hysteresis (Canny 1986).

    Args:
        image: (H, W) or (H, W, C), any real dtype.
        method: name in `EDGES`.
        sigma: scale of the edges in pixels; None for the method's own.
        low: least strength of a line; see `thresholds`.
        high: strength that each line has somewhere; see `thresholds`.

    Raises:
        MaskwrightError: not an image, no such method, or a value outside its range.
    """
    if method not in EDGES:
        raise unknown_name("edge method", method, EDGES, "method")
    planes, chosen = planes_of(image), EDGES[method]
    found = chosen.respond(seen(planes.values), **({} if sigma is None else {"sigma": sigma}))
    # Cut off before, strong edges would have a plateau and the image an edge around each hole.
    strength = _cut(found.strength, planes.gone)
    ridges = np.where(chosen.ridges(found.strength) > 0, strength, np.float32(0))
    limits = thresholds(ridges, low, high, planes.gone, chosen.faint)
    return FoundEdges(strength, linked(ridges, *limits), found.profile, limits)


def thresholds(
    ridges: NDArray[np.float32],
    low: float | None = None,
    high: float | None = None,
    gone: NDArray[np.bool_] | None = None,
    faint: float = FAINT,
) -> tuple[float, float]:
    """Return the thresholds of lines: those given, and automatic ones for the others.

    Args:
        ridges: strength (H, W) along the middle of edges, as `EdgeMethod.ridges` returns it.
        low: least strength of a line; None for `SHARE` of `high`.
        high: strength that each line has somewhere; None for one from the ridges: see `_usual`.
        gone: where the image (H, W) has no data; None for nowhere.
        faint: of the method.

    Raises:
        MaskwrightError: a threshold outside 0..1, or `low` above `high`.
    """
    for name, value in (("low", low), ("high", high)):
        if value is not None and not 0 < value <= 1:
            raise MaskwrightError(f"`{name}` is {value:g}, and it must be above 0, and 1 at most", name)
    if high is None:
        high = max(_usual(ridges, gone, faint), low or 0.0)
    if low is None:
        return SHARE * high, high
    if low > high:
        raise MaskwrightError(f"`low` is {low:g} and `high` is {high:g}: give a `low` of {high:g} or less", "low")
    return low, high


def _usual(ridges: NDArray[np.float32], gone: NDArray[np.bool_] | None, faint: float) -> float:
    """Return the upper threshold for ridges (H, W): the mean plus the standard deviation of the thinned ones, or less.

    Ridges of noise and texture are dense. Where a ridge has few others near it, its surroundings are flat, so that few
    ridges can be noise: the threshold is lower in proportion to the mean share of ridges in the squares around them.
    Of ridges that are alike, the mean plus the deviation may be more than all, so that the threshold is at most what
    the strongest `STRONGEST` reach.
    """
    mask = thin(ridges > faint)
    values = ridges[mask].astype(np.float64)
    if not values.size:
        return 1.0
    most = min(values.mean() + values.std(), np.quantile(values, 1 - STRONGEST, method="higher"))
    return float(np.clip(most * min(1, _density(mask, gone) / NOISE_SHARE), faint / SHARE, 1))


def _density(mask: NDArray[np.bool_], gone: NDArray[np.bool_] | None) -> float:
    """Return the mean share of ridges (H, W) among the known pixels around each of them."""
    known = np.ones(mask.shape, np.float32) if gone is None else (~gone).astype(np.float32)
    ridges, pixels = (
        cv2.boxFilter(part, -1, (AROUND, AROUND), borderType=cv2.BORDER_CONSTANT)
        for part in (mask.astype(np.float32), known)
    )
    return float((ridges[mask] / np.maximum(pixels[mask], 1 / AROUND**2)).mean())


def _cut(strength: NDArray[np.float32], gone: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    """Cut a strength (H, W) off at 1, and empty it where the image has no data."""
    cut = np.clip(strength, 0, 1)
    if gone is not None:
        cut[gone] = 0
    return cut
