"""Objects of one image, each with its class and its own pixels. Knows no file, no network and no way to find them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Instance:
    """One object. Objects may overlap.

    Attributes:
        index: class index.
        top, left: position of `mask` in the image.
        mask: bool (h, w), the object's pixels in their bounding box: no outer row or column is empty.
        score: confidence from 0 to 1; 1 for an annotated object.
        crowd: a region of objects that the annotation does not separate. Missing it is no error, and neither is any
            object found inside it.
        shares: floating point (h, w), probability that each pixel belongs to it; None where nothing tells.
    """

    index: int
    top: int
    left: int
    mask: NDArray[np.bool_]
    score: float = 1.0
    crowd: bool = False
    shares: NDArray[np.floating] | None = None

    @property
    def risk(self) -> float:
        """How likely it is wrong: 1 - its score."""
        return 1 - self.score

    @property
    def rows(self) -> slice:
        """The rows of the image that the bounding box covers."""
        return slice(self.top, self.top + self.mask.shape[0])

    @property
    def columns(self) -> slice:
        """The columns of the image that the bounding box covers."""
        return slice(self.left, self.left + self.mask.shape[1])

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(self.mask.sum())

    def reaches_border(self, size: tuple[int, int]) -> bool:
        """Tell whether the object has a pixel at the edge of its image of `size` (height, width)."""
        return self.top == 0 or self.left == 0 or self.rows.stop == size[0] or self.columns.stop == size[1]


@dataclass(frozen=True, eq=False)
class Instances:
    """The objects of one image.

    Attributes:
        size: (height, width) of the image.
        objects: in the order of the annotation, or from the highest score to the lowest.
    """

    size: tuple[int, int]
    objects: tuple[Instance, ...] = ()

    def __len__(self) -> int:
        return len(self.objects)
