"""Metrics: masks and truth to numbers. Knows numpy arrays, and nothing of models, files or torch.

`Judge` takes one image at a time and keeps only counts; the functions behind it are pure and stand alone.
"""

from maskwright.metrics.boundary import boundary_counts
from maskwright.metrics.calibration import fit_temperature
from maskwright.metrics.confusion import (
    accuracy,
    confusion_matrix,
    dice,
    iou,
    mean_defined,
    per_class,
    pixel_accuracy,
    precision,
    recall,
)
from maskwright.metrics.judge import Judge
from maskwright.metrics.object_judge import ObjectJudge
from maskwright.metrics.scores import Scores
from maskwright.metrics.surface import surface_scores

__all__ = [
    "Judge",
    "ObjectJudge",
    "Scores",
    "accuracy",
    "boundary_counts",
    "confusion_matrix",
    "dice",
    "fit_temperature",
    "iou",
    "mean_defined",
    "per_class",
    "pixel_accuracy",
    "precision",
    "recall",
    "surface_scores",
]
