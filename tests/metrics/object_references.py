"""Second implementations of the scores of objects, written from the formulas of their authors on whole-image masks."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy.ndimage import binary_erosion
from scipy.optimize import linear_sum_assignment
from tests.metrics.objects import full

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.core.instances import Instance, Instances


def iou_matrix(truth: Instances, found: Instances) -> np.ndarray:
    pixels = truth.size[0] * truth.size[1]
    ours, theirs = (
        np.array([full(entry, truth.size) for entry in objects], np.int64).reshape(-1, pixels)
        for objects in (truth.objects, found.objects)
    )
    shared = ours @ theirs.T
    return shared / (ours.sum(1)[:, None] + theirs.sum(1) - shared)


def boundary_iou(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Cheng 2021, section 3, on masks of the whole image: erosions by 3x3 squares, and beyond the image nothing."""
    steps = max(1, round(0.02 * np.hypot(*ours.shape)))
    bands = [mask & ~binary_erosion(mask, np.ones((3, 3)), steps) for mask in (ours, theirs)]
    return float((bands[0] & bands[1]).sum() / (bands[0] | bands[1]).sum())


def stardist(truth: Instances, found: Instances, threshold: float) -> tuple[int, int, int]:
    """TP, FP, FN as StarDist's `matching` counts them: costs -(IoU >= t) - IoU / (2 n), then the assignment."""
    if not len(truth) or not len(found):
        return 0, len(found), len(truth)
    scores = iou_matrix(truth, found)
    costs = -(scores >= threshold).astype(float) - scores / (2 * min(scores.shape))
    rows, columns = linear_sum_assignment(costs)
    hits = int((scores[rows, columns] >= threshold).sum())
    return hits, len(found) - hits, len(truth) - hits


def aji(truth: Instances, found: Instances) -> float:
    """Kumar 2017, algorithm 1, with the masks of the whole image."""
    ours = [full(entry, truth.size) for entry in truth.objects]
    theirs = [full(entry, truth.size) for entry in found.objects]
    shared = union = 0
    used = set()
    for mask in ours:
        values = [(mask & other).sum() / (mask | other).sum() for other in theirs]
        if not values or max(values) == 0:
            union += mask.sum()
            continue
        best = int(np.argmax(values))
        shared += (mask & theirs[best]).sum()
        union += (mask | theirs[best]).sum()
        used.add(best)
    return (shared / (union + sum(mask.sum() for place, mask in enumerate(theirs) if place not in used))).item()


def panoptic(
    pictures: Sequence[tuple[Instances, Instances, np.ndarray]], classes: Sequence[int]
) -> dict[int, tuple[float, float, float]]:
    """PQ, SQ and RQ of each class as panopticapi's `pq_compute_single_core` finds them, from maps of segment ids.

    Objects must not overlap; 0 is VOID in both maps.
    """
    total = {index: [0.0, 0, 0, 0] for index in classes}
    for truth, found, ignored in pictures:
        for index, row in _panoptic_image(truth, found, ignored, classes).items():
            total[index] = [old + new for old, new in zip(total[index], row, strict=True)]
    scores = {}
    for index, (iou, tp, fp, fn) in total.items():
        if tp + fp + fn:
            whole = tp + 0.5 * fp + 0.5 * fn
            scores[index] = (iou / whole, iou / tp if tp else 0.0, tp / whole)
    return scores


