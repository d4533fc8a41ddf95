"""A space of choices around a plan: what may be changed, and to what. The plan itself is choice zero in all of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Choice = tuple[int, ...]
"""One number for each dimension: 0 for the value of the plan, k for option k - 1."""


@dataclass(frozen=True)
class Option:
    """Another value than that of the plan.

    Attributes:
        label: in words: `learning rate x 0.5`.
        changes: dotted key of the plan -> value.
        weight: how likely it is tried, relative to the other options of its dimension.
    """

    label: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    weight: float = 1.0


@dataclass(frozen=True)
class Dimension:
    """Something that may be changed.

    Attributes:
        name: of it.
        options: values besides that of the plan, at least one.
        weight: how likely it is changed, relative to the other dimensions.
    """

    name: str
    options: tuple[Option, ...]
    weight: float = 1.0


@dataclass(frozen=True)
class Space:
    """Everything that may be changed; no two dimensions change the same key."""

    dimensions: tuple[Dimension, ...]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for dimension in self.dimensions:
            keys = {key for option in dimension.options for key in option.changes}
            assert dimension.options, dimension.name
            assert not keys & seen, keys & seen
            seen |= keys

    @property
    def plan(self) -> Choice:
        """The choice that changes nothing."""
        return (0,) * len(self.dimensions)

    @property
    def size(self) -> int:
        """Number of choices, that of the plan included."""
        count = 1
        for dimension in self.dimensions:
            count *= 1 + len(dimension.options)
        return count

    def chosen(self, choice: Choice) -> list[Option]:
        """Return the options of a choice, none for the plan."""
        pairs = zip(self.dimensions, choice, strict=True)
        return [dimension.options[place - 1] for dimension, place in pairs if place]

    def changes(self, choice: Choice) -> dict[str, Any]:
        """Return what a choice changes: dotted key -> value."""
        return {key: value for option in self.chosen(choice) for key, value in option.changes.items()}

    def words(self, choice: Choice) -> str:
        """Describe a choice."""
        return ", ".join(option.label for option in self.chosen(choice)) or "the plan"
