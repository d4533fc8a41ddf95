"""Superpixels: an image divided into small regions of one colour. One file a method, and the table of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maskwright.classic.superpixels.exchange import exchange
from maskwright.classic.superpixels.library import compact_watershed, felzenszwalb_graph
from maskwright.classic.superpixels.slic import slic
from maskwright.core.errors import unknown_name

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["EXACT", "SUPERPIXELS", "superpixels"]

SUPERPIXELS: dict[str, Callable[[NDArray[Any], int, float], NDArray[np.int32]]] = {
    "etps": exchange,
    "slic": slic,
    "compact-watershed": compact_watershed,
    "felzenszwalb": felzenszwalb_graph,
}
"""Name -> function of image, count and compactness that returns labels 0..K-1 (H, W), each of one connected region."""
EXACT = frozenset({"etps", "compact-watershed"})
"""Those that return exactly as many as asked for."""


def superpixels(
    image: NDArray[Any], method: str = "etps", *, count: int = 400, compactness: float = 1.0
) -> NDArray[np.int32]:
    """Divide an image into superpixels.

    Args:
        image: (H, W) or (H, W, C), any real dtype. Three channels are RGB.
        method: name in `SUPERPIXELS`. Those in `EXACT` return exactly `count`; `felzenszwalb` ignores it.
        count: number of superpixels, from 1 to the number of pixels.
        compactness: 1 for the usual shape; more makes them rounder.

    Returns:
        int32 (H, W), labels 0..K-1, each of one region whose pixels are connected by their sides.

    Raises:
        MaskwrightError: an unknown method, or an argument outside its rule.
    """
    if method not in SUPERPIXELS:
        raise unknown_name("method", method, SUPERPIXELS, "method")
    return SUPERPIXELS[method](image, count, compactness)
