"""Progress on stderr: a live bar on a terminal, an occasional line in a log. Knows no workflow."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from maskwright.cli.flags import in_flags
from maskwright.core.durations import format_seconds
from maskwright.core.events import Event, Note, Progress, Saved, Stage

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from rich.console import Console
    from rich.progress import Progress as Bar

LOG_LINES = 10
LOG_LEAST_SECONDS, LOG_MOST_SECONDS = 2.0, 30.0
LONG_SECONDS = 2.0  # items that take longer show their own progress; with shorter ones the figures would flicker


class Watch:
    """Shows events as they arrive; a context manager, because a live bar must release the terminal.

    Attributes:
        saved: the last checkpoint that was reported, for the message after Ctrl-C.
        stages: that have begun, for the same message.
    """

    def __init__(self, console: Console) -> None:
        self.saved: Saved | None = None
        self.stages: set[str] = set()
        self._console = console
        self._bar: Bar | None = None
        self._task: Any = None
        self._stage = ""
        self._logged_part = 0
        self._logged_at = time.monotonic()
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def on_event(self, event: Event) -> None:
        """Show one event of a long job."""
        if isinstance(event, Stage):
            self._begin(event)
        elif isinstance(event, Progress):
            self._progress(event)
        elif isinstance(event, Note):
            self._console.print(f"note: {in_flags(event.text)}")
        else:
            self.saved = event

    def counting(self, name: str) -> Callable[[float, int], None]:
        """Return a callback (done, total) that shows progress of a stage `name`; the time left is estimated here.

        `done` may be a fraction: 2.25 is a quarter of the third item.
        """
        item, since = -1, 0.0

        def on_progress(done: float, total: int) -> None:
            nonlocal item, since
            if self._stage != name:
                self._begin(Stage(name), quietly=True)
            now = time.monotonic()
            if int(done) != item:
                item, since = int(done), now
            spent = now - self._started
            rate = done / spent if done and spent > 0 else None
            left = (total - done) / rate if rate else None
            share = done - item if now - since >= LONG_SECONDS else 0.0
            self._progress(Progress(item, total, seconds_left=left, rate=rate, share=share))

        return on_progress

    def _begin(self, stage: Stage, *, quietly: bool = False) -> None:
        self.close()
        self._stage = stage.name
        self.stages.add(stage.name)
        self._logged_part = 0
        self._started = self._logged_at = time.monotonic()
        if not quietly:
            self._console.print(f"{stage.name}: {stage.detail}" if stage.detail else stage.name, style="bold")

    def _progress(self, event: Progress) -> None:
        if self._console.is_terminal and not self._console.quiet:
            self._draw(event)
        elif self._due(event):
            self._console.print(f"  {self._stage} {event.done}/{event.total}  {figures(event)}".rstrip())

    def _due(self, event: Progress) -> bool:
        """Whether it is time for another line in a log, which cannot be redrawn."""
        now = time.monotonic()
        part = int((event.done + event.share) * LOG_LINES) // max(event.total, 1)
        quiet = now - self._logged_at
        due = quiet >= (LOG_LEAST_SECONDS if part > self._logged_part else LOG_MOST_SECONDS)
        if due:
            self._logged_part, self._logged_at = part, now
        return due

    def _draw(self, event: Progress) -> None:
        if self._bar is None:
            self._bar = _bar(self._console)
            self._task = self._bar.add_task(self._stage, total=event.total, figures="")
            self._bar.start()
        bar = _bar_width(self._console)
        room = self._console.width - len(self._stage) - 2 * len(str(event.total)) - bar - (4 if bar else 3)
        text = figures(event, room)
        self._bar.update(self._task, completed=event.done + event.share, total=event.total, figures=text)

    def close(self) -> None:
        """Remove the live bar, if there is one."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def figures(event: Progress, room: int = 1000) -> str:
    """Write the known figures, most important first, in at most `room` characters.

    >>> figures(Progress(5, 10, seconds_left=30, loss=0.5, score=0.25, rate=2))
    '30 s left  loss 0.500  score 0.250  2.0/s'
    >>> figures(Progress(0, 1, seconds_left=30, rate=0.01, share=0.25))
    '25 % of this one  30 s left'
    """
    known = [
        f"{event.share:.0%} of this one".replace("%", " %") if event.share else None,
        None if event.seconds_left is None else f"{format_seconds(event.seconds_left)} left",
        None if event.loss is None else f"loss {event.loss:.3f}",
        None if event.score is None else f"score {event.score:.3f}",
        None if event.rate is None or event.rate < 0.05 else f"{event.rate:.1f}/s",
    ]
    text = ""
    for part in known:
        if part is not None and len(text) + 2 + len(part) <= room:
            text = f"{text}  {part}" if text else part
    return text


def _bar_width(console: Console) -> int:
    """Return the width of the bar in characters: 0 if the figures need the space."""
    return min(30, console.width // 6) if console.width >= 60 else 0


def _bar(console: Console) -> Bar:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as RichProgress

    columns = [TextColumn("{task.description}", markup=False), MofNCompleteColumn()]
    if _bar_width(console):
        columns.insert(1, BarColumn(bar_width=_bar_width(console)))
    return RichProgress(
        *columns,
        TextColumn("{task.fields[figures]}", markup=False),
        console=console,
        transient=True,
        refresh_per_second=4,
    )
