"""Channel groups: what the channels of a network's output mean. Knows no network and no task.

A network emits (N, C, H, W); the C channels are divided into named groups, in order. A group says how its raw values
become what they stand for: `softmax` over the group (one of several classes a pixel), `sigmoid` of each channel by
itself (there or not there), or `none` (a measured quantity).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import ConfigDict, Field, model_validator

from maskwright.core.plan_section import Section

if TYPE_CHECKING:
    from collections.abc import Sequence

CLASS_GROUP = "classes"
"""Name of the channel group that gives each pixel a class."""
EDGE_GROUP = "edges"
"""Name of the channel group that says how likely each pixel is on an edge."""
OBJECT_GROUP = "objects"
"""Name of the group of a network that emits objects, each with a class, instead of maps."""
Activation = Literal["softmax", "sigmoid", "none"]


class Channels(Section):
    """One group of channels.

    Attributes:
        name: what they are: `classes`, `foreground`, `distance`, `offset`, ...
        count: how many.
        activation: turns raw values into probabilities, or leaves them as they are.
        vector: the channels are the (x, y) components of a vector, which turns when the image is flipped.
    """

    model_config = ConfigDict(frozen=True)

    name: str = Field(min_length=1)
    count: int = Field(ge=1)
    activation: Activation
    vector: bool = False

    @model_validator(mode="after")
    def _sound(self) -> Channels:
        if self.activation == "softmax" and self.count < 2:
            raise ValueError(f"channel group {self.name}: a softmax needs 2 channels or more, not {self.count}")
        if self.vector and (self.count != 2 or self.activation != "none"):
            raise ValueError(f"channel group {self.name}: a vector has 2 channels, x and y, without an activation")
        return self


def class_channels(count: int) -> tuple[Channels, ...]:
    """Return the channel group of a network that gives each pixel one of `count` classes.

    A single class is a binary problem: the channel is the logit of that class against everything else.
    """
    return (Channels(name=CLASS_GROUP, count=count, activation="softmax" if count > 1 else "sigmoid"),)


def edge_channel() -> Channels:
    """Return the channel group of a network that finds edges: the probability of one at each pixel."""
    return Channels(name=EDGE_GROUP, count=1, activation="sigmoid")


def edges_beside(groups: Sequence[Channels]) -> bool:
    """Tell whether a network with these groups gives each pixel a class, and the edges between regions beside, last."""
    if len(groups) < 2:
        return False
    first, last = groups[0], groups[-1]
    classes = (first.name, first.activation) == (CLASS_GROUP, "softmax")
    return classes and (last.name, last.activation) == (EDGE_GROUP, "sigmoid")


def object_channels(count: int) -> tuple[Channels, ...]:
    """Return the only group of a network that emits objects of `count` classes, the background among them."""
    return (Channels(name=OBJECT_GROUP, count=count, activation="softmax"),)


def object_rows(count: int, background: int) -> tuple[int, ...]:
    """Return the class index of each row of that group: the background, for no object, then the others in order."""
    return (background, *(index for index in range(count) if index != background))


def emits_objects(groups: Sequence[Channels]) -> bool:
    """Tell whether a network with these groups emits objects instead of maps."""
    return [group.name for group in groups] == [OBJECT_GROUP]


def total(groups: Sequence[Channels]) -> int:
    """Return the number of channels of all groups."""
    return sum(group.count for group in groups)


def positions(groups: Sequence[Channels], names: Sequence[str]) -> list[int]:
    """Return the channels of the groups with these names, in order.

    >>> positions((*class_channels(2), edge_channel()), ["edges"])
    [2]
    """
    found = places(groups)
    return [place for name in found if name in names for place in range(found[name].start, found[name].stop)]


def places(groups: Sequence[Channels]) -> dict[str, slice]:
    """Return which channels belong to each group.

    >>> places(class_channels(3))
    {'classes': slice(0, 3, None)}
    """
    found, start = {}, 0
    for group in groups:
        found[group.name] = slice(start, start + group.count)
        start += group.count
    return found
