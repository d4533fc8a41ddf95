"""Weights of others: a state dict and a description by another library in, a segmenter of ours with its card out.

A source is `LIBRARY:NAME`. Descriptions are read as data: no library but torchvision has to be installed, and no code
that lies beside weights is ever run. One file a library; what it makes itself is a table of names (`naming`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.models.build import create_from_plan
from maskwright.models.bundle import Card, CardClasses
from maskwright.models.importers import smp, torchvision, transformers
from maskwright.models.importers.recipe import class_table
from maskwright.models.weights import load_exactly

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
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
    found = LIBRARIES[library](name, weights)
    names = class_table(found, classes, source)
    with torch.random.fork_rng(devices=[]):
        segmenter = create_from_plan(found.model, len(names), found.data.channels)
    load_exactly(segmenter, found.tensors_for(segmenter), found.origin)
    card = Card(
        model=found.model,
        classes=CardClasses.of(names),
        data=found.data,
        predict=found.predict,
        summary={"imported": {"source": source, "weights": found.origin, "notes": list(found.notes)}},
    )
    return segmenter.eval(), card
