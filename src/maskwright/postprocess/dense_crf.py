"""The dense CRF as a postprocessor: `postprocess.crf` with settings, and `postprocess.search` to fit them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from maskwright.core.channels import CLASS_GROUP
from maskwright.core.plan import CrfPlan
from maskwright.postprocess.crf import axes_of, refine
from maskwright.postprocess.search import describe, search

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from maskwright.core.channels import Channels
    from maskwright.core.plan import Section
    from maskwright.postprocess.base import Sample
    from maskwright.postprocess.search import SearchFit

WHOLE = 1 << 21  # pixels: an HD frame; the CRF holds 2 GB then on a smooth image, 6 GB on pure noise
CLASSES, CHANNELS = 21, 3  # for which that holds


class DenseCrf:
    """The dense CRF; see `postprocess.base.Postprocessor`. Every pixel is joined to every other one of its piece."""

    label = "dense CRF"
    needs = "the probability of each class and nothing else, as models of the task semantic predict"
    improves: tuple[str, ...] = ("iou", "boundary_iou")
    axes: ClassVar[Mapping[str, tuple[float, float]]] = {
        "w1": (0.01, 100.0),
        "theta_beta": (1.0, 255.0),
        "w2": (0.01, 100.0),
        "theta_alpha": (1.0, 1000.0),
    }

    def __init__(self, settings: Section | None = None) -> None:
        assert settings is None or isinstance(settings, CrfPlan)
        self.settings = settings or CrfPlan()

    @property
    def reach(self) -> float:
        """Two standard deviations of the appearance kernel's position."""
        return 2 * self.settings.theta_alpha

    @classmethod
    def takes(cls, groups: Sequence[Channels]) -> bool:
        """Whether the only group is a softmax over classes."""
        return [(group.name, group.activation) for group in groups] == [(CLASS_GROUP, "softmax")]

    def most_pixels(self, maps: int, channels: int) -> int:
        """Return the pixels of a piece: the lattice has a value a class at C + 3 corners of each pixel."""
        corners = max(axes_of(channels), CHANNELS) + 3
        return int(WHOLE * CLASSES / max(maps, CLASSES) * (CHANNELS + 3) / corners)

    def apply(self, maps: NDArray[np.float32], image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run the mean field on class probabilities (K, H, W)."""
        return refine(maps, image, self.settings)

    def describe(self) -> str:
        """Write the parameters in one line."""
        return describe(self.settings)

    @classmethod
    def fit(cls, samples: Sequence[Sample], start: CrfPlan, deadline: float | None) -> SearchFit:
        """Search the parameters by IoU and boundary IoU; `theta_gamma` and `iterations` stay."""
        return search(cls, samples, start, deadline)
