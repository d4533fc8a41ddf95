"""What a segmenter costs: weights and multiply-adds, counted without computing anything. Knows no clock."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

    from maskwright.models.segmenter import Segmenter

SIZE = 512


@dataclass(frozen=True)
class Description:
    """What a segmenter costs.

    Attributes:
        parameters: trained numbers.
        backbone_parameters: those of them in the backbone.
        multiply_adds: of one image of size x size, in prediction; convolutions and matrix products only.
        size: of that image, in pixels.
        native_stride: stride of the logits before upsampling.
    """

    parameters: int
    backbone_parameters: int
    multiply_adds: int
    size: int
    native_stride: int


def count_parameters(module: nn.Module) -> int:
    """Count the trained numbers in `module`."""
    return sum(cast("Tensor", parameter).numel() for parameter in module.parameters())


def describe(segmenter: Segmenter, size: int = SIZE) -> Description:
    """Count weights and multiply-adds on a copy without memory (torch's `meta` device); `segmenter` is not changed."""
    from torch.utils.flop_counter import FlopCounterMode  # here, as it pulls in triton

    twin = copy.deepcopy(segmenter).to("meta").eval()
    image = torch.empty(1, segmenter.in_channels, size, size, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        twin(image)
    return Description(
        parameters=count_parameters(segmenter),
        backbone_parameters=count_parameters(segmenter.backbone),
        multiply_adds=counter.get_total_flops() // 2,
        size=size,
        native_stride=segmenter.native_stride,
    )
