"""What a user requests of a compression. Importing this module is quick."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from maskwright.core.durations import check_lengths, parse_seconds
from maskwright.core.errors import MaskwrightError


@dataclass(frozen=True)
class CompressRequest:
    """What to make of a trained model.

    Attributes:
        target: multiply-adds of the student as a share of the model's: `0.5x`, or a number.
        budget: time for the student's training, `10m` or seconds.
        steps: exact number of optimiser steps instead.
        data: the data set of the training; None for where it was.
        out: run folder of the student; None for one beside the run.
        alone: train the same student on the labels only, to see what the teacher is worth.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.

    Raises:
        MaskwrightError: a target outside its rule, or an invalid length.
    """

    target: str | float = "0.5x"
    budget: str | float | None = None
    steps: int | None = None
    data: Path | None = None
    out: Path | None = None
    alone: bool = False
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("data", "out"):
            value = getattr(self, name)
            if isinstance(value, str):
                object.__setattr__(self, name, Path(value))
        seconds = None if self.budget is None else parse_seconds(self.budget, "budget")
        check_lengths({"budget": seconds, "steps": self.steps})
        _ = self.share

    @property
    def share(self) -> float:
        """The target as a number."""
        text = str(self.target).strip()
        found = re.fullmatch(r"(\d*\.?\d+)x?", text)
        if found is None or not 0 < float(found[1]) < 1:
            raise MaskwrightError(
                f"`target` is {text}, and it must be a share of the model's multiply-adds between 0 and 1, e.g. 0.5x",
                "target",
            )
        return float(found[1])

    def folder(self, run: Path) -> Path:
        """Return the run folder of the student."""
        if self.out is not None:
            return self.out
        whole = run.resolve()
        return whole.with_name(f"{whole.name}-{self.share:g}x{'-alone' if self.alone else ''}")
