"""Edges without training: the table of methods, and lines of one pixel from any of them. Opens no file.

Every method takes an image (H, W) or (H, W, C) of any real dtype and a scale. `planes` has the rules that all of them
share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from maskwright.classic.edges.canny import canny, multiscale
from maskwright.classic.edges.gradients import Response, color, laplacian, scharr, sobel, structure
from maskwright.classic.edges.limits import FAINT, thresholds
from maskwright.classic.edges.phase import phase
from maskwright.classic.planes import planes_of, seen
from maskwright.core.errors import unknown_name
from maskwright.ops.edges import linked, suppress

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

INCONGRUENT = 0.15
"""Phase congruency that noise reaches: measured .12 at most in 480,000 pixels, and .04 in one of 1,000."""


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
    values = seen(planes.values)
    found = chosen.respond(values, **({} if sigma is None else {"sigma": sigma}))
    # Cut off before, strong edges would have a plateau and the image an edge around each hole.
    strength = _cut(found.strength, planes.gone)
    ridges = np.where(chosen.ridges(found.strength) > 0, strength, np.float32(0))
    flat = structure(values, 0).strength < FAINT
    limits = thresholds(ridges, low, high, gone=planes.gone, flat=flat, faint=chosen.faint)
    return FoundEdges(strength, linked(ridges, *limits), found.profile, limits)


def _cut(strength: NDArray[np.float32], gone: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    """Cut a strength (H, W) off at 1, and empty it where the image has no data."""
    cut = np.clip(strength, 0, 1)
    if gone is not None:
        cut[gone] = 0
    return cut
