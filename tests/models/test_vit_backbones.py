"""Plain transformers with a pyramid, and the Mix Transformer's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import safetensors.torch
import torch

from maskwright import models
from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones import find_backbone, vit

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("timm")

DECODERS: dict[str, dict[str, Any]] = {
    "swiftnet": {"width": 8},
    "unet": {"channels": [8, 8, 8, 8, 4]},
    "deeplabv3plus": {"width": 8, "low_width": 4},
    "pspnet": {},
    "fcn": {},
    "segformer": {"width": 8},
    "upernet": {"width": 8},
    "fpn": {"width": 8, "branch_width": 8},
    "lraspp": {"width": 8},
}
NAMES = ["test_convnext", "test_efficientnet", "test_vit", "test_mambaout"]


@pytest.mark.parametrize("spread", [False, True])
def test_a_plain_transformer_becomes_a_pyramid(spread: bool) -> None:
    backbone = find_backbone("timm:test_vit").builder(3, spread=spread)
    assert backbone.reductions == (4, 8, 16, 32)
    assert len(backbone.norms) == (4 if spread else 1)
    levels = backbone(torch.randn(2, 3, 64, 96))
    wanted = [(2, width, 64 // step, 96 // step) for width, step in zip(backbone.channels, (4, 8, 16, 32), strict=True)]
    assert [tuple(level.shape) for level in levels] == wanted
