"""PSPNet, DeepLabV3+ and FPN written down a second time from the papers, over the levels of the same backbone.

Convolutions are sums of shifted maps, norms are spelt out, and weights are looked up by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from tests.models.references import close, continued, shaken
from torch.nn import functional as F

from maskwright import models

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Drawing = Callable[["ByHand", list[Tensor]], Tensor]

BACKBONE = "timm:resnet10t"


class ByHand:
    """The layers of a network, by the names of their weights and in double precision."""

    def __init__(self, model: models.Segmenter) -> None:
        self.state = {name: tensor.double() for name, tensor in model.state_dict().items()}

    def convolution(self, x: Tensor, name: str, rate: int = 1) -> Tensor:
        weight, (height, width) = self.state[f"{name}.weight"], x.shape[2:]
        side, depthwise = weight.shape[2], weight.shape[1] < x.shape[1]
        x = F.pad(x, (side // 2 * rate,) * 4)
        total = torch.zeros(1, len(weight), height, width, dtype=x.dtype)
        for row in range(side):
            for column in range(side):
                moved = x[:, :, row * rate : row * rate + height, column * rate : column * rate + width]
                tap = weight[:, :, row, column]
                total += moved * tap[..., None] if depthwise else torch.einsum("oi,nihw->nohw", tap, moved)
        return total + self.state[f"{name}.bias"][:, None, None] if f"{name}.bias" in self.state else total

    def unit(self, x: Tensor, name: str, rate: int = 1) -> Tensor:
        """Convolution, batch norm, ReLU."""
        scale = self.state[f"{name}.1.weight"] / (self.state[f"{name}.1.running_var"] + 1e-5).sqrt()
        shift = self.state[f"{name}.1.bias"] - self.state[f"{name}.1.running_mean"] * scale
        return (self.convolution(x, f"{name}.0", rate) * scale[:, None, None] + shift[:, None, None]).clamp_min(0)

    def separable(self, x: Tensor, name: str, rate: int = 1) -> Tensor:
        """Depthwise, then pointwise, each with norm and ReLU (Chen et al. 2018, section 4)."""
        return self.unit(self.unit(x, f"{name}.0", rate), f"{name}.1")

    def grouped(self, x: Tensor, name: str) -> Tensor:
        """Normalise each four channels of one image together, as 32 groups of 128 do; then ReLU."""
        groups = x.unflatten(1, (-1, 4))
        centred = groups - groups.mean((2, 3, 4), keepdim=True)
        x = (centred / (centred.square().mean((2, 3, 4), keepdim=True) + 1e-5).sqrt()).flatten(1, 2)
        scale, shift = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        return (x * scale[:, None, None] + shift[:, None, None]).clamp_min(0)


def enlarged(x: Tensor, size: torch.Size, *, align_corners: bool = False) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=align_corners)


@torch.no_grad()
def agrees(model: models.Segmenter, drawing: Drawing, sizes: list[tuple[int, int]], step: int = 32) -> None:
    """Compare the logits on images of some sizes, continued to a multiple of `step`, the backbone's stride."""
    hand = ByHand(model)
    for size in sizes:
        image = torch.randn(1, 3, *size)
        whole = continued(image, step)
        logits = hand.convolution(drawing(hand, [level.double() for level in model.backbone(whole)]), "head.1")
        expected = enlarged(logits, whole.shape[2:], align_corners=model.align_corners)
        close(model(image), expected[:, :, : size[0], : size[1]].float())


@pytest.mark.parametrize("align_corners", [False, True])
def test_pspnet_is_what_the_paper_draws(align_corners: bool) -> None:
    """Zhao et al. 2017, figure 3, by loops over cells."""

    def drawing(hand: ByHand, levels: list[Tensor]) -> Tensor:
        level = levels[-1]
        height, width = level.shape[2:]
        parts = [level]
        for place, cells in enumerate((1, 2, 3, 6)):
            grid = torch.zeros(1, level.shape[1], cells, cells, dtype=torch.double)
            for row in range(cells):
                for column in range(cells):
                    rows = slice(row * height // cells, -(-(row + 1) * height // cells))
                    columns = slice(column * width // cells, -(-(column + 1) * width // cells))
                    grid[:, :, row, column] = level[:, :, rows, columns].mean((2, 3))
            pooled = hand.unit(grid, f"decoder.pooling.branches.{place}")
            parts.append(enlarged(pooled, level.shape[2:], align_corners=align_corners))
        return hand.unit(torch.cat(parts, dim=1), "decoder.block")

    model = models.create("pspnet", 3, 3, BACKBONE, output_stride=32, align_corners=align_corners)
    agrees(shaken(model), drawing, [(192, 256), (64, 96)])


def test_deeplabv3plus_is_what_the_paper_draws() -> None:
    """Chen et al. 2018, figure 2 and section 4, at stride 16: rates 6, 12, 18; 48 channels of stride 4; twice 3x3."""

    def drawing(hand: ByHand, levels: list[Tensor]) -> Tensor:
        _, low, _, _, last = levels
        parts = [hand.unit(last, "decoder.pooling.branches.0")]
        for place, rate in enumerate((6, 12, 18), start=1):
            parts.append(hand.separable(last, f"decoder.pooling.branches.{place}", rate))
        image = hand.unit(last.mean((2, 3), keepdim=True), "decoder.pooling.image")
        parts.append(image.repeat(1, 1, *last.shape[2:]))
        context = hand.unit(torch.cat(parts, dim=1), "decoder.pooling.project")
        low = hand.unit(low, "decoder.reduce")
        assert low.shape[1] == 48
        x = torch.cat([enlarged(context, low.shape[2:]), low], dim=1)
        return hand.separable(hand.separable(x, "decoder.blend.0"), "decoder.blend.1")

    # 20 cells and more, so that rate 18 finds some within the map.
    agrees(shaken(models.create("deeplabv3plus", 3, 3, BACKBONE)), drawing, [(320, 352), (333, 257)], 16)


@pytest.mark.parametrize("options", [{}, {"width": 256, "branch_width": 128}])
def test_fpn_is_what_the_papers_draw(options: dict[str, int]) -> None:
    """Lin et al. 2017, figure 3, under Kirillov et al. 2019, figure 3: from stride 32 three doublings, from 4 none."""

    def drawing(hand: ByHand, levels: list[Tensor]) -> Tensor:
        finest = levels[1]
        above = total = torch.zeros((), dtype=torch.double)
        for place in (3, 2, 1, 0):
            merged = hand.convolution(levels[place + 1], f"decoder.laterals.{place}")
            if place < 3:
                merged = merged + above.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
            above, x = merged, hand.convolution(merged, f"decoder.smooths.{place}")
            for step in range(max(place, 1)):
                name = f"decoder.climbs.{place}"
                x = hand.grouped(hand.convolution(x, f"{name}.{4 * step}"), f"{name}.{4 * step + 1}")
                x = enlarged(x, torch.Size([side * 2 for side in x.shape[2:]])) if place else x
            assert x.shape[2:] == finest.shape[2:]
            total = total + x
        return total

    agrees(shaken(models.create("fpn", 3, 3, BACKBONE, **options)), drawing, [(96, 128), (77, 45)])
