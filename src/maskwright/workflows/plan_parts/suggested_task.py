"""The task that annotations suggest where the user names none. Opens no file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.records import MaskFile, MaskLayers, Shapes

if TYPE_CHECKING:
    from maskwright.core.records import Dataset, Record

SEMANTIC, INSTANCE = "semantic", "instance"


def suggested_task(dataset: Dataset) -> tuple[str, str]:
    """Return the name of a task, and the reason in one sentence.

    Objects are learnt where the annotation tells nothing else: ids, or a mask file for each object. Masks of classes
    and outlines are learnt as classes, since an outline may as well mark a region. Each data set that tells objects and
    has a background can be learnt by either task.
    """
    annotated = [record for record in dataset.records if record.annotation is not None]
    if annotated and all(map(_of_objects_alone, annotated)):
        ways = {"an id" if isinstance(record.annotation, MaskFile) else "a mask file" for record in annotated}
        how = " or ".join(sorted(ways))
        return INSTANCE, f"each object has {how} of its own; `task` {SEMANTIC} learns the classes only"
    if not dataset.tells_objects:
        return SEMANTIC, "the masks tell the class of each pixel, and no objects"
    if dataset.classes.background is None:
        return SEMANTIC, "the classes hold no background, which a task of objects needs"
    if any(isinstance(record.annotation, Shapes) for record in annotated):
        why = "outlines may mark objects as well as regions"
    elif any(record.objects is not None for record in annotated):
        why = "the masks tell the class of each pixel, and the objects besides"
    else:
        why = "the maps of objects hold one value for all of them, so objects that touch cannot be told apart"
    return SEMANTIC, f"{why}; `task` {INSTANCE} learns the objects"


def _of_objects_alone(record: Record) -> bool:
    annotation = record.annotation
    if isinstance(annotation, MaskFile):
        return annotation.kind == "instance"
    return isinstance(annotation, MaskLayers) and annotation.objects
