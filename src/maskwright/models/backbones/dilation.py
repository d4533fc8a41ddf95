"""Changes the output stride of a built network: strides become dilations, in place, and back. Knows no network.

Chen, Papandreou, Schroff, Adam 2017, "Rethinking Atrous Convolution for Semantic Image Segmentation", sections 3.1 and
3.2: a convolution that would shrink the map below the output stride keeps its size, and every convolution after it is
dilated by the omitted factor, so that each weight still sees the pixels that it was trained on.

There are two conventions for the first block of a dilated stage, whose stride was removed:

- Yu, Koltun, Funkhouser 2017 ("Dilated Residual Networks"), torchvision's and timm's ResNets: it keeps the previous
  dilation, because its input is as fine as before.
- DeepLab: it uses the rate of the stage, and in the last stage every block uses that rate times its number in the
  multi-grid (section 3.2.1: rates 2 x (1, 2, 4) at output stride 16).

The strides are found by passing a small image through, so this works for any network whose strides are in convolutions
with odd kernels. Even kernels (patches) that would have to change are refused; a pooling shows in the shapes, and the
caller refuses it. A convolution with TensorFlow's asymmetric padding places the finer grid differently (timm's `tf_`
networks, as with timm's own `output_stride`): there the points of the coarse map are not among those of the fine one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

STRIDES = (4, 8, 16, 32)
PROBE = 2  # side of the trial image, in multiples of the largest stride


@dataclass
class Site:
    """One convolution with a stride or a kernel larger than 1, as it was built.

    Attributes:
        layer: the convolution.
        name: its path in the network.
        before, after: stride of its input and of its output relative to the image.
        dilation, padding: as built.
        block: number of its block in the last stage, None if its name has none; 0 elsewhere.
    """

    layer: nn.Conv2d
    name: str
    before: int
    after: int
    dilation: tuple[int, ...]
    padding: tuple[int, ...]
    block: int | None = 0


class Unfit(ValueError):  # noqa: N818 - it describes the network
    """A network that cannot be dilated as requested: the message says why."""


def shapes_of(network: nn.Module, in_channels: int, side: int) -> list[tuple[int, ...]]:
    """Return the shape (C, h, w) of each level for an image of `side` x `side`; the network is unchanged afterwards."""
    training = network.training
    first = next(network.parameters(), torch.empty(0))
    image = torch.zeros(1, in_channels, side, side, device=first.device, dtype=first.dtype)
    try:
        with torch.no_grad():
            return [tuple(level.shape[1:]) for level in network.eval()(image)]
    finally:
        network.train(training)


def survey(network: nn.Module, in_channels: int, side: int) -> list[Site]:
    """List the convolutions of `network` with their strides, in the order in which they run.

    Raises:
        Unfit: a convolution pads by a rule instead of a number.
    """
    sites: list[Site] = []

    def look(name: str, layer: nn.Conv2d, given: tuple[Tensor, ...], result: Tensor) -> None:
        before, after = (max(side // x.shape[2], 1) for x in (given[0], result))
        if not isinstance(layer.padding, tuple):
            raise Unfit(f"{name} pads by the rule {layer.padding!r}")
        sites.append(Site(layer, name, before, after, layer.dilation, layer.padding))

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
        multi_grid: factor on the rate of each block of the last stage, repeated if there are more blocks, by DeepLab's
            convention; empty for Yu's.

    Raises:
        Unfit: a patch would have to change, or the multi-grid finds no blocks; nothing was changed.
    """
    last = max((site.after for site in sites), default=1)
    rates = [_rate(site, output_stride, multi_grid, in_last=site.after == last) for site in sites]
    for site, rate in zip(sites, rates, strict=True):
        step = min(site.after, output_stride) // min(site.before, output_stride)
        site.layer.stride = (step, step)
        if max(site.layer.kernel_size) > 1:
            site.layer.dilation = tuple(one * rate for one in site.dilation)
            site.layer.padding = tuple(one * rate for one in site.padding)


def _rate(site: Site, output_stride: int, multi_grid: Sequence[int], *, in_last: bool) -> int:
    """Return the factor on a site's dilation."""
    left_out_before, left_out = (step // min(step, output_stride) for step in (site.before, site.after))
    rate = left_out if multi_grid else left_out_before
    if in_last and max(multi_grid, default=1) > 1:
        if site.block is None:
            raise Unfit(f"its blocks have no numbers ({site.name})")
        rate *= multi_grid[site.block % len(multi_grid)]
    if (rate > 1 or left_out > left_out_before) and min(site.layer.kernel_size) % 2 == 0:
        raise Unfit(f"{site.name} reads patches, not pixels with their neighbours")
    return rate


def _number_blocks(sites: Sequence[Site]) -> None:
    """Number the blocks of the last stage by the numbers in their names where these differ: `4.1`, `s4.b2`, `5.2`.

    A bare number right before that place is the only block: `4.0.conv1` and `4.0.conv2` differ inside of it.
    """
    last = max((site.after for site in sites), default=1)
    stage = [site for site in sites if site.after == last]
    paths = [site.name.split(".") for site in stage]
    shared = next((index for index, parts in enumerate(zip(*paths, strict=False)) if len(set(parts)) > 1), None)
    if shared is None:
        return
    parts = [path[shared] for path in paths]
    if not all(part.isdigit() for part in parts) and shared and paths[0][shared - 1].isdigit():
        return
    known = all(re.search(r"\d$", part) for part in parts)
    keys = [_block(path, shared) for path in paths]
    order = list(dict.fromkeys(keys))
    for site, key in zip(stage, keys, strict=True):
        site.block = order.index(key) if known else None


def _block(path: list[str], start: int) -> tuple[str, ...]:
    """Return what names a block: the component at `start`, and the bare numbers after it."""
    end = start + 1
    while end < len(path) - 1 and path[end].isdigit():
        end += 1
    return tuple(path[start:end])
