"""Pixels that several mask files of one image give to different classes. Knows no layout."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.records import Fault, MaskLayers
from maskwright.core.text import percent, plural
from maskwright.data.labels import layer_reader
from maskwright.data.layers import overlap
from maskwright.data.readers import DecodeError, image_size

if TYPE_CHECKING:
    from maskwright.core.records import Dataset

_MOST_LOOKED_AT = 24
_SEVERAL = 0.5


def with_overlaps(dataset: Dataset) -> Dataset:
    """Count, in a sample of the images with several mask files, the pixels that several classes claim, and tell."""
    layered = [record for record in dataset.records if isinstance(record.annotation, MaskLayers)]
    places = np.unique(np.linspace(0, len(layered) - 1, min(len(layered), _MOST_LOOKED_AT)).round().astype(int))
    twice = claimed = images = 0
    for record in (layered[place] for place in places):
        assert isinstance(record.annotation, MaskLayers)
        try:
            both, any_class = overlap(record.annotation, layer_reader(dataset, record, image_size(record.image)))
        except DecodeError:  # reported when the pixels are asked for
            continue
        twice, claimed, images = twice + both, claimed + any_class, images + (both > 0)
    if not twice:
        return dataset
    share = twice / claimed
    message = (
        f"classes overlap in {images} of {plural(len(places), 'image')} looked at, in {percent(share)} of the pixels "
        "of any class; there, the class with fewer pixels in the image wins"
    )
    cure = "if another class should win, remove these pixels from the mask of the smaller one"
    if share > _SEVERAL:
        cure = "if the folders hold several annotations of the same objects, and not classes, keep one of them"
    fault = Fault("overlap", "warning", dataset.root, message, cure)
    return replace(dataset, faults=(*dataset.faults, fault))
