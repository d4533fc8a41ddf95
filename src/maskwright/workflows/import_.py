"""Import: another library's weights in, a model file of ours out. Prints nothing; the result says what it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskwright.core.classes import require_distinct
from maskwright.core.errors import MaskwrightError
from maskwright.core.paths import check_file
from maskwright.models import bundle
from maskwright.models.importers import import_model as build

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.models.bundle import Card

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class ImportResult:
    """What an import made.

    Attributes:
        path: of the model file.
        card: what the file says about its model.
        parameters: number of weights.
    """

    path: Path
    card: Card
    parameters: int


def import_model(
    source: str, out: Path, *, weights: Path | None = None, classes: Sequence[str] | Path | None = None
) -> ImportResult:
    """Write another library's weights as a model file that predicts.

    Args:
        source: `torchvision:NAME`, `smp:REPOSITORY` or `transformers:REPOSITORY`; a folder stands for a repository.
        out: file to write.
        weights: file of safetensors or `torch.save` in that library's names; None for the published ones.
        classes: names in the order of the weights, or a text file with one a line; None for the source's own.

    Raises:
        MaskwrightError: what `models.importers.import_model` refuses, or a file that cannot be read or written.
    """
    if out.suffix != SUFFIX:
        raise MaskwrightError(f"{out} is no name for a model file: let it end in {SUFFIX}")
    check_file(out, f"model{SUFFIX}")
    names = read_names(classes) if isinstance(classes, Path) else classes
    segmenter, card = build(source, weights, names)
    card.summary["imported"]["notes"] += _invented(card.classes.names) if names is None else []
    bundle.save(out, segmenter, card)
    return ImportResult(out, card, sum(weight.numel() for weight in segmenter.parameters()))


def _invented(names: Sequence[str]) -> list[str]:
    """Say that classes are called by their numbers, if they are."""
    if list(names) != [f"class_{index}" for index in range(len(names))]:
        return []
    return [f"nothing names the classes, so they are called class_0 to {names[-1]}: give their names with `classes`"]


def read_names(path: Path) -> list[str]:
    """Read class names, one a line; empty lines do not count.

    Raises:
        MaskwrightError: missing, no text, empty, or with a name twice.
    """
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except OSError as error:
        raise MaskwrightError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise MaskwrightError(f"{path} is no text in UTF-8: write one class name a line") from None
    if not names:
        raise MaskwrightError(f"{path} names no class: write one class name a line")
    require_distinct(names, path)
    return names
