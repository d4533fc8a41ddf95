"""Options that several verbs share, and how their text is parsed. Knows no workflow."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from maskwright.cli.flags import READ_OPTIONS, REQUEST_OPTIONS
from maskwright.core.errors import MaskwrightError
from maskwright.core.read_options import Between, ReadOptions

Data = Annotated[Path, typer.Argument(metavar="DATA", help="Folder (or file) of images and masks.", show_default=False)]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a training run, or its model.safetensors.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps.")]
Postprocess = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Postprocessor after the network, fitted on validation images: crf (dense CRF), superpixels, regions "
        "(removes small regions and holes), or edges (a watershed on the edges that the network predicts).",
    ),
]
OutputStride = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Output stride of the network, if it can be changed: 4, 8, 16 or 32. Smaller is sharper and slower.",
        show_default=False,
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="What runs the network: torch; onnx or openvino, for an export; auto for the fastest on this machine that "
        "the run has.  [default: that of the file]",
    ),
]
Seed = Annotated[int, typer.Option(metavar="N", help="Random seed.", min=0)]
Format = Annotated[str | None, typer.Option("--format", metavar="NAME", help=READ_OPTIONS["format"].help)]
ClassNames = Annotated[Path | None, typer.Option("--classes", metavar="FILE", help=READ_OPTIONS["classes"].help)]
Ignore = Annotated[int | None, typer.Option(metavar="VALUE", help=READ_OPTIONS["ignore"].help)]
Map = Annotated[list[str] | None, typer.Option("--map", metavar="FROM=TO", help=READ_OPTIONS["map"].help)]
NoData = Annotated[float | None, typer.Option(metavar="VALUE", help=READ_OPTIONS["nodata"].help)]
Task = Annotated[str | None, typer.Option("--task", metavar="NAME", help=REQUEST_OPTIONS["task"].help)]
Crowd = Annotated[str | None, typer.Option(metavar="WORD", help=READ_OPTIONS["crowd"].help)]
BetweenRegions = Annotated[str | None, typer.Option("--between", metavar="WORD", help=READ_OPTIONS["between"].help)]
GroupBy = Annotated[str | None, typer.Option("--group-by", metavar="PATTERN", help=REQUEST_OPTIONS["group_by"].help)]

_WHOLE = re.compile(r"-?\d+", re.ASCII)


def read_options(
    format_name: str | None,
    classes: Path | None,
    ignore: int | None,
    mapping: list[str] | None,
    nodata: float | None,
    crowd: str | None,
    between: str | None,
) -> ReadOptions:
    """Bundle the options for reading the data.

    Raises:
        MaskwrightError: an option has no such value.
    """
    values = parse_map(mapping or [])
    return ReadOptions(
        format_name, classes, ignore, values, nodata, parse_crowd(crowd or "ignore"), parse_between(between)
    )


def parse_crowd(word: str) -> Literal["ignore", "keep"]:
    """Read `--crowd keep`.

    Raises:
        MaskwrightError: another word.
    """
    if word not in {"ignore", "keep"}:
        raise MaskwrightError(f"--crowd {word}: write ignore or keep")
    return "keep" if word == "keep" else "ignore"


def parse_between(word: str | None) -> Between | None:
    """Read `--between objects`.

    Raises:
        MaskwrightError: another word.
    """
    known = {name: name for name in get_args(Between)}
    if word is not None and word not in known:
        raise MaskwrightError(f"--between {word}: write {', '.join(list(known)[:-1])} or {list(known)[-1]}")
    return None if word is None else known[word]


def parse_map(items: list[str]) -> dict[int, int | Literal["ignore"]]:
    """Read `--map 37=ignore --map 3=2 --map -1=0`.

    Raises:
        MaskwrightError: no `=`, not a whole number, or a value that is mapped twice.
    """
    mapping: dict[int, int | Literal["ignore"]] = {}
    for item in items:
        source, equals, target = (part.strip() for part in item.partition("="))
        if not (equals and _WHOLE.fullmatch(source) and (target == "ignore" or _WHOLE.fullmatch(target))):
            raise MaskwrightError(
                f"--map {item}: write FROM=TO or FROM=ignore with whole numbers, e.g. --map 37=ignore"
            )
        if int(source) in mapping:
            raise MaskwrightError(f"--map {item}: the value {source} is mapped twice: keep one of the two")
        mapping[int(source)] = "ignore" if target == "ignore" else int(target)
    return mapping


def comma_list(text: str) -> tuple[str, ...]:
    """Split `mask, overlay` at its commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
