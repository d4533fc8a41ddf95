"""The metrics of label maps: names, meaning and order of everything that `metrics.summary` computes."""

from __future__ import annotations

from maskwright.metrics.scores import Metric

_ALL = "all images together, averaged over classes"
_SHOWN = "averaged over the images with the class in truth or prediction, then over classes"

LABEL_METRICS = (
    Metric("iou", "IoU", f"Intersection over union by class, {_ALL}."),
    Metric("dice", "Dice", f"Dice coefficient (F1) by class, {_ALL}."),
    Metric("precision", "Precision", f"Share of the pixels predicted as a class that belong to it, {_ALL}.", rank=1),
    Metric("recall", "Recall", f"Share of the pixels of a class that are predicted as that class, {_ALL}.", rank=1),
    Metric(
        "accuracy",
        "Class accuracy",
        "Share of the labelled pixels where truth and prediction agree whether it is the class, averaged over classes.",
        rank=6,
    ),
    Metric(
        "boundary_iou",
        "Boundary IoU",
        f"IoU of the bands along the edges (2 % of the image diagonal wide), {_ALL}.",
        rank=3,
    ),
    Metric(
        "hd95",
        "HD95",
        f"95th percentile of the distances between the true and the predicted edge, in pixels of the image, {_SHOWN}; "
        "an image with the class in only one of the two scores the length of its diagonal.",
        unit="px",
        higher_is_better=False,
        rank=4,
    ),
    Metric(
        "nsd",
        "NSD",
        "Normalised surface distance: share of the true and the predicted edge that lies within the tolerance of the "
        f"other, {_SHOWN}; an image with the class in only one of the two scores 0.",
        rank=4,
    ),
    Metric(
        "pixel_accuracy",
        "Pixel accuracy",
        "Share of all labelled pixels with the correct class, all images together.",
        rank=5,
    ),
    Metric(
        "iou_per_image",
        "IoU per image",
        "IoU averaged over the classes in truth or prediction of an image, then over images.",
        rank=5,
    ),
    Metric(
        "dice_per_image",
        "Dice per image",
        "Dice averaged over the classes in truth or prediction of an image, then over images.",
        rank=5,
    ),
)
"""Keys of `Scores.mean` for label maps; those of `BY_CLASS` have a value for each class too."""

PER_IMAGE = ("iou_per_image", "dice_per_image")
OF_ALL = ("pixel_accuracy",)
BY_CLASS = tuple(metric.key for metric in LABEL_METRICS if metric.key not in (*PER_IMAGE, *OF_ALL))

IMAGE_METRICS = tuple(
    Metric(key, label, description)
    for key, label, description in (
        ("iou", "IoU", "IoU averaged over the classes in truth or prediction of the image."),
        ("dice", "Dice", "Dice averaged over the classes in truth or prediction of the image."),
        ("accuracy", "Pixel accuracy", "Share of the labelled pixels of the image with the correct class."),
    )
)
