"""What a user requests of a comparison. Importing this module is quick."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CompareRequest:
    """What to compare runs on.

    Attributes:
        data: images and masks to score all runs on; None to use the scores that the trainings stored.
        out: folder for the page and the tables.
        device: to score on: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
    """

    data: Path | None = None
    out: Path = Path("comparison")
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("data", "out"):
            value = getattr(self, name)
            if isinstance(value, str):
                object.__setattr__(self, name, Path(value))
