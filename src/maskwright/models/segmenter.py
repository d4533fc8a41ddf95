"""The segmenter: backbone, decoder and head in a row, for images of any size. Knows no architecture and no loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskwright.core.errors import MaskwrightError
from maskwright.models.layers.blocks import resize
from maskwright.models.layers.norm import BatchNorm2d, moving_statistics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.models.backbones.base import Backbone
    from maskwright.models.heads.pixel import AuxHead, PixelHead


class Decoder(nn.Module, ABC):
    """Base class: `forward(features)` turns a backbone's pyramid, finest level first, into one map.

    It may append maps of its own to `features`, for auxiliary heads to read.

    Attributes:
        channels: of the map.
        stride: of the map against the image.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels = channels
        self.stride = stride

    @abstractmethod
    def forward(self, features: list[Tensor]) -> Tensor:
        """Return a map (N, channels, H / stride, W / stride)."""


class Segmenter(nn.Module):
    """Image (N, C, H, W) to logits (N, K, H, W), K the number of classes, H and W anything from 1 on.

    Inside, the image is continued to the right and below (by repeating its edge) to a multiple of the backbone's
    largest stride, so that every level lies exactly on the one below it; what was added is cut off the logits.

    Args:
        backbone: image to pyramid.
        decoder: pyramid to one map.
        head: map to logits, at the decoder's stride.
        classes: K.
        aux: auxiliary heads, each on one level of the pyramid, or on a map that the decoder appended to it.

    Attributes:
        classes: K.
        in_channels: C.
        native_stride: stride of the logits before they are brought to the size of the image.
    """

    def __init__(
        self, backbone: Backbone, decoder: Decoder, head: PixelHead, classes: int, aux: Sequence[AuxHead] = ()
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.decoder = decoder
        self.head = head
        self.aux = nn.ModuleList(aux)
        self.classes = classes
        self.in_channels = backbone.in_channels
        self.native_stride = decoder.stride

    def forward(self, x: Tensor, *, with_aux: bool = False, upsample: bool = True) -> Tensor | tuple[Tensor, ...]:
        """Compute logits, in float32 whatever the precision inside.

        Args:
            x: images (N, C, H, W).
            with_aux: return a tuple (logits, one more for each auxiliary head), also where there is no such head.
            upsample: bring the logits to H x W, bilinearly; otherwise all are
                (N, K, ceil(H / native_stride), ceil(W / native_stride)).

        Raises:
            MaskwrightError: `x` has no four axes, or another number of channels.
        """
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise MaskwrightError(
                f"the model takes images (N, {self.in_channels}, H, W), and was given {tuple(x.shape)}: "
                f"convert the images to {self.in_channels} channels"
            )
        height, width = x.shape[2], x.shape[3]
        x = self._padded(x)
        with moving_statistics():
            features = self.backbone(x)
            outputs = [self.head(self.decoder(features))]
            if with_aux:
                outputs += [head(features) for head in self.aux]
        stride = 1 if upsample else self.native_stride
        whole = (x.shape[2] // stride, x.shape[3] // stride)
        part = (-(-height // stride), -(-width // stride))
        logits = tuple(resize(output.float(), whole)[:, :, : part[0], : part[1]] for output in outputs)
        return logits if with_aux else logits[0]

    def set_gradient_checkpointing(self, enable: bool) -> None:
        """Trade time for memory: recompute the backbone's activations in the backward pass. The result is the same."""
        self.backbone.set_gradient_checkpointing(enable)
        for layer in self.backbone.modules():
            if isinstance(layer, BatchNorm2d):
                layer.recomputed = enable

    def _padded(self, x: Tensor) -> Tensor:
        """Continue `x` to a multiple of the backbone's largest stride."""
        multiple = self.backbone.reductions[-1]
        below, right = -x.shape[2] % multiple, -x.shape[3] % multiple
        if not below and not right:
            return x
        channels_last = x.is_contiguous(memory_format=torch.channels_last)
        padded = F.pad(x, (0, right, 0, below), mode="replicate")
        return padded.contiguous(memory_format=torch.channels_last) if channels_last else padded
