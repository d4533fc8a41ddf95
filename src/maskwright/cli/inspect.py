"""`maskwright inspect`: what the data contains, and what is wrong with it. Measures nothing itself."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from maskwright.cli.errors import DONE, YOURS
from maskwright.cli.flags import in_flags
from maskwright.cli.options import (
    AsJson,
    BetweenRegions,
    ClassNames,
    Crowd,
    Data,
    Format,
    GroupBy,
    Ignore,
    Map,
    NoData,
    Seed,
    Task,
    read_options,
)
from maskwright.cli.tables import Column, number, pairs, percent, table
from maskwright.cli.terminal import Terminal
from maskwright.core.like_faults import like_faults
from maskwright.core.text import agree, listing, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from maskwright.core.fingerprint import EdgeStats, Fingerprint, ObjectStats, Spread
    from maskwright.core.records import Fault

SHOWN_OF_A_KIND = 4
SHOWN_ALIKE = 6


def inspect(
    data: Data,
    format_name: Format = None,
    classes: ClassNames = None,
    ignore: Ignore = None,
    mapping: Map = None,
    nodata: NoData = None,
    crowd: Crowd = None,
    between: BetweenRegions = None,
    group_by: GroupBy = None,
    seed: Seed = 0,
    task: Task = None,
    as_json: AsJson = False,
) -> int:
    """Describe a data set and list its faults.

    Measures images and masks, and lists every fault with its cure. The exit code is 2 if the data cannot be trained on.
    """
    from maskwright.core.plan import SplitPlan
    from maskwright.workflows.inspect import inspect as measure

    terminal = Terminal(as_json=as_json)
    options = read_options(format_name, classes, ignore, mapping, nodata, crowd, between)
    with terminal.working() as watch:
        fingerprint = measure(data, options, SplitPlan(group_by=group_by), seed, watch.counting("inspect"), task)
    terminal.answer(fingerprint.to_json())
    terminal.show(*fingerprint_tables(fingerprint, terminal.width))
    return DONE if fingerprint.trainable else YOURS


def fingerprint_tables(fingerprint: Fingerprint, width: int) -> list[RenderableType]:
    """Draw everything that was measured, with the faults last."""
    parts = [pairs(fingerprint.root, _summary(fingerprint))]
    if fingerprint.intensity:
        parts.append(_intensity(fingerprint, width))
    parts.append(_classes(fingerprint, width))
    parts += fault_lines(fingerprint.faults, fingerprint.root)
    return [*parts, _verdict(fingerprint)]


def _summary(fingerprint: Fingerprint) -> list[tuple[str, str]]:
    ignored = ("ignored", f"{percent(fingerprint.ignore_share)} of the pixels")
    rows = [
        ("recognised as", f"{fingerprint.format}: {fingerprint.layout}"),
        ("images", _images(fingerprint)),
        ("width x height", _sizes(fingerprint)),
        ("channels", _counted(fingerprint.channels)),
        ("pixel type", _counted(fingerprint.dtypes)),
        ignored,
        (
            "flips",
            f"similarity of masks to their mirror images: {percent(fingerprint.flip_horizontal)} left to right, "
            f"{percent(fingerprint.flip_vertical)} upside down",
        ),
        ("decoding", f"{1000 * fingerprint.decode_seconds:.1f} ms per image"),
    ]
    if fingerprint.objects is not None:
        rows[5:5] = _objects(fingerprint.objects)
    if fingerprint.edges is not None:
        rows.insert(5, _edges(fingerprint.edges))
    if fingerprint.no_data_share:
        rows.insert(rows.index(ignored) + 1, ("no data", f"{percent(fingerprint.no_data_share)} of the pixels"))
    if fingerprint.groups:
        rows.insert(2, ("groups", f"{fingerprint.groups}, each kept in one split where possible"))
    if fingerprint.near_duplicates:
        rows.insert(
            2,
            (
                "near-duplicates",
                f"{plural(fingerprint.near_duplicates, 'image')}, kept in the same split where possible",
            ),
        )
    return rows


def _objects(stats: ObjectStats) -> list[tuple[str, str]]:
    each, crowds = stats.per_image, f", {plural(stats.crowds, 'crowd')}" if stats.crowds else ""
    rows = [
        (
            "objects",
            f"{plural(stats.objects, 'object')} in {plural(stats.images, 'image')}: {number(each.median)} per image "
            f"({_range(each)}){crowds}",
        )
    ]
    if stats.diameter is None:
        return rows
    lost = f", so a map of ids loses {plural(stats.lost, 'pixel')}" if stats.lost else ""
    return [
        *rows,
        (
            "diameter",
            f"{_spread(stats.diameter)} px, from {number(stats.diameter.low)} to {number(stats.diameter.high)}",
        ),
        (
            "contact",
            f"{percent(stats.touching)} of the objects touch another, {percent(stats.overlapping)} overlap{lost}; the "
            f"image border cuts {percent(stats.cut)}, {percent(stats.parted)} are in several parts",
        ),
    ]


def _edges(stats: EdgeStats) -> tuple[str, str]:
    soft = f"pictures of shares in {plural(stats.soft, 'image')}: at least half of the people marked"
    if stats.soft == stats.images:
        return "edges", f"{soft} {percent(stats.share)} of the pixels"
    people = f"people per image: {number(stats.people.median)} ({_range(stats.people)})"
    agree = "" if stats.agreement is None else f"; {percent(stats.agreement)} of a person's edges are near another's"
    shares = f"; {plural(stats.soft, 'picture')} of shares counted as one person each" if stats.soft else ""
    return "edges", f"{people}, {percent(stats.share)} of the pixels each{agree}{shares}"


def _images(fingerprint: Fingerprint) -> str:
    parts = ", ".join(f"{name} {count}" for name, count in fingerprint.splits.items())
    return fingerprint.usable() + (f" ({parts})" if parts else "")


def _sizes(fingerprint: Fingerprint) -> str:
    shown = dict(list(fingerprint.sizes.items())[:4])
    if len(shown) == len(fingerprint.sizes):
        return _counted(shown)
    return f"{_counted(shown)} and more: widths {_range(fingerprint.widths)}, heights {_range(fingerprint.heights)}"


def _range(spread: Spread) -> str:
    return f"{spread.low:.0f} to {spread.high:.0f}"


def _counted(counts: dict[int, int] | dict[str, int]) -> str:
    if len(counts) == 1:
        return str(next(iter(counts)))
    return ", ".join(f"{key} in {plural(count, 'image')}" for key, count in counts.items()) or "none"


def _intensity(fingerprint: Fingerprint, width: int) -> RenderableType:
    stats = fingerprint.intensity
    return table(
        "Intensity, in the units of the files",
        [
            Column("channel", [str(index) for index in range(len(stats))]),
            Column("mean", [number(entry.mean) for entry in stats]),
            Column("std", [number(entry.std) for entry in stats]),
            Column("min", [number(entry.minimum) for entry in stats], rank=1),
            Column("0.5 %", [number(entry.p_low) for entry in stats], rank=2),
            Column("99.5 %", [number(entry.p_high) for entry in stats], rank=2),
            Column("max", [number(entry.maximum) for entry in stats], rank=1),
        ],
        width,
    )


def _classes(fingerprint: Fingerprint, width: int) -> RenderableType:
    stats = fingerprint.class_stats
    shown = [entry if known else None for entry, known in zip(stats, fingerprint.shown_objects, strict=True)]
    splits = list(dict.fromkeys(split for entry in stats for split in entry.images))
    return table(
        "Classes and their share of the labelled pixels",
        [
            Column("class", [entry.name for entry in stats], kind="name"),
            Column("share", [percent(entry.share) for entry in stats]),
            Column("pixels", [str(entry.pixels) for entry in stats], rank=3),
            *(
                Column("images" if split == "all" else split, [str(entry.images.get(split, 0)) for entry in stats])
                for split in splits
            ),
            Column("objects", [str(entry.objects) if entry else "-" for entry in shown], rank=1),
            Column("size px", [_spread(entry.size if entry else None) for entry in shown], rank=2),
            Column("thickness px", [_spread(entry.thickness if entry else None) for entry in shown], rank=4),
        ],
        width,
    )


def _spread(spread: Spread | None) -> str:
    """Write the median with the 10th and 90th percentile."""
    if spread is None:
        return "-"
    return f"{number(spread.median)} ({number(spread.p10)}..{number(spread.p90)})"


def fault_lines(faults: Sequence[Fault], root: str) -> list[RenderableType]:
    """Write each fault with its file and cure, once for files that it says the same of; of each kind only a few."""
    from rich.text import Text

    if not faults:
        return [Text("\nFaults: none found", style="bold")]
    lines: list[RenderableType] = [Text("\nFaults", style="bold")]
    styles = {"error": "red", "warning": "yellow", "note": "dim"}
    for (severity, kind), entries in groupby(faults, key=lambda fault: (fault.severity, fault.kind)):
        groups = like_faults(entries)
        for fault, *others in groups[:SHOWN_OF_A_KIND]:
            head = Text(f"{severity}, {kind}: ", style=styles[severity])
            lines.append(head + Text(in_flags(f"{_sentence(fault, root)}. Cure: {fault.cure}"), style="default"))
            if others:
                names = listing([_shown(other, root) for other in others], SHOWN_ALIKE)
                lines.append(Text(f"  likewise {names}", style="dim"))
        if len(groups) > SHOWN_OF_A_KIND:
            more = sum(map(len, groups[SHOWN_OF_A_KIND:]))
            lines.append(Text(f"  and {more} more of this kind; --json lists them all", style="dim"))
    return lines


def _sentence(fault: Fault, root: str) -> str:
    """Write the message with its path below the root: an image and its mask often have the same file name."""
    shown = _shown(fault, root)
    for begun in (f"{shown} ", f"{fault.path.name} "):
        if fault.message.startswith(begun):
            return f"{shown} {fault.message.removeprefix(begun)}"
    return f"{shown}: {fault.message}"


def _shown(fault: Fault, root: str) -> str:
    path = fault.path
    return str(path.relative_to(root)) if path.is_relative_to(root) and path != Path(root) else str(path)


def _verdict(fingerprint: Fingerprint) -> RenderableType:
    from rich.text import Text

    errors = sum(fault.severity == "error" for fault in fingerprint.faults)
    if fingerprint.trainable:
        said = f"; what {plural(errors, 'fault')} of severity error {agree(errors, 'concerns', 'concern')} is left out"
        left_out = said if errors else ""
        return Text(
            f"\nTraining is possible, with {plural(fingerprint.images, 'image')}{left_out}.", style="bold green"
        )
    return Text(in_flags(f"\nTraining is not possible: {fingerprint.obstacle}."), style="bold red")
