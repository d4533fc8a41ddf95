"""Image in, result out: predictor, engine, tiles of large images. Knows no data set, no metric, no training."""

from __future__ import annotations

from maskwright.inference.engine import Engine, TorchEngine
from maskwright.inference.prediction import Prediction
from maskwright.inference.predictor import Predictor

__all__ = ["Engine", "Prediction", "Predictor", "TorchEngine"]
