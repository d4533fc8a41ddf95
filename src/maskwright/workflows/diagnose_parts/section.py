"""One part of a diagnosis: what it is called, what it needs, and how it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from maskwright.core.answers import Answer
    from maskwright.workflows.diagnose_parts.study import Study


@dataclass(frozen=True)
class Section:
    """A part of a diagnosis.

    Attributes:
        title: of its part of the page.
        keys: of the answers that it may yield.
        answers: yields its answers, given the study and when it must have ended, in seconds of `time.monotonic()`. It
            measures less rather than exceed that, and says so.
        share: of the time, relative to the other sections.
        asked: it takes so long that it is left out unless it is named in the request.
    """

    title: str
    keys: tuple[str, ...]
    answers: Callable[[Study, float], Iterator[Answer]]
    share: float = 1.0
    asked: bool = False
