"""Which region of which image is explained: the one that the user names, or else one worth a look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.diagnosis.region import Region, region_at
from maskwright.workflows.diagnose_parts.donors import sample_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.core.records import Record
    from maskwright.inference.predictor import Predictor
    from maskwright.workflows.diagnose_parts.donors import Sample
    from maskwright.workflows.diagnose_parts.study import Study


def chosen_region(study: Study, predictor: Predictor) -> tuple[Region, Record, tuple[int, int]]:
    """Return the region to explain, its image, and the point (x, y) in it.

    Raises:
        MaskwrightError: there is no such image, or the point lies outside of it.
    """
    sample = sample_of(study, _record(study))
    if sample is None:
        raise MaskwrightError(f"{_record(study).id} cannot be read: give another image", "image")
    at = study.request.at
    assert not isinstance(at, str)
    x, y = _worth_a_look(study, predictor, sample) if at is None else at
    height, width = sample.truth.shape
    if x >= width or y >= height:
        raise MaskwrightError(
            f"at is {x},{y}, but {sample.record.id} is {width} pixels wide and {height} high, counted from 0: give a "
            "point inside",
            "at",
        )
    return region_at(predictor, sample.image, x, y), sample.record, (x, y)


def _record(study: Study) -> Record:
    """Return the image that the user names, by its id or the name of its file; else the worst one."""
    name = study.request.image
    if name is None:
        errors = study.scores.image_errors
        return max(study.looks, key=lambda look: errors.get(look.record.id, -np.inf)).record
    records = [record for record in study.dataset.records if record.annotation is not None]
    found = [record for record in records if name in {record.id, record.id.rsplit("/", 1)[-1]}]
    if not found:
        raise unknown_name("image", name, [record.id for record in records][:50], "image")
    return found[0]


def _worth_a_look(study: Study, predictor: Predictor, sample: Sample) -> tuple[int, int]:
    """Return the middle (x, y) of the largest region of a wrong class; without one, of the largest region at all."""
    look = next((look for look in study.looks if look.record.id == sample.record.id), None)
    if look is None or look.labels is None:
        kept = region_at(predictor, sample.image, sample.truth.shape[1] // 2, sample.truth.shape[0] // 2)
        return _middle(kept.mask, kept.origin)
    known = (look.truth != IGNORE) & (look.labels != IGNORE)
    thing = known & (look.labels != study.classes.background)
    for wanted in (thing & (look.labels != look.truth), thing, known):
        if wanted.any():
            return _middle(_largest(wanted, look.labels), (0, 0))
    return sample.truth.shape[1] // 2, sample.truth.shape[0] // 2


def _largest(wanted: NDArray[np.bool_], labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the largest connected part of one class."""
    best, most = wanted, 0
    for index in np.unique(labels[wanted]):
        _, parts, facts, _ = cv2.connectedComponentsWithStats((wanted & (labels == index)).astype(np.uint8))
        place = 1 + int(facts[1:, cv2.CC_STAT_AREA].argmax())
        if facts[place, cv2.CC_STAT_AREA] > most:
            best, most = np.asarray(parts == place), int(facts[place, cv2.CC_STAT_AREA])
    return best


def _middle(mask: NDArray[np.bool_], origin: tuple[int, int]) -> tuple[int, int]:
    """Return the pixel (x, y) of a mask that is farthest from its border."""
    padded = np.pad(mask.astype(np.uint8), 1)
    away = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    row, column = np.unravel_index(int(away.argmax()), away.shape)
    return int(column) + origin[1], int(row) + origin[0]
