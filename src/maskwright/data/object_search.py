"""What one image shows of objects: those of its annotation, and the connected regions of its other classes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.records import EdgeFiles, MaskEdges, MaskFile
from maskwright.data import edge_statistics
from maskwright.data.instance_statistics import measured
from maskwright.data.labels import read_edges, read_objects
from maskwright.data.object_agreement import compared
from maskwright.data.objects import annotated, piece, regions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from maskwright.core.records import Dataset, Record
    from maskwright.data.edge_statistics import DrawnStats
    from maskwright.data.instance_statistics import ImageInstances
from maskwright.data.objects import ClassObjects


class Found(NamedTuple):
    """The objects of one image.

    Attributes:
        classes: by class index.
        share: area of the searched part as a share of the image, 0..1.
        instances: what the annotated objects are like; None if the annotation tells none.
        edges: what the drawn edges are like; None if there are none.
    """

    classes: dict[int, ClassObjects]
    share: float
    instances: ImageInstances | None = None
    edges: DrawnStats | None = None


def search(dataset: Dataset, record: Record, label: NDArray[np.uint8]) -> Found:
    """Return the annotated objects if the format has them, and the regions of the classes without objects.

    Regions take some 30 bytes a pixel to measure: of a large image only a random piece is searched.

    Raises:
        DecodeError: as `read_objects`.
    """
    size, part = (label.shape[0], label.shape[1]), piece(label, record.id)
    found, instances = [], None
    annotation = record.objects or record.annotation
    if isinstance(record.annotation, EdgeFiles | MaskEdges):
        edges = None
        if isinstance(record.annotation, EdgeFiles):
            drawn = read_edges(dataset, record, size)
            edges = edge_statistics.measured(drawn.people, soft=drawn.soft)
        return Found(regions(part), part.size / label.size, edges=edges)
    if annotation is not None and record.tells_objects:
        found = list(read_objects(dataset, record, size))
        instances = measured(found, size, annotation)
        if record.objects is not None and record.annotation is not None:
            instances = replace(instances, agreement=compared(found, label, dataset.classes, record.objects.path))
    elif isinstance(record.annotation, MaskFile):
        return Found(regions(part), part.size / label.size)
    known = annotated(entry for entry in found if not entry.crowd)
    things = {entry.index for entry in found} | (dataset.classes.things or frozenset())
    return Found({**regions(part, things), **known}, 1.0, instances)
