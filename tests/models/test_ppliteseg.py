"""PP-LiteSeg and STDC: figures of the papers, and the parts by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from maskwright import models
from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones import stdc
from maskwright.models.cost import count
from maskwright.models.decoders.ppliteseg import AttentionFusion, SimplePooling

if TYPE_CHECKING:
    from collections.abc import Callable

    Build = Callable[..., models.Segmenter]


class _Classifier(nn.Module):
    """The authors' ImageNet classifier over STDC: a 1x1 block, an average, two fully connected layers."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.last = nn.Sequential(nn.Conv2d(1024, 1024, 1, bias=False), nn.BatchNorm2d(1024))
        self.fully = nn.Sequential(
            nn.Linear(1024, 1024, bias=False), nn.BatchNorm1d(1024), nn.Linear(1024, 1000, False)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fully(self.last(self.backbone(x)[-1]).mean((2, 3)))


@pytest.mark.parametrize(("repeats", "millions", "mega"), [((2, 2, 2), 8.44, 813), ((4, 5, 3), 12.47, 1446)])
def test_stdc_has_the_size_of_its_paper(repeats: tuple[int, ...], millions: float, mega: int) -> None:
    """Fan et al. 2021: parameters, and multiply-adds at 224x224; their counter adds norms and poolings."""
    with torch.device("meta"):
        cost = count(_Classifier(stdc.build(3, repeats=repeats)), side=224)
    assert round(cost.parameters / 1e6, 2) == millions
    assert cost.multiply_adds / 1e6 == pytest.approx(mega, rel=0.01)


def test_stdc_has_the_levels_of_its_paper() -> None:
    """Fan et al. 2021: strides 2 to 32 with 32, 64, 256, 512 and 1024 channels."""
    backbone = stdc.build(3)
    assert (backbone.reductions, backbone.channels) == ((2, 4, 8, 16, 32), (32, 64, 256, 512, 1024))
    small = stdc.build(2, base=2)
    levels = small(torch.randn(2, 2, 64, 32))
    assert [tuple(level.shape[1:]) for level in levels] == [
        (channels, 64 // step, 32 // step) for channels, step in zip(small.channels, small.reductions, strict=True)
    ]


def test_the_decoder_has_the_channels_of_its_paper() -> None:
    """Peng et al. 2022, section 3.4 (table 1): PP-LiteSeg-T has 128, 64 and 32 channels in its decoder."""
    with torch.device("meta"):
        model = models.create("ppliteseg", 19)
    assert model.native_stride == 8
    fusions = [
        (f.lateral[0].in_channels, f.lateral[0].out_channels, f.blend[0].out_channels) for f in model.decoder.fusions
    ]
    assert fusions == [(1024, 128, 128), (512, 128, 64), (256, 64, 32)]
    assert [(head.level, head.block[0].in_channels) for head in model.aux] == [(5, 128), (6, 64)]


def test_auxiliary_heads_read_what_the_fusions_give(small: Build) -> None:
    model = small("ppliteseg", channels=(4, 8, 12)).eval()
    features = model.backbone(torch.randn(1, 3, 64, 64))
    number = len(features)
    _, further = model.decoder(features)
    assert len(features) == number
    assert [tuple(level.shape[1:]) for level in further] == [(12, 2, 2), (8, 4, 4)]
    outputs = model(torch.randn(2, 3, 40, 33), with_aux=True)
    assert len(outputs) == 3


def test_fusion_blends_by_share() -> None:
    fusion = AttentionFusion(3, 2, 2).eval()
    level, below = torch.randn(1, 3, 4, 4), torch.randn(1, 2, 2, 2)
    low, up = fusion.lateral(level), F.interpolate(below, size=(4, 4), mode="bilinear")
    for bias, expected in [(50.0, up), (-50.0, low)]:
        nn.init.constant_(fusion.attention[1][1].bias, bias)
        nn.init.zeros_(fusion.attention[1][1].weight)
        torch.testing.assert_close(fusion(level, below), fusion.blend(expected))


def test_pooling_sums_its_grids() -> None:
    pooling = SimplePooling(3, 2, (1, 2)).eval()
    x = torch.randn(1, 3, 6, 4)
    whole = pooling.branches[0](x.mean((2, 3), keepdim=True)).expand(-1, -1, 6, 4)
    quarters = pooling.branches[1](F.adaptive_avg_pool2d(x, 2))
    expected = pooling.refine(whole + F.interpolate(quarters, size=(6, 4), mode="bilinear"))
    torch.testing.assert_close(pooling(x), expected)


def test_over_its_own_backbone_at_any_size() -> None:
    model = models.create("ppliteseg", 3, 7, base=8, repeats=(1, 1, 1), channels=(8, 12)).train()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.bias, 0.1, 0.5)  # so that no ReLU of the narrow layers is shut for every pixel
    for size in [(1, 1), (65, 33)]:
        assert model(torch.randn(1, 7, *size)).shape == (1, 3, *size)
    model.set_gradient_checkpointing(enable=True)
    sum(output.square().sum() for output in model(torch.randn(4, 7, 64, 96), with_aux=True)).backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()] == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": []}, r"ppliteseg: channels \[\] and grids \[1, 2, 4\] must be 1 or more each"),
        ({"grids": [0]}, r"grids \[0\] must be 1 or more"),
        ({"base": 3}, "base is 3, but must be an even number"),
        ({"repeats": [2, 0]}, r"repeats \[2, 0\] must be 1 or more each"),
    ],
)
def test_an_option_outside_its_rule_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(MaskwrightError, match=message):
        models.create("ppliteseg", 2, **settings)
