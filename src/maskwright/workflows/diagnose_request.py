"""What a user requests of a diagnosis. Importing this module is quick."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskwright.core.durations import check_lengths, parse_seconds
from maskwright.core.errors import MaskwrightError
from maskwright.core.paths import existing

if TYPE_CHECKING:
    from maskwright.core.read_options import ReadOptions


@dataclass(frozen=True)
class DiagnoseRequest:
    """What to find out about a trained model.

    Attributes:
        budget: time for the whole command, `10m` or seconds.
        question: names of sections, or numbers of `diagnose_parts.questions.QUESTIONS`; empty for all that fit into the
            budget.
        split: part of the data that is looked at: `val`, `test` or `all`.
        read: how to read the data; None to read it as in the training.
        out: folder for `diagnosis.html` and `diagnosis.json`; None for the run folder.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        seed: of everything that is drawn.
        against: folder of images, masks or not, that are compared with those of the training.
        at: (x, y) of the pixel whose region is explained, or `x,y`; None for a region of the image that seems worth it.
        image: id of the image that is explained; None for the worst.

    Raises:
        MaskwrightError: an invalid budget or point, or no such folder.
    """

    budget: str | float = 600.0
    question: tuple[str, ...] = ()
    split: str = "test"
    read: ReadOptions | None = None
    out: Path | None = None
    device: str = "auto"
    seed: int = 0
    against: Path | None = None
    at: str | tuple[int, int] | None = None
    image: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.out, str):
            object.__setattr__(self, "out", Path(self.out))
        if self.against is not None:
            object.__setattr__(self, "against", existing(Path(self.against), "against"))
        question = (self.question,) if isinstance(self.question, str) else self.question
        object.__setattr__(self, "question", tuple(str(word) for word in question))
        if isinstance(self.at, str):
            object.__setattr__(self, "at", _point(self.at))
        check_lengths({"budget": self.seconds})

    @property
    def seconds(self) -> float:
        """The budget in seconds."""
        return parse_seconds(self.budget, "budget")


def _point(text: str) -> tuple[int, int]:
    """Read `x,y`.

    Raises:
        MaskwrightError: it is something else.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise MaskwrightError(f"at is {text!r}, and it must be x,y in pixels of the image, such as 120,80", "at")
    return int(parts[0]), int(parts[1])
