"""Output stride chosen on a built network: strides become dilations, in place, and back. Knows no particular network.

Chen, Papandreou, Schroff, Adam 2017, "Rethinking Atrous Convolution for Semantic Image Segmentation", sections 3.1 and
3.2: a convolution that would shrink the map below the output stride keeps its size, and every convolution after it
is dilated by what was left out, so that each weight still sees the pixels that it was trained on.

Two customs differ in the first block of a dilated stage, whose stride was taken away:

- Yu, Koltun, Funkhouser 2017 ("Dilated Residual Networks"), torchvision's and timm's ResNets: it keeps the
  dilation before it, since its input is as fine as it was.
- DeepLab: it takes the stage's rate, and in the last stage every block takes that rate times its number in the
  multi-grid (section 3.2.1: rates 2 x (1, 2, 4) at output stride 16).

The strides are found by sending a small image through, so this works for any network whose strides lie in convolutions
of odd kernels; a pooling or a patch that would have to change shows in the shapes, and the caller refuses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

STRIDES = (4, 8, 16, 32)
PROBE = 2  # side of the trial image, in largest strides


@dataclass
class Site:
    """One convolution that looks around or steps, as it was built.

    Attributes:
        layer: the convolution.
        name: its path in the network.
        before, after: stride of its input and of its output against the image.
        dilation, padding: as built.
        block: number of its block in the last stage; 0 elsewhere.
    """

    layer: nn.Conv2d
    name: str
    before: int
    after: int
    dilation: tuple[int, ...]
    padding: tuple[int, ...]
    block: int = 0


def shapes_of(network: nn.Module, in_channels: int, side: int) -> list[tuple[int, ...]]:
    """Return the shape (C, h, w) of each level for an image of `side`; the network is left as it was."""
    training = network.training
    first = next(network.parameters(), torch.empty(0))
    image = torch.zeros(1, in_channels, side, side, device=first.device, dtype=first.dtype)
    try:
        with torch.no_grad():
            return [tuple(level.shape[1:]) for level in network.eval()(image)]
    finally:
        network.train(training)


def survey(network: nn.Module, in_channels: int, side: int) -> list[Site]:
    """List the convolutions of `network` with their strides, in the order in which they run."""
    sites: list[Site] = []

    def look(name: str, layer: nn.Conv2d, given: tuple[Tensor, ...], result: Tensor) -> None:
        before, after = (max(side // x.shape[2], 1) for x in (given[0], result))
        padding = layer.padding if isinstance(layer.padding, tuple) else (0, 0)
        sites.append(Site(layer, name, before, after, layer.dilation, padding))

    handles = [
        layer.register_forward_hook(lambda module, given, result, name=name: look(name, module, given, result))
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d) and (max(layer.kernel_size) > 1 or max(layer.stride) > 1)
    ]
    try:
        shapes_of(network, in_channels, side)
    finally:
        for handle in handles:
            handle.remove()
    _number_blocks(sites)
    return sites


def arrange(sites: Sequence[Site], output_stride: int, multi_grid: Sequence[int]) -> None:
    """Set stride, dilation and padding of every site.

    Args:
        sites: of `survey`.
        output_stride: largest stride.
        multi_grid: factor on the rate of each block of the last stage, from the first again where there are more
            blocks, by DeepLab's custom; empty for Yu's.
    """
    last = max((site.after for site in sites), default=1)
    for site in sites:
        before, after = min(site.before, output_stride), min(site.after, output_stride)
        rate = site.after // after if multi_grid else site.before // before
        if multi_grid and site.after == last:
            rate *= multi_grid[site.block % len(multi_grid)]
        site.layer.stride = (after // before, after // before)
        if max(site.layer.kernel_size) > 1:
            site.layer.dilation = tuple(one * rate for one in site.dilation)
            site.layer.padding = tuple(one * rate for one in site.padding)


def _number_blocks(sites: Sequence[Site]) -> None:
    """Number the blocks of the last stage: the first place where the paths part, if what stands there is a number."""
    last = max((site.after for site in sites), default=1)
    stage = [site for site in sites if site.after == last]
    paths = [site.name.split(".") for site in stage]
    shared = next((index for index, parts in enumerate(zip(*paths, strict=False)) if len(set(parts)) > 1), None)
    if shared is None or not all(path[shared].isdigit() for path in paths):
        return
    order = list(dict.fromkeys(path[shared] for path in paths))
    for site, path in zip(stage, paths, strict=True):
        site.block = order.index(path[shared])
