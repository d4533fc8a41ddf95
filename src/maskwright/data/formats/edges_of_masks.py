"""Data sets of masks as data sets of edges: those between the regions of each mask. Decodes no mask."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError
from maskwright.core.records import EdgeFiles, MaskEdges
from maskwright.data.edges import EDGE_CLASSES

if TYPE_CHECKING:
    from maskwright.core.read_options import Between, ReadOptions
    from maskwright.core.records import Dataset, Record

_REGIONS = {
    "any": "classes and objects",
    "classes": "classes",
    "objects": "objects and what is around them",
    "touching": "touching objects",
}


def with_edges(dataset: Dataset, options: ReadOptions) -> Dataset:
    """Return the data as edges where the options ask for them; drawn edges stay as they are.

    Raises:
        MaskwrightError: the masks hold measured values, or no objects as the options need them.
    """
    drawn = any(isinstance(record.annotation, EdgeFiles) for record in dataset.records)
    if options.between is not None and (drawn or not options.edges):
        why = "its edges are drawn" if drawn else "only the task edges finds edges between regions"
        raise MaskwrightError(f"`read.between` is {options.between}, but {why}: leave it out")
    if drawn or not options.edges:
        return dataset
    between = options.between or "any"
    if between in {"objects", "touching"} and not dataset.tells_objects:
        raise MaskwrightError(
            f"`read.between` is {between}, but the masks of {dataset.root} tell no objects: leave it out for the edges "
            "between classes"
        )
    records = tuple(_with_edges(record, between) for record in dataset.records)
    layout = f"{dataset.layout}; edges between {_REGIONS[between]}"
    return replace(dataset, layout=layout, classes=EDGE_CLASSES, records=records, merged=None, masks=dataset)


def _with_edges(record: Record, between: Between) -> Record:
    masks = record.annotation
    if masks is None:
        return record
    assert not isinstance(masks, EdgeFiles | MaskEdges)
    return replace(record, annotation=MaskEdges(masks, record.objects, between), objects=None)
