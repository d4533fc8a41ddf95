"""Image in, mask out: the predictor and how it takes large images apart. Knows no data set, no metric, no training."""

from __future__ import annotations

from maskwright.inference.blend import Block
from maskwright.inference.predictor import Prediction, Predictor, decide

__all__ = ["Block", "Prediction", "Predictor", "decide"]
