"""Edge enhancement: filters that bring out edges, or smooth all but edges. Opens no file.

Each takes an image (H, W) or (H, W, C) of any real dtype and returns one of the same shape and dtype. Missing values
stay missing, and others see in their place the nearest values. A contrast is a share of the range of the values;
`classic.planes` has the rules for both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maskwright.classic.enhance.diffusion import coherence
from maskwright.classic.enhance.filters import bilateral, guided, unsharp

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

ENHANCEMENTS: dict[str, Callable[..., NDArray[Any]]] = {
    "unsharp": unsharp,
    "guided": guided,
    "bilateral": bilateral,
    "coherence": coherence,
}
