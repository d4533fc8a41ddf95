"""The metrics of panoptic segmentation: names, meaning and order of what `metrics.panoptic_summary` computes."""

from __future__ import annotations

from maskwright.metrics.scores import Metric

PARTS = ("things", "stuff")
_WHAT = {
    "pq": "Panoptic quality, SQ x RQ",
    "sq": "Segmentation quality: mean IoU of the segments found above IoU 0.5",
    "rq": "Recognition quality: F1 score of segments found above IoU 0.5",
    "boundary_iou": "Mean boundary IoU of the segments found above IoU 0.5",
}
_LABELS = {"boundary_iou": "Boundary IoU"}
QUALITIES = tuple(
    Metric(
        key,
        _LABELS.get(key, key.upper()),
        f"{what}, all images together, averaged over classes.",
        rank=0 if key == "pq" else 1,
    )
    for key, what in _WHAT.items()
)
"""Of each class, and averaged over all classes that are in truth or prediction; the first is the headline."""
COUNTS = (
    Metric("segments", "Segments", "Segments in the truth without crowds, in all images.", unit="count", rank=3),
    Metric("predicted", "Predicted", "Predicted segments, right or wrong, in all images.", unit="count", rank=3),
)
BY_PART = tuple(
    Metric(
        f"{metric.key}_{part}",
        f"{metric.label}, {part}",
        f"{_WHAT[metric.key]}, all images together, averaged over classes of {part}.",
        rank=2 if metric.key == "pq" else 3,
    )
    for part in PARTS
    for metric in QUALITIES
)
PANOPTIC_METRICS = (*QUALITIES, *BY_PART, *COUNTS)
IMAGE_METRICS = (
    Metric("pq", "PQ", "Panoptic quality, averaged over the classes in truth or prediction of the image."),
    Metric("segments", "Segments", "Segments in the truth without crowds.", unit="count"),
    Metric("predicted", "Predicted", "Predicted segments that are right or wrong.", unit="count"),
)
