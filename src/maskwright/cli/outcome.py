"""What a verb that writes files for images prints at its end. Knows no verb."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.cli.errors import DONE, YOURS
from maskwright.core.text import plural

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from maskwright.cli.terminal import Terminal
    from maskwright.workflows.predict_parts.results import PredictResult


def show_outcome(terminal: Terminal, result: PredictResult, out: Path, done: str, said: Sequence[str] = ()) -> int:
    """Print notes, failures and the number of images, or the JSON document, and return the exit code.

    Args:
        terminal: where to print.
        result: of the verb.
        out: folder of the results.
        done: what the verb did to the images, "predicted".
        said: notes that were printed before.
    """
    images = [
        {"source": image.source, "page": image.page, "files": image.files, "summary": image.summary}
        for image in result.images
    ]
    failures = [{"path": failure.path, "reason": failure.reason} for failure in result.failures]
    notes = [*said, *result.notes]
    terminal.answer({"out": out, "outputs": result.outputs, "images": images, "failures": failures, "notes": notes})
    for remark in result.notes:
        terminal.say(f"note: {remark}")
    for failure in result.failures:
        terminal.say(f"left out: {failure.reason}")
    left_out = f"; {plural(len(failures), 'image')} left out" if failures else ""
    terminal.show(f"{plural(len(images), 'image')} {done}, results in {out}{left_out}")
    return YOURS if failures else DONE
