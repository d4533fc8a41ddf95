"""The truth of one image as plain arrays: what a task reads from an annotation, before it is warped and encoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskwright.core.classes import IGNORE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from maskwright.core.edges import Edges
    from maskwright.core.instances import Instances


@dataclass(frozen=True, eq=False)
class Target:
    """The annotation of one image; every array has its height and width.

    Attributes:
        labels: uint8 (H, W), class indices or `IGNORE`. Sampling and statistics read it whatever the task: a task
            without classes marks with class 0 where something is known.
        values: float32 (C, H, W), measured quantities, NaN where unknown; None for a task without them.
        instances: the objects at full size, for judging and drawing; None for a task without them, and in crops, which
            are trained on the arrays.
        vectors: float32 (2, H, W), x and y of a vector in pixels of the target, NaN where unknown. It turns and scales
            with the image; None for a task without one.
        edges: what people drew, at full size, for judging and drawing; None for a task without edges, and in crops.
    """

    labels: NDArray[np.uint8]
    values: NDArray[np.float32] | None = None
    instances: Instances | None = None
    vectors: NDArray[np.float32] | None = None
    edges: Edges | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.labels.shape[0], self.labels.shape[1]

    @property
    def ignored(self) -> NDArray[np.bool_] | None:
        """Pixels (H, W) about which the annotation says nothing; None where there are none."""
        # The maximum makes no array, and most targets of objects have no such pixel.
        return self.labels == IGNORE if self.labels.max(initial=0) == IGNORE else None

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in (self.labels, self.values, self.vectors) if array is not None)
