"""What a verb that writes files for images prints at its end. Knows no verb."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from maskwright.cli.errors import DONE, YOURS
from maskwright.core.text import plural

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from maskwright.cli.terminal import Terminal
    from maskwright.workflows.predict_parts.results import PredictedVideo, PredictResult


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
    document = {"out": out, "outputs": result.outputs, "images": images, "failures": failures, "notes": notes}
    if result.videos:
        document["videos"] = [asdict(video) for video in result.videos]
    terminal.answer(document)
    for remark in result.notes:
        terminal.say(f"note: {remark}")
    for failure in result.failures:
        terminal.say(f"left out: {failure.reason}")
    for video in result.videos:
        terminal.show(_described(video))
    left_out = f"; {plural(len(failures), 'image')} left out" if failures and not result.videos else ""
    counts = [plural(len(images), "image")] if images or not result.videos else []
    counts += [plural(len(result.videos), "video")] if result.videos else []
    terminal.show(f"{' and '.join(counts)} {done}, results in {out}{left_out}")
    return YOURS if failures else DONE


def _described(video: PredictedVideo) -> str:
    """Say how fast a video was predicted, and how much its labels flicker."""
    text = f"{video.source.name}: {plural(video.frames, 'frame')}, {video.frames_per_second:.1f} a second"
    if video.broken:
        text += f", {video.broken} that cannot be decoded"
    if video.flicker is not None:
        before, after = (f"{100 * share:.2f} %" for share in video.flicker)
        text += f"; labels that change along the motion: {before} as predicted, {after} smoothed"
    return text
