"""What all sections of the plan have in common, and the kinds of numbers they hold."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict

from maskwright.core.errors import MaskwrightError

# Without Strict, pydantic takes true for 1 and "no" for false.
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Flag = Annotated[bool, Strict()]
Side = Annotated[Whole, Field(ge=8)]
"""Side of a crop or a tile, in pixels: a network needs at least 8."""
Sides = Annotated[tuple[Side, ...], Field(min_length=2, max_length=3)]
"""Of a crop or a tile along the axes of the data: (height, width) of images, (depth, height, width) of volumes."""
Weight = Annotated[Number, Field(ge=0)]
Level = Annotated[Number, Field(ge=-255, le=510)]
Deviation = Annotated[Number, Field(gt=0)]
Factor = Annotated[Number, Field(gt=0, le=16)]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


class Section(BaseModel):
    """A part of the plan: unknown keys are refused, values are checked on assignment too."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, allow_inf_nan=False)


def image_size(sides: tuple[int, ...], key: str) -> tuple[int, int]:
    """Return the sides of a crop or a tile as (height, width).

    Raises:
        MaskwrightError: they have another number of axes than images have.
    """
    if len(sides) != 2:
        raise MaskwrightError(f"{key} has {len(sides)} sides, but images have 2 axes: give [height, width]", key)
    return sides[0], sides[1]
