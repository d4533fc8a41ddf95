"""The interface of postprocessors: applied after a network, fitted on validation images. Knows no method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from maskwright.ops.tiles import UNCUT, Cuts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from maskwright.core.channels import Channels
    from maskwright.core.plan import Section


class Sample(NamedTuple):
    """One validation image, or a window of it.

    Attributes:
        maps: (C, H, W) float16 or float32: the maps of the groups that the method reads, those of the classes first.
        image: uint8 (H, W, C).
        truth: class indices or `IGNORE` (H, W).
        classes: K, at least 2.
        cuts: sides of a window where the image goes on.
    """

    maps: NDArray[np.float16] | NDArray[np.float32]
    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    classes: int
    cuts: Cuts = UNCUT


class Fitted(Protocol):
    """What a fit found.

    Attributes:
        settings: the best that were tried.
        helps: whether they are better than no postprocessor at all.
    """

    @property
    def settings(self) -> Any:
        """The best that were tried."""

    @property
    def helps(self) -> bool:
        """Whether they are better than no postprocessor at all."""

    def sentence(self) -> str:
        """Say what was found, for people."""

    def to_json(self) -> dict[str, Any]:
        """Return what was found as plain JSON."""


class Postprocessor(Protocol):
    """A method with its settings.

    Attributes:
        label: the method's name in a sentence: `dense CRF`.
        settings: the method's section of the plan.
        needs: what the network must emit, in a sentence: `the probability of each class`.
        reads: names of the channel groups that go through it; the others stay as they are.
        improves: keys of the metrics that it is meant to raise; of a task, those that it has.
        limits: least and greatest value of each setting that a fit searches, in the order of the search.
        reach: pixels that one pixel may have an influence on, in each direction.
    """

    label: str
    needs: str
    reads: tuple[str, ...]
    improves: tuple[str, ...]
    limits: Mapping[str, tuple[float, float]]
    settings: Any

    def __init__(self, settings: Section | None = None) -> None:
        """Take settings, or the default ones."""

    @property
    def reach(self) -> float:
        """Pixels that one pixel may have an influence on, in each direction."""

    @classmethod
    def takes(cls, groups: Sequence[Channels]) -> bool:
        """Whether the method can be applied to maps of these channel groups."""

    def most_pixels(self, maps: int, channels: int) -> int:
        """Return how many pixels go through at once, with so many maps and image channels: memory bounds it."""

    def apply(self, maps: NDArray[np.float32], image: NDArray[np.uint8], cuts: Cuts = UNCUT) -> NDArray[np.float32]:
        """Return processed maps (C, H, W) float32.

        Args:
            maps: (C, H, W), those that are read.
            image: uint8 (H, W, channels).
            cuts: sides where a larger image goes on: what touches them is known in part only.
        """

    def describe(self) -> str:
        """Write the settings in one line."""

    @classmethod
    def fit(cls, samples: Sequence[Sample], start: Any, deadline: float | None) -> Fitted:
        """Fit the settings on at least one sample, beginning at `start`.

        Args:
            samples: of validation images.
            start: settings to begin with.
            deadline: in seconds of `time.monotonic()`; None for no limit.
        """
