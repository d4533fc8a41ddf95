"""The output stride is changed on a built network: the dilations of the papers, and the weights see what they saw."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import torch
from tests.models.smallest import smallest
from torch import nn

from maskwright import models
from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones import find_backbone
from maskwright.models.backbones.dilation import shapes_of
from maskwright.models.segmenter import Decoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from maskwright.models.backbones.base import Backbone

    Build = Callable[..., models.Segmenter]


SMALL_MIT = {"widths": (4, 6, 8, 10), "depths": (1, 1, 1, 1), "heads": (1, 1, 2, 2)}


def rates(backbone: Backbone, stage: str) -> list[int]:
    """List the dilations of a stage's 3x3 convolutions, in order."""
    return [
        layer.dilation[0]
        for name, layer in backbone.named_modules()
        if stage in name and isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3)
    ]


def test_the_multi_grid_is_that_of_the_paper() -> None:
    """Chen et al. 2017, section 3.2.1: at output stride 16 the rates are 2 x (1, 2, 4) = (2, 4, 8)."""
    backbone = find_backbone("resnet50").builder(3, output_stride=16, multi_grid=(1, 2, 4))
    assert rates(backbone, "layer4") == [2, 4, 8]
    assert rates(backbone, "layer3") == [1] * 6
    backbone.set_output_stride(8)
    assert rates(backbone, "layer4") == [4, 8, 16]
    assert rates(backbone, "layer3") == [2] * 6
    assert backbone.reductions == (2, 4, 8, 8, 8)
    backbone.set_output_stride(32, ())
    assert rates(backbone, "layer3") + rates(backbone, "layer4") == [1] * 9
    assert backbone.reductions == (2, 4, 8, 16, 32)


def test_fewer_blocks_use_the_first_factors_and_more_start_anew(small: Build) -> None:
    assert rates(small(depths=(1, 1, 1, 4), output_stride=16, multi_grid=(1, 2, 4)).backbone, "stages.3") == [
        *[2, 2],
        *[4, 4],
        *[8, 8],
        *[2, 2],
    ]
    assert rates(small(output_stride=16, multi_grid=(1, 2, 4)).backbone, "stages.3") == [2, 2]


