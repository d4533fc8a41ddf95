"""The metrics of panoptic segmentation: names, meaning and order of what `metrics.panoptic_summary` computes."""

from __future__ import annotations

from maskwright.metrics.scores import Metric

PARTS = ("things", "stuff")
_QUALITIES = (
    ("pq", "PQ", "Panoptic quality, SQ x RQ"),
    ("sq", "SQ", "Segmentation quality: mean IoU of the segments found above IoU 0.5"),
    ("rq", "RQ", "Recognition quality: F1 score of segments found above IoU 0.5"),
    ("boundary_iou", "Boundary IoU", "Mean boundary IoU of the segments found above IoU 0.5"),
)
"""Key, label and meaning."""
QUALITIES = tuple(
    Metric(key, label, f"{what}, all images together, averaged over classes.", rank=0 if key == "pq" else 1)
    for key, label, what in _QUALITIES
)
"""Of each class, and averaged over all classes that are in truth or prediction; the first is the headline."""
COUNTS = (
    Metric("segments", "Segments", "Segments in the truth without crowds, in all images.", unit="count", rank=3),
    Metric("predicted", "Predicted", "Predicted segments, right or wrong, in all images.", unit="count", rank=3),
)
BY_PART = tuple(
    Metric(
        f"{key}_{part}",
        f"{label}, {part}",
        f"{what}, all images together, averaged over classes of {part}.",
        rank=2 if key == "pq" else 3,
    )
    for part in PARTS
    for key, label, what in _QUALITIES
)
PANOPTIC_METRICS = (*QUALITIES, *BY_PART, *COUNTS)
IMAGE_METRICS = (
    Metric("pq", "PQ", "Panoptic quality, averaged over the classes in truth or prediction of the image."),
    Metric("segments", "Segments", "Segments in the truth without crowds.", unit="count"),
    Metric("predicted", "Predicted", "Predicted segments that are right or wrong.", unit="count"),
)
