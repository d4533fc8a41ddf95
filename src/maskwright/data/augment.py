"""One augmented training crop: its place, its geometry, its colours. Knows no files and no classes.

All geometry is one affine and one warp each for image and target (`data.geometry`); all colour is one matrix and one
table (`data.color`). Every random number is drawn first, in one call, so a crop is a function of its generator's state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.data.color import COLOR_DRAWS, recolored
from maskwright.data.geometry import LINEAR_DRAWS, PLACE_DRAWS, linear_part, placed, warp_image
from maskwright.data.targets import warped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from maskwright.core.plan import AugmentPlan, SamplingPlan
    from maskwright.core.targets import Target


def augmented_crop(
    image: NDArray[np.uint8],
    target: Target,
    focus: tuple[int, int] | None,
    sampling: SamplingPlan,
    augment: AugmentPlan,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], Target]:
    """Cut one augmented crop out of an image and its target.

    Where the crop is larger than the image, the image's mirror image fills the pixels, and nothing is known there.

    Args:
        image: uint8 (H, W, C), at working resolution.
        target: of the same size.
        focus: (row, column) of a pixel that the middle half of the crop shall show, or None for anywhere.
        sampling: `crop` is used.
        augment: the limits.
        rng: seeds the crop.

    Returns:
        image uint8 (h, w, C) and its target, with (h, w) = `sampling.crop`.
    """
    draws = rng.random(LINEAR_DRAWS + PLACE_DRAWS + COLOR_DRAWS).tolist()
    linear = linear_part(augment, draws[:LINEAR_DRAWS])
    place = draws[LINEAR_DRAWS : LINEAR_DRAWS + PLACE_DRAWS]
    view = placed(linear, target.size, sampling.crop_size, focus, place)
    pixels = recolored(warp_image(image, view), augment, draws[-COLOR_DRAWS:])
    return pixels, warped(target, view)
