"""One augmented training crop: its place, its geometry, its colours. Knows no files and no classes.

All geometry is one affine map with one warp each for image and labels (`data.geometry`); all colour is one matrix and
one table (`data.color`). All random numbers are drawn first, in one call, so a crop is a function of its generator's
state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.data.color import COLOR_DRAWS, recolored
from maskwright.data.geometry import LINEAR_DRAWS, PLACE_DRAWS, linear_part, placed, warp_image, warp_labels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from maskwright.core.plan import AugmentPlan, SamplingPlan


def augmented_crop(
    image: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    focus: tuple[int, int] | None,
    sampling: SamplingPlan,
    augment: AugmentPlan,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Cut one augmented crop out of an image and its label map.

    If the crop is larger than the image, the rest is the mirrored image, and its labels are `IGNORE`.

    Args:
        image: uint8 (H, W, C), at working resolution.
        labels: uint8 (H, W).
        focus: (row, column) of a pixel that the middle half of the crop shows, or None for anywhere.
        sampling: `crop` is used.
        augment: the limits.
        rng: seeds the crop.

    Returns:
        image uint8 (h, w, C) and labels uint8 (h, w), with (h, w) = `sampling.crop`.
    """
    draws = rng.random(LINEAR_DRAWS + PLACE_DRAWS + COLOR_DRAWS).tolist()
    linear = linear_part(augment, draws[:LINEAR_DRAWS])
    place = draws[LINEAR_DRAWS : LINEAR_DRAWS + PLACE_DRAWS]
    view = placed(linear, (labels.shape[0], labels.shape[1]), sampling.crop, focus, place)
    pixels = recolored(warp_image(image, view), augment, draws[-COLOR_DRAWS:])
    return pixels, warp_labels(labels, view)
