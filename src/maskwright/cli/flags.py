"""Flags of fields and keys, and messages of the library rewritten for the command line."""

from __future__ import annotations

import re
import shlex
from dataclasses import fields
from itertools import pairwise
from typing import TYPE_CHECKING

from maskwright.core.read_options import ReadOptions
from maskwright.workflows.request import PlanRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.core.options import Option

REQUEST_OPTIONS: dict[str, Option] = {
    entry.name: entry.metadata["option"] for entry in fields(PlanRequest) if "option" in entry.metadata
}
READ_OPTIONS: dict[str, Option] = {
    entry.name: entry.metadata["option"] for entry in fields(ReadOptions) if "option" in entry.metadata
}
OTHERS = (
    "against",
    "allow_loss",
    "at",
    "batch",
    "classes",
    "compactness",
    "count",
    "data",
    "engine",
    "enhance",
    "every",
    "flip",
    "frames",
    "gallery",
    "high",
    "host",
    "ignore",
    "image",
    "int8",
    "level",
    "log",
    "low",
    "masks",
    "max_mb",
    "max_megapixels",
    "merge",
    "method",
    "out",
    "on",
    "output_stride",
    "pixel_size",
    "port",
    "postprocess",
    "question",
    "queue",
    "refit",
    "reject",
    "resume",
    "save",
    "scribbles",
    "sigma",
    "smooth_video",
    "split",
    "target",
    "things",
    "timeout",
    "to",
    "token",
    "trials",
)
"""Fields of other verbs; their flags have the same names."""
FLAGS: dict[str, str] = {
    **{name: f"--{name.replace('_', '-')}" for name in OTHERS},
    **{name: option.flag for name, option in REQUEST_OPTIONS.items()},
    **{option.key: option.flag for option in REQUEST_OPTIONS.values() if option.key},
    **{f"read.{name}": option.flag for name, option in READ_OPTIONS.items()},
}
"""Name of a field, or dotted key of the plan -> the flag that sets it."""
_SETTING = re.compile(r"(\bset )?`([a-z_]+(?:\.[a-z_]+)*)(=[^`]*)?`")


def in_flags(message: str) -> str:
    """Turn settings in backticks into options: `out` into --out, "set `optim.lr=1`" into "use --set optim.lr=1"."""

    def replacement(found: re.Match[str]) -> str:
        option = _option(found[2], found[3])
        if option is None:
            return found[0]
        return f"use {option}" if found[1] else option

    return _SETTING.sub(replacement, message)


def _option(name: str, value: str | None) -> str | None:
    """Write a setting as an option; None if `name` is no setting. `value` begins with `=`."""
    if value is None:
        return FLAGS.get(name) or (f"--set {name}" if "." in name else None)
    if name in FLAGS:
        return f"{FLAGS[name]} {shlex.quote(value[1:])}"
    return f"--set {shlex.quote(name + value)}"


def typed_as(arguments: Sequence[str], key: str) -> str | None:
    """Return how a key was given, `--freeze backbone` or `--set lora.rank=4`; None if it was not given."""
    wanted = FLAGS.get(key)
    words = [part for word in arguments for part in (word.split("=", 1) if word.startswith("--") else [word])]
    for word, value in reversed(list(pairwise(words))):
        setting = value.partition("=")[0].strip()
        within = f"{key}.".startswith(f"{setting}.") or setting.startswith(f"{key}.")
        if word == wanted or (word == "--set" and within):
            return f"{word} {shlex.quote(value)}"
    return None
