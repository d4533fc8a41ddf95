"""Maps of importance drawn over an image, in colours that colour-blind people can tell apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from maskwright.ops.draw import to_rgb8

if TYPE_CHECKING:
    from numpy.typing import NDArray

LINE, RIM = (255, 255, 255), (0, 0, 0)
"""Of the outline: white with a black rim, which is seen on every colour."""
MARK = (213, 94, 0)
"""Of the frame around a patch: vermilion of Okabe and Ito's palette, which cividis does not have."""
SMALLEST = 256


def heat(
    image: NDArray[Any],
    values: NDArray[np.float32],
    mask: NDArray[np.bool_],
    patch: tuple[slice, slice] | None = None,
) -> NDArray[np.uint8]:
    """Draw a map over the grey image: dark blue where nothing depends on the image, yellow where most does.

    The colours are cividis (Nunez, Anderton, Renslow 2018, "Optimizing colormaps with consideration for color vision
    deficiency").

    Args:
        image: (H, W) or (H, W, C).
        values: (H, W); what is below 0 is drawn as 0.
        mask: bool (H, W), the region, which is outlined.
        patch: rows and columns of a part that is framed.

    Returns:
        RGB, at least `SMALLEST` pixels on its shorter side.
    """
    factor = max(1, -(-SMALLEST // min(mask.shape)))
    grey = cv2.cvtColor(cv2.cvtColor(to_rgb8(image), cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    top = max(float(np.quantile(values, 0.995)), 1e-12)
    share = np.clip(values / top, 0, 1).astype(np.float32)
    colour = cv2.applyColorMap((255 * share).astype(np.uint8), cv2.COLORMAP_CIVIDIS)[..., ::-1]
    alpha = (0.35 + 0.4 * share)[..., None]
    drawn = np.round(grey * (1 - alpha) + colour * alpha).astype(np.uint8)
    size = (mask.shape[1] * factor, mask.shape[0] * factor)
    drawn = np.ascontiguousarray(cv2.resize(drawn, size, interpolation=cv2.INTER_NEAREST))
    large = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    lines, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    for color, width in ((RIM, 3), (LINE, 1)):
        cv2.drawContours(drawn, lines, -1, color, width)
    if patch is not None:
        rows, columns = patch
        first, last = (columns.start * factor, rows.start * factor), (columns.stop * factor - 1, rows.stop * factor - 1)
        cv2.rectangle(drawn, first, last, MARK, 2)
    return drawn
