"""The ways to tell objects apart in maps, and `FORMULATIONS`, the table of them. Knows no task and no network.

Each brings channels beside those of the classes, what they learn, their loss, how they become objects, and the
thresholds that are fitted for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maskwright.core.channels import Channels
from maskwright.ops.grouping import Grouping
from maskwright.ops.separation import Separation
from maskwright.tasks import centre_decode, instance_decode
from maskwright.tasks.centre_target import centre_values
from maskwright.tasks.instance_loss import (
    BORDER_GROUP,
    CENTRE_GROUP,
    DEPTH_GROUP,
    OFFSET_GROUP,
    centre_loss,
    depth_loss,
)
from maskwright.tasks.instance_target import object_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from maskwright.core.instances import Instances
    from maskwright.tasks.instance_loss import Maps

    Planes = NDArray[np.float32]


@dataclass(frozen=True)
class Formulation:
    """One way to tell objects apart.

    Attributes:
        channels: what the network emits beside the classes; a vector comes last.
        measure: (ids (H, W), unknown (H, W)) -> values (C, H, W) of the other channels, vectors (2, H, W) or None.
        loss: (raw maps, targets) by group -> what is added to the loss of the classes.
        decode: (blocks, size, classes that are no objects, thresholds) -> objects.
        thresholds: a dataclass with the default ones.
        tried: threshold -> the values that a fit tries, in this order.
        again: those that depend most on the others, to fit once more.
    """

    channels: tuple[Channels, ...]
    measure: Callable[[NDArray[np.int32], NDArray[np.bool_]], tuple[Planes, Planes | None]]
    loss: Callable[[Maps, Maps], Any]
    decode: Callable[[Iterable[Any], tuple[int, int], tuple[int, ...], Any], Instances]
    thresholds: type[Separation | Grouping]
    tried: Mapping[str, tuple[float, ...]]
    again: tuple[str, ...]

    @property
    def planes(self) -> int:
        """How many of the channels are values, and no vectors."""
        return sum(group.count for group in self.channels if not group.vector)

    @property
    def vectors(self) -> bool:
        """Whether the last two channels are a vector."""
        return self.channels[-1].vector

    def encode(self, values: Planes, vectors: Planes | None) -> dict[str, Planes]:
        """Return what `measure` found, after the warp, by group."""
        planes = values[: self.planes, None]
        names = [group.name for group in self.channels]
        return dict(zip(names, [*planes, *([] if vectors is None else [vectors])], strict=True))


def _depths(ids: NDArray[np.int32], unknown: NDArray[np.bool_]) -> tuple[Planes, None]:
    return object_values(ids, unknown), None


def _centres(ids: NDArray[np.int32], unknown: NDArray[np.bool_]) -> tuple[Planes, Planes]:
    heat, offsets = centre_values(ids, unknown)
    return heat[None], offsets


FORMULATIONS: dict[str, Formulation] = {
    "depth": Formulation(
        channels=(
            Channels(name=DEPTH_GROUP, count=1, activation="sigmoid"),
            Channels(name=BORDER_GROUP, count=1, activation="sigmoid"),
        ),
        measure=_depths,
        loss=depth_loss,
        decode=instance_decode.decode,
        thresholds=Separation,
        tried={
            "seed": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
            "foreground": (0.3, 0.4, 0.5, 0.6, 0.7),
            "smooth": (0.0, 1.0, 2.0, 3.0),
            "least": (1, 4, 9, 16, 25, 49),
        },
        again=("seed",),
    ),
    "centres": Formulation(
        channels=(
            Channels(name=CENTRE_GROUP, count=1, activation="sigmoid"),
            Channels(name=OFFSET_GROUP, count=2, activation="none", vector=True),
        ),
        measure=_centres,
        loss=centre_loss,
        decode=centre_decode.decode,
        thresholds=Grouping,
        tried={
            "peak": (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5),
            "foreground": (0.3, 0.4, 0.5, 0.6, 0.7),
            "smooth": (0.0, 1.0, 2.0, 4.0),
            "reach": (4, 8, 16, 32, 64),
            "least": (1, 4, 9, 16, 25, 49),
        },
        again=("peak",),
    ),
}
"""Channels and decoding by the name that the plan gives (`objects.formulation`)."""
