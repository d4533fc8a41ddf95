"""Progress within an item: shown where one waits for it, and silent where many short ones go by."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from maskwright.cli.terminal import console
from maskwright.cli.watch import Watch


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that the test turns."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("maskwright.cli.watch.time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_one_long_image_moves_the_log(clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    tell = Watch(console(stderr=True)).counting("predict")
    tell(0, 1)
    for tile in range(1, 100):
        clock.now += 1
        tell(tile / 100, 1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "  predict 0/1  10 % of this one  1 min 30 s left"
    assert len(lines) == 9


def test_short_images_show_as_before(clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    tell = Watch(console(stderr=True)).counting("predict")
    for quarter in range(401):
        tell(quarter / 4, 100)
        clock.now += 0.1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "  predict 10/100  36 s left  2.5/s"
    assert not [line for line in lines if "%" in line]


def test_a_live_bar_stands_within_the_image(clock: SimpleNamespace) -> None:
    from io import StringIO

    from rich.console import Console

    with Watch(Console(file=StringIO(), force_terminal=True, width=100)) as watch:
        tell = watch.counting("predict")
        tell(2, 4)
        clock.now += 60
        tell(2.25, 4)
        assert watch._bar is not None
        task = watch._bar.tasks[0]
        assert (task.completed, task.total) == (2.25, 4)
        assert task.fields["figures"].startswith("25 % of this one  47 s left")
        rendered = "".join(segment.text for segment in watch._console.render(watch._bar.get_renderable()))
        assert "2/4" in rendered