def _panoptic_image(
    truth: Instances, found: Instances, ignored: np.ndarray, classes: Sequence[int]
) -> dict[int, list[float]]:
    gt, pred = (dict(enumerate(objects, start=1)) for objects in (truth.objects, found.objects))
    shared = _shared_segments(truth, found, ignored)
    rows: dict[int, list[float]] = {index: [0.0, 0, 0, 0] for index in classes}
    matched: tuple[set[int], set[int]] = (set(), set())
    for (a, b), intersection in shared.items():
        if a not in gt or b not in pred or gt[a].crowd or gt[a].index != pred[b].index:
            continue
        union = pred[b].area + gt[a].area - intersection - shared.get((0, b), 0)
        if intersection / union > 0.5:
            rows[gt[a].index][0] += intersection / union
            rows[gt[a].index][1] += 1
            matched[0].add(a)
            matched[1].add(b)
    crowds = {entry.index: number for number, entry in gt.items() if entry.crowd}
    for number, entry in gt.items():
        rows[entry.index][3] += number not in matched[0] and not entry.crowd
    for number, entry in pred.items():
        if number in matched[1]:
            continue
        void = shared.get((0, number), 0) + shared.get((crowds.get(entry.index, -1), number), 0)
        rows[entry.index][2] += void / entry.area <= 0.5
    return rows


def _shared_segments(truth: Instances, found: Instances, ignored: np.ndarray) -> dict[tuple[int, int], int]:
    """Pixels of each pair of (segment in the truth, segment in the prediction)."""
    # What no annotated object holds and is not ignored is a stuff segment, which no prediction here has the class of.
    stuff = 10_000
    pan_gt, pan_pred = np.full(truth.size, stuff), np.zeros(truth.size, int)
    pan_gt[ignored] = 0
    for number, entry in enumerate(truth.objects, start=1):
        pan_gt[full(entry, truth.size)] = number
    for number, entry in enumerate(found.objects, start=1):
        pan_pred[full(entry, truth.size)] = number
    labels, counts = np.unique(pan_gt.astype(np.int64) * 100_000 + pan_pred, return_counts=True)
    return {divmod(int(label), 100_000): int(count) for label, count in zip(labels, counts, strict=True)}


def coco(
    pictures: Sequence[tuple[Instances, Instances]], classes: Sequence[int], kind: str, most: int = 100
) -> COCOeval:
    """pycocotools' evaluation of masks (`segm`) or boxes (`bbox`), accumulated: `eval["precision"]` (T, R, K, A, M)."""
    images = [{"id": number, "height": t.size[0], "width": t.size[1]} for number, (t, _) in enumerate(pictures, 1)]
    annotations = [
        _entry(entry, truth.size, number) | {"area": entry.area, "iscrowd": int(entry.crowd), "bbox": _bbox(entry)}
        for number, (truth, _) in enumerate(pictures, 1)
        for entry in truth.objects
    ]
    results = [
        (_entry(entry, found.size, number) if kind == "segm" else _plain(entry, number) | {"bbox": _bbox(entry)})
        | {"score": entry.score}
        for number, (_, found) in enumerate(pictures, 1)
        for entry in found.objects
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": images,
            "annotations": [{"id": number, **entry} for number, entry in enumerate(annotations, 1)],
            "categories": [{"id": index} for index in classes],
        }
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results) if results else _nothing(truth), kind)
        evaluation.params.maxDets = [most]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def coco_levels(evaluation: COCOeval, area: int) -> np.ndarray:
    """Mean, AP50 and AP75 by class (3, K), NaN where COCO says -1; `area` counts all, small, medium, large."""
    precision = evaluation.eval["precision"][:, :, :, area, 0]
    values = np.where(precision[:, 0] < 0, np.nan, precision.mean(axis=1))
    return np.stack([values.mean(axis=0), values[0], values[5]])


def _nothing(truth: COCO) -> COCO:
    empty = COCO()
    empty.dataset = {**truth.dataset, "annotations": []}
    empty.createIndex()
    return empty


def _plain(entry: Instance, number: int) -> dict[str, Any]:
    return {"image_id": number, "category_id": entry.index}


def _entry(entry: Instance, size: tuple[int, int], number: int) -> dict[str, Any]:
    code = coco_mask.encode(np.asfortranarray(full(entry, size).astype(np.uint8)))
    return _plain(entry, number) | {"segmentation": code}


def _bbox(entry: Instance) -> list[float]:
    height, width = entry.mask.shape
    return [entry.left, entry.top, width, height]
