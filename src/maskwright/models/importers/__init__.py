"""Imports of other libraries' models: a state dict and a description in, a segmenter and its card out.

A source is `LIBRARY:NAME`. Descriptions are read as data: no library except torchvision has to be installed, and no
code shipped with the weights is ever run. Each library has one file; most of it is a table of names (`naming`).
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import ValidationError

from maskwright.core.errors import MaskwrightError, first_problem, out_of_memory, unknown_name
from maskwright.models.build import restore
from maskwright.models.bundle import Card, CardClasses
from maskwright.models.catalog import find_model
from maskwright.models.importers import mask2former, smp, torchvision, transformers
from maskwright.models.importers.recipe import binary_as_two, class_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from maskwright.core.classes import Classes
    from maskwright.models.importers.recipe import Recipe
    from maskwright.models.segmenter import Segmenter

LIBRARIES: dict[str, Callable[[str, Path | None], Recipe]] = {
    "torchvision": torchvision.recipe,
    "smp": smp.recipe,
    "transformers": transformers.recipe,
}


def import_model(
    source: str,
    weights: Path | None = None,
    classes: Sequence[str] | None = None,
    task: str | None = None,
    things: Sequence[str] | None = None,
) -> tuple[Segmenter, Card]:
    """Convert another library's weights to a segmenter, in evaluation mode, and its card.

    torch's random state is unchanged afterwards.

    Args:
        source: `LIBRARY:NAME`; the file of each library says what NAME may be.
        weights: file of safetensors or `torch.save` with that library's names; None for the published ones.
        classes: names, instead of those of the source.
        task: to read the network's queries for, if it has some; None for the usual task of the network.
        things: names of the classes that have objects, for the task `panoptic`.

    Raises:
        MaskwrightError: an unknown source, one that has no counterpart here, another task than the network's, weights
            that are unreachable or do not fit, a wrong number of names, or things where none are needed or none that
            are.
    """
    library, colon, name = source.partition(":")
    if not colon or not name:
        raise MaskwrightError(
            f"{source!r} is not a source: write LIBRARY:NAME, e.g. torchvision:fcn_resnet50, where LIBRARY is one of "
            f"{', '.join(LIBRARIES)}"
        )
    if library not in LIBRARIES:
        raise unknown_name("library", library, LIBRARIES)
    with _explained(source if weights is None else f"{weights} ({source})"):
        found = _for_task(binary_as_two(LIBRARIES[library](name, weights)), task)
        names = _with_things(class_table(found, classes, source), found.task, things)
        _check_background(found, names)
        segmenter = _segmenter(found)
    card = Card(
        task=found.task,
        channels=found.groups,
        model=found.model,
        classes=CardClasses.of(names),
        data=found.data,
        predict=found.predict,
        summary={"imported": {"source": source, "weights": found.origin, "notes": list(found.notes)}},
    )
    return segmenter, card


def _for_task(found: Recipe, task: str | None) -> Recipe:
    """Return the recipe for a task.

    Raises:
        MaskwrightError: the network is for another one.
    """
    if task in {None, found.task}:
        return found
    entry = find_model(found.model.name)
    if entry.learns != "queries" or task not in (entry.tasks or ()):
        serves = " or ".join(entry.tasks or ()) if entry.learns == "queries" else found.task
        raise MaskwrightError(f"{found.origin} cannot be used for `task` {task}: its network is for {serves}", "task")
    return mask2former.as_objects(found, task)


def _with_things(classes: Classes, task: str, things: Sequence[str] | None) -> Classes:
    """Return the classes with those that have objects, which no description of a network tells.

    Raises:
        MaskwrightError: the task needs things and gets none, or the other way round; or a name is no class.
    """
    if (task == "panoptic") != bool(things):
        some = f"tell which classes have objects, such as `things={','.join(classes.names[:2])}`"
        wanted = "leave it out" if things else some
        raise MaskwrightError(f"`things` is {things or 'empty'}, and the task is {task}: {wanted}", "things")
    if not things:
        return classes
    for name in things:
        if name not in classes.names:
            raise unknown_name("class", name, classes.names, "things")
    return replace(classes, things=frozenset(map(classes.names.index, things)))


def _check_background(found: Recipe, names: Classes) -> None:
    """Refuse other names for "no object" than the one by which the rest of the package knows it."""
    if found.rows == len(names) and names.background != 0:
        raise MaskwrightError(
            f"the first class is called {names.names[0]!r}, but in {found.model.name} it stands for no object: name it "
            "background"
        )


def _segmenter(found: Recipe) -> Segmenter:
    try:
        return restore(found.model, found.groups, found.data.channels, found.tensors_for, found.origin)
    except MaskwrightError as error:
        raise MaskwrightError(
            f"{found.origin} cannot be built: {error}. Give weights and config.json as they were saved together"
        ) from None


@contextlib.contextmanager
def _explained(source: str) -> Iterator[None]:
    """Report a description or weights that are not what the library writes: either may contain anything.

    Raises:
        MaskwrightError: something inside raised.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        if out_of_memory(error):
            raise
        said = first_problem(error) if isinstance(error, ValidationError) else " ".join(str(error).split())
        raise MaskwrightError(
            f"{source} is not in the form that its library writes ({type(error).__name__}: {said}): give the weights "
            "and the description that were saved together, unchanged"
        ) from error
