"""`maskwright import`: convert the weights of another library to a model file. Knows no library."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskwright.cli.errors import DONE
from maskwright.cli.options import AsJson, comma_list
from maskwright.cli.terminal import Terminal
from maskwright.core.text import plural

Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="torchvision:NAME, smp:REPOSITORY or transformers:REPOSITORY; REPOSITORY may be a local folder.",
        show_default=False,
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Weights file of that library (.safetensors, .pth, .bin), instead of the published weights.",
    ),
]
Names = Annotated[
    str | None,
    typer.Option(
        "--classes",
        metavar="FILE|NAMES",
        help="Class names: a text file with one name per line, or a comma-separated list.",
    ),
]
Task = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Task of a Mask2Former: semantic (the default) labels pixels, instance finds objects, panoptic does both.",
        show_default=False,
    ),
]
Things = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|NAMES",
        help="Classes that have objects, for the task panoptic: a text file or a list, as for --classes.",
    ),
]
Out = Annotated[Path, typer.Option(metavar="FILE", help="Model file to write.")]


def import_(
    source: Source,
    weights: Weights = None,
    classes: Names = None,
    task: Task = None,
    things: Things = None,
    out: Out = Path("model.safetensors"),
    as_json: AsJson = False,
) -> int:
    """Convert the weights of another library to a model file.

    Keeps classes and preprocessing. Downloads published weights only if they are not in the cache.
    """
    from maskwright.workflows.import_ import import_model

    terminal = Terminal(as_json=as_json)
    with terminal.working():
        names, objects = _names(classes), _names(things)
        result = import_model(source, out, weights=weights, classes=names, task=task, things=objects)
    card = result.card
    for note in card.summary["imported"]["notes"]:
        terminal.say(f"note: {note}")
    terminal.answer({"out": result.path, "parameters": result.parameters, "card": card.model_dump(mode="json")})
    terminal.show(
        f"{source} is now {result.path}: {card.model.name} with {card.model.backbone}, "
        f"{plural(len(card.classes.names), 'class', 'classes')}, {result.parameters:,} parameters",
        f"maskwright predict {result.path} IMAGES",
    )
    return DONE


def _names(text: str | None) -> Path | tuple[str, ...] | None:
    if text is None:
        return None
    path = Path(text)
    return path if path.is_file() or (path.suffix and "," not in text) else comma_list(text)
