"""The task that annotations suggest where the user names none. Opens no file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.records import EdgeFiles, MaskFile, MaskLayers, Shapes
from maskwright.core.text import plural

if TYPE_CHECKING:
    from maskwright.core.records import Dataset, Record

SEMANTIC, INSTANCE, PANOPTIC, EDGES = "semantic", "instance", "panoptic", "edges"


def suggested_task(dataset: Dataset) -> tuple[str, str]:
    """Return the name of a task, and the reason in one sentence.

    Objects are learnt where the annotation tells nothing else: ids, or a mask file for each object. Masks of classes
    and outlines are learnt as classes, since an outline may as well mark a region. Segments of both things and stuff
    are learnt as such. Each data set that tells objects and has a background can be learnt by any of the tasks.
    """
    annotated = [record for record in dataset.records if record.annotation is not None]
    if annotated and all(isinstance(record.annotation, EdgeFiles) for record in annotated):
        return EDGES, "the truth is edges that people drew"
    if annotated and dataset.classes.background is not None and all(map(_of_objects_alone, annotated)):
        ways = {"an id" if isinstance(record.annotation, MaskFile) else "a mask file" for record in annotated}
        how = " or ".join(sorted(ways))
        return INSTANCE, f"each object has {how} of its own; `task` {SEMANTIC} learns the classes only"
    if not dataset.tells_objects:
        return SEMANTIC, "the masks give the class of each pixel, but no objects"
    classes = dataset.classes
    if any(map(_of_segments, annotated)) and classes.objects and classes.stuff:
        things, stuff = plural(len(classes.objects), "class", "classes"), len(classes.stuff)
        return PANOPTIC, (
            f"the segments are of {things} with objects and of {stuff} without; `task` {SEMANTIC} learns the classes "
            f"only, and `task` {INSTANCE} the objects only"
        )
    if classes.background is None and classes.things is None:
        return SEMANTIC, f"there is no background class; `task` {PANOPTIC} learns the classes and their objects"
    if any(isinstance(record.annotation, Shapes) for record in annotated):
        why = "outlines may mark objects as well as regions"
    elif any(record.objects is not None for record in annotated):
        why = "the masks give the class of each pixel and the objects"
    else:
        why = "the maps of objects hold one value for all of them, so objects that touch cannot be told apart"
    both = f", and {PANOPTIC} both" if any(record.objects is not None for record in annotated) else ""
    return SEMANTIC, f"{why}; `task` {INSTANCE} learns the objects{both}"


def _of_segments(record: Record) -> bool:
    return isinstance(record.annotation, MaskFile) and record.annotation.kind == "segment"


def _of_objects_alone(record: Record) -> bool:
    annotation = record.annotation
    if isinstance(annotation, MaskFile):
        return annotation.kind == "instance"
    return isinstance(annotation, MaskLayers) and annotation.objects
