"""Weights of others: a state dict and a description by another library in, a segmenter of ours with its card out.

A source is `LIBRARY:NAME`. Descriptions are read as data: no library but torchvision has to be installed, and no code
that lies beside weights is ever run. One file a library; what it makes itself is a table of names (`naming`).
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from pydantic import ValidationError

from maskwright.core.errors import MaskwrightError, first_problem, out_of_memory, unknown_name
from maskwright.models.build import restore
from maskwright.models.bundle import Card, CardClasses
from maskwright.models.importers import smp, torchvision, transformers
from maskwright.models.importers.recipe import class_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from maskwright.models.importers.recipe import Recipe
    from maskwright.models.segmenter import Segmenter

LIBRARIES: dict[str, Callable[[str, Path | None], Recipe]] = {
    "torchvision": torchvision.recipe,
    "smp": smp.recipe,
    "transformers": transformers.recipe,
}


def import_model(
    source: str, weights: Path | None = None, classes: Sequence[str] | None = None
) -> tuple[Segmenter, Card]:
    """Turn another library's weights into a segmenter of ours, in evaluation mode, and its card.

    torch's random state is as it was afterwards.

    Args:
        source: `LIBRARY:NAME`; what NAME may be, each library's file says.
        weights: file of safetensors or `torch.save` in that library's names; None for the published ones.
        classes: names, instead of those that the source carries.

    Raises:
        MaskwrightError: an unknown source, one that has no counterpart here, weights that are out of reach or do not
            fit, or names of another number.
    """
    library, colon, name = source.partition(":")
    if not colon or not name:
        raise MaskwrightError(
            f"{source!r} names no source: write LIBRARY:NAME, e.g. torchvision:fcn_resnet50; the libraries are "
            f"{', '.join(LIBRARIES)}"
        )
    if library not in LIBRARIES:
        raise unknown_name("library that weights are imported from", library, LIBRARIES)
    with _explained(source if weights is None else f"{weights} ({source})"):
        found = LIBRARIES[library](name, weights)
        names = class_table(found, classes, source)
        segmenter = _segmenter(found)
    card = Card(
        model=found.model,
        classes=CardClasses.of(names),
        data=found.data,
        predict=found.predict,
        summary={"imported": {"source": source, "weights": found.origin, "notes": list(found.notes)}},
    )
    return segmenter, card


def _segmenter(found: Recipe) -> Segmenter:
    try:
        return restore(found.model, found.count, found.data.channels, found.tensors_for, found.origin)
    except MaskwrightError as error:
        raise MaskwrightError(
            f"{found.origin} makes no network here: {error}. Give weights and config.json as they were saved together"
        ) from None


@contextlib.contextmanager
def _explained(source: str) -> Iterator[None]:
    """Say in words that a description or its weights are not what the library writes: either may hold anything.

    Raises:
        MaskwrightError: they are not.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        if out_of_memory(error):
            raise
        said = first_problem(error) if isinstance(error, ValidationError) else " ".join(str(error).split())
        raise MaskwrightError(
            f"{source} is not as its library writes it ({type(error).__name__}: {said}): give the weights and the "
            "description that were saved together, as they were saved"
        ) from error
