"""What a caller gives to be predicted, and what is refused. Knows no network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.errors import MaskwrightError
from maskwright.core.records import ImageRef

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.models.bundle import Card
    from maskwright.ops.rows import SlicedRows


def check_kind(image: Any) -> None:
    """Refuse what is neither an array nor a file.

    Raises:
        MaskwrightError: with the type and the cure.
    """
    if isinstance(image, np.ndarray | ImageRef | str | Path):
        return
    given = "None" if image is None else f"of type {type(image).__name__}"
    raise MaskwrightError(
        f"the image is {given}, and it must be an array (H, W) or (H, W, C), or the path of one file: convert a PIL "
        'image by numpy.asarray(image.convert("RGB")); for several images call predict once for each, or '
        "maskwright.predict",
        "image",
    )


def check_values(image: NDArray[Any] | SlicedRows, card: Card) -> None:
    """Refuse an image without pixels, or whose type cannot hold the values of the training: it would seem dark.

    Raises:
        MaskwrightError: with the type, the range and the cure.
    """
    if image.ndim not in {2, 3} or 0 in image.shape:
        raise MaskwrightError(
            f"the image has the shape {image.shape}, but an image is an array (H, W) or (H, W, C) of at least one "
            "pixel: give such an array"
        )
    data, kind = card.data, image.dtype
    if data.value_range is None or kind.name in card.dtypes or not np.issubdtype(kind, np.integer):
        return
    most, high = np.iinfo(kind).max, max(high for _, high in data.value_range)
    if high > most:
        raise MaskwrightError(
            f"the image holds {kind} values, at most {most}, and the model was trained on values up to {high:g} "
            f"(data.value_range), so the image would look nearly black: give images of the training's pixel type "
            f"({', '.join(card.dtypes) or 'such as uint16'}), on its scale"
        )
