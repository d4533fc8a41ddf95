"""The metrics of objects: names, meaning and order of everything that `metrics.object_summary` computes."""

from __future__ import annotations

from maskwright.metrics.scores import Metric

_ALL = "all images together, averaged over classes"
_COCO = f"area under the curve of precision over recall as COCO computes it, {_ALL}"
_SIZES = {
    "small": "up to 32 x 32 pixels",
    "medium": "from 32 x 32 to 96 x 96 pixels",
    "large": "from 96 x 96 pixels",
}


def _coco(kind: str) -> tuple[Metric, ...]:
    """Return the metrics of COCO for masks or boxes."""
    title, what = kind.capitalize(), {"mask": "masks", "box": "boxes"}[kind]
    return (
        Metric(
            f"{kind}_ap",
            f"{title} AP",
            f"Mean over IoU 0.5 to 0.95 of {what}: {_COCO}.",
            rank=3 if kind == "mask" else 6,
        ),
        *(
            Metric(f"{kind}_ap{level}", f"{title} AP{level}", f"At IoU 0.{level} of {what}: {_COCO}.", rank=6)
            for level in (50, 75)
        ),
        *(
            Metric(
                f"{kind}_ap_{size}",
                f"{title} AP, {size}",
                f"Mean over IoU 0.5 to 0.95 of {what} of objects {area}: {_COCO}.",
                rank=7,
            )
            for size, area in _SIZES.items()
        ),
    )


def _levels(key: str, label: str, what: str) -> tuple[Metric, ...]:
    """Return a metric at IoU 0.6 to 0.9."""
    return tuple(
        Metric(f"{key}{level}", f"{label} at 0.{level // 10}", f"{what} at IoU 0.{level // 10}, {_ALL}.", rank=7)
        for level in (60, 70, 80, 90)
    )


BOUNDARY = "boundary_iou"
OBJECT_METRICS = (
    Metric("f1", "F1", f"F1 score of objects found with an IoU of at least 0.5: 2 TP / (2 TP + FP + FN), {_ALL}."),
    Metric("precision", "Precision", f"Share of the predicted objects that are right at IoU 0.5, {_ALL}.", rank=1),
    Metric("recall", "Recall", f"Share of the annotated objects that are found at IoU 0.5, {_ALL}.", rank=1),
    *_levels("f1_", "F1", "F1 score of objects"),
    Metric("cell_ap", "Cell AP", f"Mean over IoU 0.5, 0.55, … 0.9 of TP / (TP + FP + FN), {_ALL}.", rank=2),
    Metric("cell_ap50", "Cell AP at 0.5", f"TP / (TP + FP + FN) at IoU 0.5, {_ALL}.", rank=6),
    *_levels("cell_ap", "Cell AP", "TP / (TP + FP + FN)"),
    Metric("pq", "PQ", f"Panoptic quality of objects, SQ x RQ, {_ALL}.", rank=3),
    Metric("sq", "SQ", f"Segmentation quality: mean IoU of the objects found above IoU 0.5, {_ALL}.", rank=6),
    Metric("rq", "RQ", f"Recognition quality: F1 score of objects found above IoU 0.5, {_ALL}.", rank=6),
    Metric(BOUNDARY, "Boundary IoU", f"Mean boundary IoU of the objects found above IoU 0.5, {_ALL}.", rank=3),
    Metric(
        "aji",
        "AJI",
        "Aggregated Jaccard index (Kumar 2017): the pixels that annotated objects share with their best predictions, "
        "over the pixels of either and of all objects left over, averaged over images, then over classes.",
        rank=6,
    ),
    *_coco("mask"),
    *_coco("box"),
    Metric(
        "count_bias",
        "Count bias",
        "Predicted minus annotated objects of an image, averaged over images, then over classes.",
        unit="",
        higher_is_better=False,
        ideal=0.0,
        rank=5,
    ),
    Metric(
        "count_error",
        "Count error",
        "Absolute difference between predicted and annotated objects of an image, averaged over images, then over "
        "classes.",
        unit="",
        higher_is_better=False,
        rank=6,
    ),
    Metric("objects", "Objects", "Annotated objects without crowds, in all images.", unit="count", rank=4),
    Metric("predicted", "Predicted", "Predicted objects that are right or wrong, in all images.", unit="count", rank=6),
    *(
        Metric(f"objects_{size}", f"Objects, {size}", f"Annotated objects {area}.", unit="count", rank=8)
        for size, area in _SIZES.items()
    ),
)
"""Keys of `Scores.mean` for objects; every one has a value for each class too. Counts are added up over classes."""

COUNTS = tuple(metric.key for metric in OBJECT_METRICS if metric.unit == "count")
FROM_COCO = tuple(metric.key for kind in ("mask", "box") for metric in _coco(kind))
FROM_SUMS = tuple(metric.key for metric in OBJECT_METRICS if metric.key not in FROM_COCO)

IMAGE_METRICS = (
    Metric("f1", "F1", "F1 score at IoU 0.5, averaged over the classes in truth or prediction of the image."),
    Metric(
        "cell_ap",
        "Cell AP",
        "TP / (TP + FP + FN), averaged over IoU 0.5 to 0.9 and the classes in truth or prediction of the image.",
    ),
    Metric("pq", "PQ", "Panoptic quality, averaged over the classes in truth or prediction of the image."),
    Metric("objects", "Objects", "Annotated objects without crowds.", unit="count"),
    Metric("predicted", "Predicted", "Predicted objects that are right or wrong.", unit="count"),
)
