"""Import: convert the weights of another library to a model file. Prints nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskwright.core.classes import require_distinct
from maskwright.core.errors import MaskwrightError
from maskwright.core.files import read_text
from maskwright.core.paths import check_file
from maskwright.models import bundle
from maskwright.models.importers import import_model as build

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.models.bundle import Card

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class ImportResult:
    """Result of an import.

    Attributes:
        path: of the model file.
        card: description of the model in the file.
        parameters: number of weights.
    """

    path: Path
    card: Card
    parameters: int


def import_model(
    source: str,
    out: Path,
    *,
    weights: Path | None = None,
    classes: Sequence[str] | Path | None = None,
    task: str | None = None,
    things: Sequence[str] | Path | None = None,
) -> ImportResult:
    """Convert the weights of another library to a model file.

    Args:
        source: `torchvision:NAME`, `smp:REPOSITORY` or `transformers:REPOSITORY`; REPOSITORY may be a local folder.
        out: file to write.
        weights: file of that library, safetensors or `torch.save`; None for the published weights.
        classes: names in the order of the weights, or a text file with one per line; None for those of the source.
        task: that the network shall serve, if it can serve several; None for its usual one.
        things: for the task `panoptic`, the classes that have objects: names, or a text file with one per line.

    Raises:
        MaskwrightError: see `models.importers.import_model`; or a file cannot be read or written.
    """
    if out.suffix != SUFFIX:
        raise MaskwrightError(f"{out} is not a valid name for a model file: end it in {SUFFIX}")
    check_file(out, f"model{SUFFIX}")
    names = read_names(classes) if isinstance(classes, Path) else classes
    objects = read_names(things) if isinstance(things, Path) else things
    segmenter, card = build(source, weights, names, task, objects)
    card.summary["imported"]["notes"] += _invented(card.classes.names) if names is None else []
    bundle.save(out, segmenter, card)
    return ImportResult(out, card, sum(weight.numel() for weight in segmenter.parameters()))


def _invented(names: Sequence[str]) -> list[str]:
    """Return a note if the classes are named by their numbers."""
    if list(names) != [f"class_{index}" for index in range(len(names))]:
        return []
    return [f"the source has no class names, so they are class_0 to {names[-1]}: give names with `classes`"]


def read_names(path: Path) -> list[str]:
    """Read class names, one per line; empty lines are ignored.

    Raises:
        MaskwrightError: the file is missing, not text or empty, or has a name twice.
    """
    names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not names:
        raise MaskwrightError(f"{path} has no class names: write one class name per line")
    require_distinct(names, path)
    return names
