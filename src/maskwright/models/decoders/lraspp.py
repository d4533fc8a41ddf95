"""LR-ASPP: the lightest decoder here, made for phones: a gate from the whole image, and two classifiers.

Howard, Sandler, Chu, Chen, Chen, Tan, Wang, Zhu, Pang, Vasudevan, Le, Adam 2019, "Searching for MobileNetV3", section
6.4 (figure 10). With H the map at stride 16, L that at stride 8, and s the sigmoid:

    logits = Conv1x1(L) + Conv1x1(upsample(ReLU(BN(Conv1x1(H))) * s(Conv1x1(average(H)))))

Expected: 72.36 mIoU on Cityscapes val with MobileNetV3-Large, its last stage half as wide, and 128 filters (their table
7, row 8); 57.9 on COCO val2017 with the VOC classes, as torchvision reports for its network (last stage at full width),
whose weights our tests load into this network.

Where we differ: the average is taken over the whole map, as in torchvision; the paper's 49x49 windows in steps of 16
and 20, for images of 1024x2048, are window=49. The sum of two classifiers is implemented as one classifier on both maps
concatenated, with one bias instead of two. An image whose size is not a multiple of the stride is padded to one by its
edge, and the logits are cropped, where torchvision rounds up at each level. The default backbone is our compact one.
timm's MobileNetV3 differs from torchvision's in three details; models/backbones/mobilenet.py names them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import pyramid_levels
from maskwright.models.heads.pixel import PixelHead
from maskwright.models.layers.blocks import ConvNormAct, height_width, initialise, resize
from maskwright.models.layers.windows import Averaging, moving_average
from maskwright.models.segmenter import Decoder, Segmenter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.models.backbones.base import Backbone

LOW_STRIDE = 8
STEPS = (16, 20)


class LRASPPDecoder(Decoder, Averaging):
    """The gated last level, concatenated with a low one.

    Args:
        backbone: its last level and one low level are the input.
        width: channels of the gated map.
        side: of the paper's windows of the average, 0 for the whole map.
        steps: of these windows, along height and width.
    """

    def __init__(self, backbone: Backbone, width: int, side: int, steps: Sequence[int]) -> None:
        low = pyramid_levels(backbone.reductions, LOW_STRIDE)[0]
        last = len(backbone.reductions) - 1
        if low == last:
            raise MaskwrightError(
                "lraspp needs a level finer than the last at stride 8 or more, but this backbone's strides are "
                f"{list(backbone.reductions)}: choose one with a pyramid, such as mobilenetv3_large_100"
            )
        super().__init__(width + backbone.channels[low], backbone.reductions[low])
        self.low, self.side, self.steps = low, side, tuple(steps)
        self.block = ConvNormAct(backbone.channels[last], width, 1)
        self.gate = nn.Conv2d(backbone.channels[last], width, 1, bias=False)
        initialise(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return a map (N, channels, H / stride, W / stride)."""
        low, high = features[self.low], features[-1]
        gate = torch.sigmoid(cast("Tensor", self.gate(self._average(high))))
        gated = cast("Tensor", self.block(high)) * resize(gate, height_width(high))
        return torch.cat([resize(gated, height_width(low)), low], dim=1)

    def _average(self, x: Tensor) -> Tensor:
        """Return the mean over the map, or over windows no larger than it."""
        if not self.side:
            return x.mean((2, 3), keepdim=True) if self.window is None else moving_average(x, self.window)
        kernel = (min(self.side, x.shape[2]), min(self.side, x.shape[3]))
        return F.avg_pool2d(x, kernel, self.steps)


def build(
    backbone: Backbone,
    classes: int,
    dropout: float = 0.0,
    *,
    width: int = 128,
    window: int = 0,
    steps: Sequence[int] = STEPS,
) -> Segmenter:
    """Compose LR-ASPP.

    Args:
        backbone: image to pyramid, dilated to output stride 16.
        classes: number of logits.
        dropout: before the last layer.
        width: channels of the gated map.
        window: side of the window that the gate averages over, in pixels of the last level; 0 for the whole map.
        steps: strides of the window, along height and width; only with a window above 0.

    Raises:
        MaskwrightError: an invalid option, or a backbone without a pyramid.
    """
    if width < 1 or window < 0 or len(steps) != 2 or min(steps) < 1:
        raise MaskwrightError(
            f"lraspp: width {width} must be 1 or more, window {window} 0 or more, and steps {list(steps)} two numbers "
            "of 1 or more"
        )
    if not window and tuple(steps) != STEPS:
        raise MaskwrightError(
            f"lraspp: steps {list(steps)} need a window, but window=0 averages over the whole map: set a window, such "
            "as 49, or leave steps out"
        )
    decoder = LRASPPDecoder(backbone, width, window, steps)
    return Segmenter(backbone, decoder, PixelHead(decoder.channels, classes, dropout), classes)
