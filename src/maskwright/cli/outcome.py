"""What a verb that writes files for images prints at its end. Knows no verb."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from maskwright.cli.errors import DONE, YOURS
from maskwright.core.text import percent, plural

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from maskwright.cli.terminal import Terminal
    from maskwright.workflows.predict_parts.results import Predicted, PredictedVideo, PredictResult

MOST_RISKY, MOST_REJECTED = 3, 20


def show_outcome(
    terminal: Terminal, result: PredictResult, out: str | Path, done: str, said: Sequence[str] = ()
) -> int:
    """Print notes, failures and the number of images, or the JSON document, and return the exit code.

    Args:
        terminal: where to print.
        result: of the verb.
        out: folder of the results.
        done: what the verb did to the images, "predicted".
        said: notes that were printed before.
    """
    marked = None if result.rejected is None else {(each.source, each.page) for each in result.rejected}
    images = [_plain(image, marked) for image in result.images]
    failures = [{"path": failure.path, "reason": failure.reason} for failure in result.failures]
    notes = [*said, *result.notes]
    document = {"out": out, "outputs": result.outputs, "images": images, "failures": failures, "notes": notes}
    if result.videos:
        document["videos"] = [_plain_video(video, result) for video in result.videos]
    terminal.answer(document)
    for remark in result.notes:
        terminal.say(f"note: {remark}")
    for failure in result.failures:
        terminal.say(f"left out: {failure.reason}")
    for video in result.videos:
        terminal.show(_described(video))
    _show_risks(terminal, result)
    left_out = f"; {len(failures)} left out" if failures else ""
    counts = [plural(len(images), "image")] if images else []
    if result.videos:
        frames = plural(sum(video.frames for video in result.videos), "frame")
        counts.append(f"{frames} of {plural(len(result.videos), 'video')}")
    said = f"{' and '.join(counts)} {done}, results in {out}" if counts else f"nothing {done}"
    terminal.show(said + left_out)
    return YOURS if failures else DONE


def _plain(image: Predicted, marked: set[tuple[Path, int | None]] | None) -> dict[str, Any]:
    """Return what the JSON document says about an image, given file and page of the rejected ones; None for no rule."""
    plain: dict[str, Any] = {
        "source": image.source,
        "page": image.page,
        "files": image.files,
        "summary": image.summary,
        "risk": None if image.risk is None else round(image.risk, 4),
    }
    return plain if marked is None else plain | {"rejected": (image.source, image.page) in marked}


def _plain_video(video: PredictedVideo, result: PredictResult) -> dict[str, Any]:
    """Return what the JSON document says about a video: of its frames, the numbers of those that are rejected."""
    plain = asdict(video)
    del plain["risks"]  # they are in its list of frames
    if result.rejected is None:
        return plain
    return plain | {"rejected": sorted(each.page or 0 for each in result.rejected if each.source == video.source)}


def _show_risks(terminal: Terminal, result: PredictResult) -> None:
    """Show the images that are likeliest to be wrong: the first that are rejected, or else the first few of several."""
    if result.rejected is None and len(result.images) <= MOST_RISKY:
        return
    from maskwright.workflows.predict_parts.rejection import riskiest

    risky = riskiest(result.images)[:MOST_RISKY] if result.rejected is None else result.rejected[:MOST_REJECTED]
    if risky:
        from maskwright.cli.tables import Column, table

        title = "look at these first" if result.rejected is None else "rejected"
        columns = [
            Column("image", [_named(image) for image in risky], kind="name"),
            Column("risk", [percent(image.risk or 0) for image in risky], rank=1),
        ]
        terminal.show(table(title, columns, terminal.width))
    if result.rejected is None:
        return
    more = len(result.rejected) - len(risky)
    if more:
        terminal.show(f"and {more} more")
    counts = [plural(len(result.images), "image")] if result.images or not result.videos else []
    counts += [plural(sum(len(video.risks) for video in result.videos), "frame")] if result.videos else []
    terminal.show(f"{len(result.rejected)} of {' and '.join(counts)} rejected: see risk.csv")


def _named(image: Predicted) -> str:
    """Return the name of an image, with the number of the page or frame."""
    return image.source.name if image.page is None else f"{image.source.name}#{image.page}"


def _described(video: PredictedVideo) -> str:
    """Say how fast a video was predicted, and how much its labels flicker."""
    text = f"{video.source.name}: {plural(video.frames, 'frame')}, {video.frames_per_second:.1f} a second"
    if video.broken:
        text += f", {video.broken} that cannot be decoded"
    if video.flicker is not None:
        before, after = (f"{100 * share:.2f} %" for share in video.flicker)
        text += f"; labels that change along the motion: {before} as predicted, {after} smoothed"
    return text
