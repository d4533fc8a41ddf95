"""Which classes have objects: as a plan names them, and the data without the other classes. Opens no file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from maskwright.core.classes import Classes
from maskwright.core.errors import MaskwrightError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.core.records import Dataset

NOTHING = "background"


def with_things(dataset: Dataset, names: Sequence[str] | None) -> Dataset:
    """Return the data with the classes whose objects are told apart; None leaves them as the format has them.

    Raises:
        MaskwrightError: no class has one of the names.
    """
    if names is None:
        return dataset
    classes = dataset.classes
    for name in names:
        if name not in classes.names:
            raise unknown_name("class", name, classes.names, "objects.things")
    things = frozenset(map(classes.names.index, names))
    return replace(dataset, classes=replace(classes, things=things))


def objects_alone(dataset: Dataset) -> Dataset:
    """Return the data with one class, the background, for everything that has no objects.

    Data whose format does not tell which classes have objects, or in which all but the background have, stay as they
    are.
    """
    classes = dataset.classes
    if classes.things is None or not classes.stuff:
        return dataset
    nothing = 0 if classes.background is None else classes.background
    named = classes.background is not None
    kept = [(classes.names[index], classes.colors[index]) for index in classes.objects]
    first = (classes.names[nothing], classes.colors[nothing]) if named else (NOTHING, (0, 0, 0))
    names, colors = zip(first, *kept, strict=True)
    places = {index: place for place, index in enumerate(classes.objects, start=1)}
    merged = tuple(places.get(index, 0) for index in range(len(classes)))
    ids = None
    if classes.ids is not None:
        ids = (classes.ids[nothing] if named else None, *(classes.ids[index] for index in classes.objects))
    return replace(dataset, classes=Classes(names, colors, ids=ids), merged=merged, ground=classes.background)


def check_objects(dataset: Dataset) -> None:
    """Refuse data without objects; where no image is usable at all, the faults say why, and nothing is refused here.

    Raises:
        MaskwrightError: such data.
    """
    if not dataset.records:
        return
    unused = next((fault for fault in dataset.faults if fault.kind == "unused-maps"), None)
    if unused is not None and not dataset.tells_objects:
        raise MaskwrightError(f"{dataset.root}: {unused.message}: {unused.cure}", "task")
    if not dataset.tells_objects or not dataset.classes.objects:
        raise MaskwrightError(
            f"{dataset.root} gives the class of each pixel, but no objects: add a folder instances/ with a map of "
            "object ids for each image (each connected region counts as an object where a map holds one value), rename "
            "masks/ to instances/ if its values are such ids, or learn the classes with `task` semantic",
            "task",
        )