@pytest.mark.parametrize(
    ("name", "stage", "expected"),
    [
        ("regnety_004", "s4", [2, 4, 8, 2, 4, 8]),
        # Two stages of its own are one here, as the last of them has no stride: five blocks.
        ("efficientnet_b0", "blocks.5", [2, 4, 8, 2]),
        ("efficientnet_b0", "blocks.6", [4]),
    ],
)
def test_the_multi_grid_goes_by_blocks_whatever_their_names(name: str, stage: str, expected: list[int]) -> None:
    backbone = find_backbone(name).builder(3, output_stride=16, multi_grid=(1, 2, 4))
    found = [
        layer.dilation[0]
        for path, layer in backbone.named_modules()
        if f"{stage}." in path and isinstance(layer, nn.Conv2d) and layer.kernel_size[0] > 1
    ]
    assert found == expected


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        (
            "timm:darknet17",
            {"multi_grid": (1, 2)},
            r"multi_grid \[1, 2\], because its blocks have no numbers .*multi_grid=\[\] ",
        ),
        ("timm:pvt_v2_b0", {}, "cannot run at output stride 8: set output_stride=32"),
    ],
)
def test_a_backbone_that_would_be_changed_wrongly_is_refused(
    name: str, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(MaskwrightError, match=message):
        find_backbone(name).builder(3, output_stride=8, **settings)


@pytest.mark.parametrize("name", ["resnet18", "resnet26", "mobilenetv3_large_100", "efficientnet_b0", "regnety_004"])
def test_without_a_multi_grid_the_dilations_are_timms(name: str) -> None:
    timm = pytest.importorskip("timm")
    judge = timm.create_model(name, features_only=True, output_stride=8)
    ours = find_backbone(name).builder(3, output_stride=8)
    theirs = [layer for layer in judge.modules() if isinstance(layer, nn.Conv2d)]
    mine = [layer for layer in ours.modules() if isinstance(layer, nn.Conv2d)]
    for one, other in zip(mine, theirs, strict=True):
        seen = one.stride, one.padding, one.dilation if max(one.kernel_size) > 1 else None
        assert seen == (other.stride, other.padding, other.dilation if max(one.kernel_size) > 1 else None)


def test_a_dilated_network_gives_the_coarse_one_in_between(small: Build) -> None:
    """The fine grid holds the coarse one's values at every second place: dilation leaves out what the stride did."""
    backbone = small(depths=(1, 1, 2, 2)).backbone.eval()
    image = torch.randn(1, 3, 128, 96)
    coarse = backbone(image)
    backbone.set_output_stride(8)
    fine = backbone(image)
    torch.testing.assert_close(fine[-1][:, :, ::4, ::4], coarse[-1])
    torch.testing.assert_close(fine[-2][:, :, ::2, ::2], coarse[-2])
    backbone.set_output_stride(32)
    assert torch.equal(backbone(image)[-1], coarse[-1])


@pytest.mark.parametrize("name", ["deeplabv3", "deeplabv3plus", "fcn", "pspnet"])
def test_trained_at_16_and_predicting_at_8_is_the_network_built_at_8(small: Build, name: str) -> None:
    width = {"width": 6} if name.startswith("deeplab") else {}
    trained = small(name, output_stride=16, **width).eval()
    built = small(name, output_stride=8, **width).eval()
    built.load_state_dict(trained.state_dict())
    image = torch.randn(1, 3, 65, 90)
    before = trained(image)
    trained.set_output_stride(8)
    assert torch.equal(trained(image), built(image))
    assert trained.native_stride == built.native_stride
    assert trained(image, upsample=False).shape == built(image, upsample=False).shape
    assert not torch.equal(trained(image), before)
    trained.set_output_stride(16)
    assert torch.equal(trained(image), before)


def test_the_rates_of_the_pyramid_are_doubled_at_8(small: Build) -> None:
    """Chen et al. 2017, section 3.3: "the rates are doubled when output stride = 8"."""
    model = small("deeplabv3", width=4)
    branches = model.decoder.pooling.branches
    assert [branch[0].dilation[0] for branch in branches[1:]] == [6, 12, 18]
    model.set_output_stride(8)
    assert [branch[0].dilation[0] for branch in branches[1:]] == [12, 24, 36]


@pytest.mark.parametrize(
    ("name", "stride", "message"),
    [
        ("swiftnet", 8, r"its decoder is built for the strides 2, 4, 8, 16, 32 of .*: leave `output_stride`"),
        ("unet", 16, "its decoder is built for the strides"),
        ("fcn", 5, r"output_stride is 5 and multi_grid \[\]: output_stride must be one of 4, 8, 16, 32"),
    ],
)
def test_what_cannot_be_changed_says_so_and_stays(small: Build, name: str, stride: int, message: str) -> None:
    model = small(name).eval()
    image = torch.randn(1, 3, 40, 40)
    before = model(image)
    with pytest.raises(MaskwrightError, match=message):
        model.set_output_stride(stride)
    assert torch.equal(model(image), before)


def test_those_that_can_be_changed_are_named(small: Build) -> None:
    with pytest.raises(MaskwrightError, match="can change it") as refused:
        small("swiftnet").set_output_stride(8)
    listed = str(refused.value).partition("; only ")[2].partition(", whose")[0]
    named = set(re.findall(r"[a-z0-9_+]+", listed)) - {"and"}
    able = {name for name in models.MODELS if _can_be_changed(name)}
    assert named == able


def _can_be_changed(name: str) -> bool:
    with torch.device("meta"):
        model = models.create(name, 2, **smallest(name))
    return type(model.decoder).adapt is not Decoder.adapt


def test_trying_a_stride_changes_nothing(small: Build) -> None:
    model = small("fcn", output_stride=16).eval()
    image = torch.randn(1, 3, 40, 40)
    before = model(image)
    model.try_output_stride(8)
    assert torch.equal(model(image), before)
    with pytest.raises(MaskwrightError, match=r"leave `output_stride` out"):
        small("unet").try_output_stride(8)


def test_a_stride_can_be_tried_where_there_is_no_way_back(small: Build) -> None:
    """A network whose own largest stride is outside the rule can be brought to 8, and not back to 64."""
    model = small("fcn", output_stride=32)
    model.backbone.reductions = (*model.backbone.reductions[:-1], 64)
    weights = {name: tensor.data_ptr() for name, tensor in model.state_dict().items()}
    model.try_output_stride(8)
    assert model.backbone.reductions[-1] == 64
    assert {name: tensor.data_ptr() for name, tensor in model.state_dict().items()} == weights


@pytest.mark.parametrize(
    ("name", "built_at", "why"),
    [
        ("timm:test_resnet", 32, "not all of its strides are in convolutions"),
        ("timm:test_convnext", 16, "its stride is built in"),
    ],
)
def test_strides_outside_convolutions_are_refused_and_nothing_changes(name: str, built_at: int, why: str) -> None:
    """One average-pools in its shortcuts, the other steps by even kernels; timm can build either at a stride once."""
    model = models.create("fcn", 2, 3, name, output_stride=built_at).eval()
    assert model.native_stride == built_at
    image = torch.randn(1, 3, 64, 64)
    before = model(image)
    with pytest.raises(MaskwrightError, match=f"{why}: set output_stride={built_at}, or"):
        model.set_output_stride(8)
    assert torch.equal(model(image), before)
    assert model.backbone.reductions[-1] == built_at


SETTLED: list[tuple[str, dict[str, object], int]] = [
    ("patches", {"patch": 4}, 4),
    ("vgg16", {"width_factor": 1 / 16, "output_stride": 8}, 8),
    ("timm:test_vit", {"output_stride": 16}, 16),
    ("mobilenet_v3_large", {"output_stride": 16}, 16),
    ("timm:test_convnext", {"output_stride": 16}, 16),
]


@pytest.mark.parametrize(("name", "options", "own"), SETTLED)
def test_what_was_built_for_one_stride_keeps_it_and_refuses_others(
    name: str, options: dict[str, object], own: int
) -> None:
    backbone = find_backbone(name).builder(3, **options)
    backbone.set_output_stride(own)
    assert backbone.reductions[-1] == own
    other = 2 * own
    with pytest.raises(
        MaskwrightError, match=f"output stride of this backbone cannot be {other}, because its stride is built in"
    ):
        backbone.set_output_stride(other)


def test_a_network_without_weights_can_be_tried_out() -> None:
    assert shapes_of(find_backbone("patches").builder(3, patch=4), 3, 8) == [(48, 2, 2)]


@pytest.mark.parametrize("name", ["fcn", "pspnet", "deeplabv3", "deeplabv3plus", "lraspp", "deeplabv1", "deeplabv2"])
def test_a_backbone_that_cannot_have_the_papers_stride_is_refused(name: str) -> None:
    """Better no network than one that sees another stride than its paper's, and says nothing."""
    with pytest.raises(
        MaskwrightError, match=r"output stride of this backbone cannot be (8|16), .*set output_stride=32"
    ):
        models.create(name, 2, 3, "mit", **SMALL_MIT)
    coarse = models.create(name, 2, 3, "mit", output_stride=32, **SMALL_MIT)
    assert coarse.backbone.reductions == (4, 8, 16, 32)
    with pytest.raises(MaskwrightError, match="output_stride is 5"):
        models.create(name, 2, 3, "mit", output_stride=5, **SMALL_MIT)


def test_a_backbone_as_fine_as_asked_for_is_taken_as_it_is() -> None:
    assert models.create("fcn", 2, 3, "patches", patch=4).native_stride == 4
