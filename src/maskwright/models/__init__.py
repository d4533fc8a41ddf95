"""Models: image to logits. They never see a loss, a data set or a plan beyond their own part of it."""

from __future__ import annotations

from maskwright.models.backbones import BACKBONES
from maskwright.models.backbones.hub import pretrained_available
from maskwright.models.build import create, create_from_plan, options_of
from maskwright.models.catalog import MODELS
from maskwright.models.segmenter import Segmenter

__all__ = [
    "BACKBONES",
    "MODELS",
    "Segmenter",
    "create",
    "create_from_plan",
    "options_of",
    "pretrained_available",
]
