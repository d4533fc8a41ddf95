"""The segmenter: backbone, decoder and head in sequence, for images of any size. Knows no architecture and no loss."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskwright.core.channels import class_channels
from maskwright.core.errors import MaskwrightError
from maskwright.models.layers.blocks import height_width, mirror, resize
from maskwright.models.layers.norm import BatchNorm2d, moving_statistics
from maskwright.models.layers.windows import Averaging

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.models.backbones.base import Backbone
    from maskwright.models.heads.pixel import AuxHead, Head
    from maskwright.models.heads.sides import SideOutput


class Decoder(nn.Module, ABC):
    """Base class: `forward(features)` turns a backbone's pyramid, finest level first, into the input of the head.

    That is one map, or a list of maps for a head that takes several. It may also return further maps for auxiliary
    heads.

    Attributes:
        channels: of the map.
        stride: at which the logits are compared with the labels; that of the map, unless the head says otherwise.
        margin: pixels of the image that the map has lost on each side, if convolutions have no padding.
    """

    margin = 0

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels = channels
        self.stride = stride

    @abstractmethod
    def forward(self, features: list[Tensor]) -> Tensor | list[Tensor] | tuple[Tensor | list[Tensor], list[Tensor]]:
        """Return a map (N, channels, H / stride, W / stride), or several in a list.

        Args:
            features: one map (N, C_i, H / s_i, W / s_i) per level of the backbone.

        Returns:
            the map or maps; as a tuple, followed by the further maps for auxiliary heads.
        """

    def adapt(self, reductions: Sequence[int]) -> None:
        """Adapt to a backbone whose strides became `reductions`, in place.

        Raises:
            MaskwrightError: the structure of this decoder depends on the strides it was built for.
        """
        raise MaskwrightError(
            f"its decoder is built for the strides {', '.join(map(str, reductions))} of its backbone: leave "
            "`output_stride` out; only deeplabv3, deeplabv3plus, fcn and pspnet, whose decoders use the last level for "
            "context, can change it"
        )


class Segmenter(nn.Module):
    """Image (N, C, H, W) to logits (N, K, H, W), K being the number of classes, for any H and W from 1.

    Internally the image is extended by reflection at the right and bottom, as crops are in training, to a multiple of
    the backbone's largest stride, so that all levels are aligned; the logits are cropped. If convolutions have no
    padding, it is extended on all sides, so that the logits still have its size (Ronneberger et al. 2015, figure 2).

    Args:
        backbone: image to pyramid.
        decoder: pyramid to one map.
        head: map to logits, at the decoder's stride.
        classes: K.
        aux: auxiliary heads, each on one level of the pyramid, or on a further map of the decoder.

    Attributes:
        classes: K.
        groups: what the K channels mean; `build.create` states it.
        in_channels: C.
        native_stride: stride of the logits before they are resized to the size of the image.
        align_corners: how they are resized; see `resize`.
        mirrored: whether the image is extended by reflection; otherwise its edge is repeated, for networks that would
            find mirrored objects too.
    """

    align_corners = False
    mirrored = True

    def __init__(
        self,
        backbone: Backbone,
        decoder: Decoder,
        head: Head,
        classes: int,
        aux: Sequence[AuxHead | SideOutput] = (),
    ) -> None:
        super().__init__()
        if backbone.valid and not decoder.margin:
            raise MaskwrightError(
                f"valid is true, but {type(decoder).__name__} does not crop the levels of a backbone without padding: "
                "set valid=false, or choose unet"
            )
        self.backbone = backbone
        self.decoder = decoder
        self.head = head
        self.aux = nn.ModuleList(aux)
        self.classes = classes
        self.groups = class_channels(classes)
        self.in_channels = backbone.in_channels
        self.native_stride = decoder.stride

    @property
    def auxiliary_count(self) -> int:
        """Number of auxiliary logits that `forward` returns after the main ones."""
        return len(self.aux)

    def forward(self, x: Tensor, *, with_aux: bool = False, upsample: bool = True) -> Tensor | tuple[Tensor, ...]:
        """Compute logits, returned as float32 whatever the internal precision.

        Args:
            x: images (N, C, H, W), floating point, normalised as in the training.
            with_aux: return a tuple of the logits and `auxiliary_count` auxiliary logits, all of the same shape.
            upsample: resize the logits to (N, K, H, W), bilinearly; otherwise all are
                (N, K, ceil(H / native_stride), ceil(W / native_stride)).

        Raises:
            MaskwrightError: `x` does not have four axes, has another number of channels, or integer values.
        """
        self._check(x)
        height, width = x.shape[2], x.shape[3]
        x = self._padded(x)
        with moving_statistics():
            main, others = self.scores(x, with_aux=with_aux)
        stride = 1 if upsample else self.native_stride
        lost = 2 * self.decoder.margin
        whole = ((x.shape[2] - lost) // stride, (x.shape[3] - lost) // stride)
        part = (-(-height // stride), -(-width // stride))
        resized = (resize(output.float(), whole, align_corners=self.align_corners) for output in (main, *others))
        logits = tuple(output[:, :, : part[0], : part[1]] for output in resized)
        return logits if with_aux else logits[0]

    def set_output_stride(self, output_stride: int) -> None:
        """Change the output stride of a built or trained network: the weights stay, dilations compensate.

        Chen et al. 2017, sections 4.1 and 4.3: train at 16, where it is fast, and predict at 8, where maps are finer.

        Raises:
            MaskwrightError: an invalid stride, or a network that cannot be changed.
        """
        self.decoder.adapt(self.backbone.reductions)  # raises, if it must, before anything has changed
        self.backbone.set_output_stride(output_stride)
        self.decoder.adapt(self.backbone.reductions)
        self.native_stride = self.decoder.stride

    def set_window(self, window: tuple[int, int] | None) -> None:
        """Let what averages over the whole image do so over a window of (height, width) pixels around each pixel.

        Args:
            window: in pixels of the image; None for the whole image.
        """
        stride = self.backbone.reductions[-1]  # of the level that all of them average
        for layer in self.modules():
            if isinstance(layer, Averaging):
                layer.window = None if window is None else (window[0] / stride, window[1] / stride)

    def try_output_stride(self, output_stride: int) -> None:
        """Check whether `set_output_stride` is possible later, without changing the network.

        Raises:
            MaskwrightError: it cannot.
        """
        # On a copy that shares the weights: it may be impossible to change the stride back.
        shared = {id(tensor): tensor for tensor in (*self.parameters(), *self.buffers())}
        copy.deepcopy(self, shared).set_output_stride(output_stride)

    def set_progress(self, progress: float) -> None:
        """Set the share of the training that is done, 0..1; called before each step."""
        self.head.set_progress(progress)

    def _check(self, x: Tensor) -> None:
        """Refuse anything but a batch of images for this network; see `forward`."""
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            cure = f"convert the images to {self.in_channels} channels"
            if x.ndim != 4:
                cure = "add the batch axis N, x[None]" if x.ndim == 3 else "give a batch of images, with four axes"
            raise MaskwrightError(
                f"the model takes images (N, {self.in_channels}, H, W), but got shape {tuple(x.shape)}: {cure}"
            )
        if not x.is_floating_point():
            raise MaskwrightError(
                f"the model takes floating-point images, normalised as in its training, but got {x.dtype}: use "
                "(x.float() - mean) / std, or pass arrays or files to maskwright.load(MODEL).predict"
            )

    def scores(self, x: Tensor, *, with_aux: bool) -> tuple[Tensor, list[Tensor]]:
        """Compute logits at the head's stride, before they are resized.

        Args:
            x: images (N, C, H, W), H and W sizes that the backbone divides.
            with_aux: compute the auxiliary logits too; otherwise their list is empty.

        Returns:
            logits (N, K, h, w), and the auxiliary logits (N, K, h', w'), each at its own stride.
        """
        features = self.backbone(x)
        found = self.decoder(features)
        maps, further = found if isinstance(found, tuple) else (found, [])
        main = self.head(maps)
        return main, [head([*features, *further]) for head in self.aux] if with_aux else []

    def levels(self, x: Tensor) -> list[Tensor]:
        """Return the backbone's pyramid for images (N, C, H, W) of any size, extended as `forward` extends them."""
        found: list[Tensor] = self.backbone(self._padded(x))
        return found

    def set_gradient_checkpointing(self, enable: bool) -> None:
        """Trade time for memory: recompute the backbone's activations in the backward pass. The result is the same."""
        self.backbone.set_gradient_checkpointing(enable)
        for layer in self.backbone.modules():
            if isinstance(layer, BatchNorm2d):
                layer.recomputed = enable

    def _padded(self, x: Tensor) -> Tensor:
        """Extend `x` (N, C, H, W) to a size that the backbone divides, plus the margin of the decoder."""
        margin = self.decoder.margin
        height, width = (self.backbone.fitted(length + 2 * margin) for length in x.shape[2:])
        if (height, width) == height_width(x):
            return x
        channels_last = x.is_contiguous(memory_format=torch.channels_last)
        if self.mirrored or margin:
            padded = mirror(x, (margin, margin), (height, width))
        else:
            padded = F.pad(x, (0, width - x.shape[3], 0, height - x.shape[2]), mode="replicate")
        return padded.contiguous(memory_format=torch.channels_last) if channels_last else padded
