"""MobileNetV3-Large in torchvision's form, so that its published LR-ASPP can be imported. Knows no task.

Howard et al. 2019, "Searching for MobileNetV3", section 5 (table 1). timm's `mobilenetv3_large_100` has the same
weights in the same order, and differs in what no weight shows: its levels come from the last block of each stride,
torchvision's from the first; it does not dilate the first block of the dilated stage, torchvision does; its batch
normalisation adds 1e-5 to the variance, torchvision's 1e-3. If none of this matters, use timm's, which has published
weights in safetensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from torch import Tensor, nn

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import Backbone
from maskwright.models.layers.norm import convert_batch_norm
from maskwright.models.weights import load_exactly, read_network

if TYPE_CHECKING:
    from pathlib import Path

STAGES = ((0, 1), (1, 3), (3, 5), (5, 8), (8, 17))
"""Blocks of each level: up to and including the first block of a stride; then the rest with the last 1x1 layer."""
CHANNELS = (16, 24, 40, 80, 960)


class MobileNet(Backbone):
    """torchvision's blocks, divided into stages.

    Args:
        features: of torchvision's network.
        in_channels: of the image.
        output_stride: that it was built for.
    """

    def __init__(self, features: nn.Sequential, in_channels: int, output_stride: int) -> None:
        super().__init__(in_channels, CHANNELS, (2, 4, 8, 16, output_stride))
        self.features = features
        stem = cast("nn.Conv2d", cast("nn.Sequential", features[0])[0])
        if in_channels != stem.in_channels:
            first = nn.Conv2d(in_channels, stem.out_channels, 3, 2, 1, bias=False)
            nn.init.kaiming_normal_(first.weight, mode="fan_out")
            cast("Any", features[0])[0] = first
        convert_batch_norm(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the pyramid of `x` (N, C, H, W)."""
        return self.run_stages((self.features[start:end] for start, end in STAGES), x)


def build(in_channels: int, weights: Path | None = None, *, output_stride: int = 32) -> MobileNet:
    """Build torchvision's MobileNetV3-Large without its classifier.

    Args:
        in_channels: of the image.
        weights: safetensors file with torchvision's names to start from, with or without a classifier.
        output_stride: 32, or 16 with the last stage dilated.

    Raises:
        MaskwrightError: another output stride, or weights that do not fit.
    """
    from torchvision.models import mobilenet_v3_large

    if output_stride not in {16, 32}:
        raise MaskwrightError(f"mobilenet_v3_large: output_stride is {output_stride}, but must be 16 or 32")
    features = mobilenet_v3_large(weights=None, dilated=output_stride == 16).features
    backbone = MobileNet(features, in_channels, output_stride)
    backbone.settled = output_stride != 32
    if weights is not None:
        tensors, backbone.notes = read_network(weights, backbone.state_dict().keys())
        tensors = {name: value for name, value in tensors.items() if not name.startswith("classifier.")}
        load_exactly(backbone, tensors, str(weights))
    return backbone
