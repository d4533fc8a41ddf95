"""The discriminator of adversarial training: a label map in, "true or predicted?" out, window by window.

Luc, Couprie, Chintala, Verbeek 2016, "Semantic Segmentation using Adversarial Networks": the four networks that they
compare on Pascal VOC, which differ in the window that one output sees (18x18 or 34x34 positions of the label map) and
in their channels, and the two-branch network for Stanford Background. ReLU after every layer except the last, 2x2 max
pooling between the groups, no normalisation:

    large-fov        3x3 96, 3x3 128, 3x3 128 | 3x3 256, 3x3 256 | 3x3 512, 3x3 output     window 34x34
    small-fov        3x3 96, 1x1 128          | 3x3 256, 1x1 256 | 3x3 512, 1x1 output     window 18x18
    ...-light        as above with 128 channels in the second group and 256 in the third
    two-branch       labels: 5x5 64; image: 5x5 16, 5x5 64; concatenated:
                     3x3 128                  | 3x3 256          | 3x3 512, 3x3 output     window 30x30

Where we differ: one logit instead of two, which is equivalent for two answers; an odd side is pooled with the pixels
that exist (a map of one position still gets an output); all channels can be scaled; the image has the size of the label
map, so its branch does not pool. Knows no loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from maskwright.models.layers.blocks import initialise

if TYPE_CHECKING:
    from torch import Tensor

    from maskwright.core.plan import DiscriminatorInput, DiscriminatorName

Groups = tuple[tuple[tuple[int, int], ...], ...]

PAPER_WIDTH = 96
NETWORKS: dict[DiscriminatorName, Groups] = {
    "large-fov": (((3, 96), (3, 128), (3, 128)), ((3, 256), (3, 256)), ((3, 512), (3, 1))),
    "large-fov-light": (((3, 96), (3, 128), (3, 128)), ((3, 128), (3, 128)), ((3, 256), (3, 1))),
    "small-fov": (((3, 96), (1, 128)), ((3, 256), (1, 256)), ((3, 512), (1, 1))),
    "small-fov-light": (((3, 96), (1, 128)), ((3, 128), (1, 128)), ((3, 256), (1, 1))),
    "two-branch": (((3, 128),), ((3, 256),), ((3, 512), (3, 1))),
}
"""Kernel and channels of each convolution; a pooling between two groups."""
LABEL_BRANCH, IMAGE_BRANCH = ((5, 64),), ((5, 16), (5, 64))


class Discriminator(nn.Module):
    """Label maps (N, K, h, w), images (N, C, h, w) to logits (N, 1, ceil(h / 4), ceil(w / 4)) of being true.

    Args:
        name: in `NETWORKS`.
        classes: K.
        channels: C.
        width: scales all channels; 96 gives those of the paper.
        shown: its input: `labels` only (the paper's Basic), or the `product` of every label channel with every image
            channel (its Product). The two-branch network also sees the image itself.

    Attributes:
        looks: whether it uses the images at all.
    """

    def __init__(
        self, name: DiscriminatorName, classes: int, channels: int, width: int, shown: DiscriminatorInput
    ) -> None:
        super().__init__()
        self.shown, branches = shown, name == "two-branch"
        self.looks = branches or shown == "product"
        self.image, self.labels = nn.Sequential(), nn.Sequential()
        inputs = classes * channels if shown == "product" else classes
        if branches:
            self.labels, labels = _stack((LABEL_BRANCH,), inputs, width)
            self.image, images = _stack((IMAGE_BRANCH,), channels, width)
            inputs = labels + images
        layers, _ = _stack(NETWORKS[name], inputs, width)
        self.layers = layers[:-1]
        initialise(self)

    def forward(self, labels: Tensor, images: Tensor) -> Tensor:
        """Return a logit (N, 1, ceil(h / 4), ceil(w / 4)) for each 4x4 block: above 0 means "true"."""
        if self.shown == "product":
            labels = (labels[:, :, None] * images[:, None]).flatten(1, 2)
        labels = self.labels(labels)
        if len(self.image):
            labels = torch.cat([labels, self.image(images)], 1)
        return cast("Tensor", self.layers(labels))


def _stack(groups: Groups, inputs: int, width: int) -> tuple[nn.Sequential, int]:
    """Build groups of convolutions with ReLU, with a pooling between groups; return them and their output channels."""
    layers: list[nn.Module] = []
    for number, group in enumerate(groups):
        if number:
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        for kernel, paper in group:
            outputs = 1 if paper == 1 else max(round(paper * width / PAPER_WIDTH), 1)
            layers += [nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.ReLU(inplace=True)]
            inputs = outputs
    return nn.Sequential(*layers), inputs
