"""Events: the progress and notes of a long job. Knows no terminal, browser or log file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Stage:
    """A part of the job begins.

    Attributes:
        name: one word: `inspect`, `plan`, `train`, `evaluate`, `report`.
        detail: one sentence more, or nothing.
    """

    name: str
    detail: str = ""


@dataclass(frozen=True)
class Progress:
    """How far the current stage is.

    Attributes:
        done: steps (or images) done.
        total: steps in all, as estimated now; it may move while a time budget is kept.
        seconds_left: of this stage, or None while it is unknown.
        loss: smoothed training loss, or None.
        score: best validation score so far, or None before the first validation.
        rate: steps (or images) a second, or None.
        share: of the current image that is done, 0..1; 0 if images are too quick to report it.
    """

    done: int
    total: int
    seconds_left: float | None = None
    loss: float | None = None
    score: float | None = None
    rate: float | None = None
    share: float = 0.0


@dataclass(frozen=True)
class Note:
    """Something the user should know that stops nothing (no network, so trained from scratch)."""

    text: str


@dataclass(frozen=True)
class Saved:
    """A checkpoint is on the disk: the run can be resumed from it.

    Attributes:
        run: the run folder.
        step: that the checkpoint holds.
    """

    run: Path
    step: int


Event = Stage | Progress | Note | Saved
OnEvent = Callable[[Event], None]
OnProgress = Callable[[int, int], None]
OnShare = Callable[[float, int], None]  # the first number may lie within an item: 2.25 is a quarter of the third
