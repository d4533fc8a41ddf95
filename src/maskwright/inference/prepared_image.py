"""An image as rows of network input, prepared no earlier than they are needed. Knows no network and no file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.ops.images import prepare, resize_image, working_size_of
from maskwright.ops.no_data import missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.core.plan import DataPlan

BAND = 256  # rows of the image that are converted at a time


class PreparedImage:
    """An image of any dtype and size, seen as uint8 rows at working resolution.

    At scale 1 the rows are prepared on demand, so that no second copy of the image is made. At any other scale the
    whole working image is kept as uint8, because a resized band is not quite the band of the resized image.

    Attributes:
        size: (height, width) of the image itself.
        working: (height, width) of what the network sees.
    """

    def __init__(self, image: NDArray[Any], data: DataPlan) -> None:
        if image.ndim == 2:
            image = image[:, :, None]
        self.size: tuple[int, int] = (image.shape[0], image.shape[1])
        self.working = working_size_of(self.size, data)
        self._points = data.unscaled()
        self._resized = None
        if self.working != self.size:
            self._resized = resize_image(self._converted(image), self.working, data.resize)
        self._image = image if self._resized is None else None

    def rows(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Return working rows start..stop as uint8 (stop - start, width, channels).

        Raises:
            MaskwrightError: channels or values that the plan does not fit.
        """
        if self._resized is not None:
            return self._resized[start:stop]
        assert self._image is not None
        return prepare(self._image[start:stop], self._points)

    def _converted(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the image as uint8 with the plan's channels, band by band: no float array of its size."""
        plain = image.dtype == np.uint8 and self._points.value_range is None and missing(image) is None
        if plain and image.shape[2] == self._points.channels:
            return np.asarray(image)
        pixels = np.empty((*self.size, self._points.channels), np.uint8)
        for start in range(0, self.size[0], BAND):
            pixels[start : start + BAND] = prepare(image[start : start + BAND], self._points)
        return pixels
