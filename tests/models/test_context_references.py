"""FCN, DeepLabV3, DeepLabV3+ and PSPNet with another implementation's weights give that implementation's logits.

The tables of names are plain data: prefix there -> prefix here, the longest that fits wins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.models.references import close, continued, shaken, smp_only
from torch import nn

from maskwright import models

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

SIZES = [(64, 48), (48, 80)]
ODD = (333, 257)

FCN = {
    "backbone.": "backbone.network.",
    "classifier.0.": "decoder.block.0.",
    "classifier.1.": "decoder.block.1.",
    "classifier.4.": "head.1.",
}
AUX = {
    "aux_classifier.0.": "aux.0.block.0.",
    "aux_classifier.1.": "aux.0.block.1.",
    "aux_classifier.4.": "aux.0.classifier.1.",
}
# ASPP of torchvision and of segmentation_models.pytorch: the last of `convs` is the average over the image.
ASPP = {f"convs.{branch}.{layer}.": f"branches.{branch}.{layer}." for branch in range(4) for layer in (0, 1)}
ASPP |= {f"convs.4.{layer + 1}.": f"image.{layer}." for layer in (0, 1)}
ASPP |= {f"project.{layer}.": f"project.{layer}." for layer in (0, 1)}
DEEPLABV3 = {
    **{f"classifier.0.{theirs}": f"decoder.pooling.{ours}" for theirs, ours in ASPP.items()},
    "backbone.": "backbone.network.",
    "classifier.1.": "decoder.refine.0.",
    "classifier.2.": "decoder.refine.1.",
    "classifier.4.": "head.1.",
}
SMP_DEEPLABV3 = {
    **{f"decoder.aspp.{theirs}": f"decoder.pooling.{ours}" for theirs, ours in ASPP.items()},
    "decoder.conv.": "decoder.refine.0.",
    "decoder.bn.": "decoder.refine.1.",
    "encoder.": "backbone.network.",
    "segmentation_head.0.": "head.1.",
}
# A separable convolution there is (depthwise, pointwise), then norm; here ((depthwise), (pointwise, norm)).
SEPARABLE = {"0.0.": "0.0.", "0.1.": "1.0.", "1.": "1.1."}
SMP_PLUS = {
    **{f"decoder.aspp.0.{theirs}": f"decoder.pooling.{ours}" for theirs, ours in ASPP.items()},
    **{
        f"decoder.aspp.0.convs.{n}.{a}": f"decoder.pooling.branches.{n}.{b}"
        for n in (1, 2, 3)
        for a, b in SEPARABLE.items()
    },
    "decoder.aspp.1.0.": "decoder.refine.0.0.",
    "decoder.aspp.1.1.": "decoder.refine.1.0.",
    "decoder.aspp.2.": "decoder.refine.1.1.",
    "decoder.block1.": "decoder.reduce.",
    **{f"decoder.block2.{a}": f"decoder.blend.0.{b}" for a, b in SEPARABLE.items()},
    "encoder.": "backbone.network.",
    "segmentation_head.0.": "head.1.",
}


def renamed(tensors: Mapping[str, Tensor], table: Mapping[str, str]) -> dict[str, Tensor]:
    """Rename by the longest prefix that fits; a name that none fits is an error."""
    found = {}
    for name, tensor in tensors.items():
        theirs = max((prefix for prefix in table if name.startswith(prefix)), key=len)
        found[table[theirs] + name.removeprefix(theirs)] = tensor
    assert len(found) == len(tensors)
    return found


def mobilenet_names(names: Mapping[str, Tensor]) -> dict[str, str]:
    """Return torchvision's MobileNetV3-Large names -> timm's: the blocks counted through there, by stage here."""
    table = {"backbone.0.0.": "conv_stem.", "backbone.0.1.": "bn1."}
    table |= {"backbone.16.0.": "blocks.6.0.conv.", "backbone.16.1.": "blocks.6.0.bn1."}
    places = [(stage, block) for stage, count in enumerate((1, 2, 3, 4, 2, 3)) for block in range(count)]
    for index, (stage, block) in enumerate(places, start=1):
        there, here = f"backbone.{index}.block.", f"blocks.{stage}.{block}."
        squeezing = {name.split(".")[3] for name in names if name.startswith(there) and ".fc1." in name}
        parts = sorted({int(name.split(".")[3]) for name in names if name.startswith(there)})
        parts = [part for part in parts if str(part) not in squeezing]
        units = ["conv_dw bn1", "conv_pw bn2"] if len(parts) == 2 else ["conv_pw bn1", "conv_dw bn2", "conv_pwl bn3"]
        for part, unit in zip(parts, units, strict=True):
            convolution, norm = unit.split()
            table |= {f"{there}{part}.0.": f"{here}{convolution}.", f"{there}{part}.1.": f"{here}{norm}."}
        for part in squeezing:
            table |= {f"{there}{part}.fc1.": f"{here}se.conv_reduce.", f"{there}{part}.fc2.": f"{here}se.conv_expand."}
    return {theirs: f"backbone.network.{ours}" for theirs, ours in table.items()}


@pytest.fixture(autouse=True)
def _quick_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw a few numbers and repeat them: the start of networks of 50 million weights would take most of the time."""
    pool = torch.randn(100_003)

    def draw(weight: Tensor, *_args: Any, **_settings: Any) -> Tensor:
        spread = (2 / weight[0].numel()) ** 0.5
        with torch.no_grad():
            return weight.copy_(
                (pool * spread).repeat(weight.numel() // len(pool) + 1)[: weight.numel()].view_as(weight)
            )

    monkeypatch.setattr(nn.init, "kaiming_normal_", draw)
    monkeypatch.setattr(nn.init, "kaiming_uniform_", draw)


@torch.no_grad()
def agree(
    ours: Callable[[Tensor], Tensor], theirs: Callable[[Tensor], Tensor], sizes: Any = SIZES, step: int = 1
) -> None:
    """Compare the logits of images of some sizes, continued for the other implementation to a multiple of `step`."""
    for height, width in sizes:
        image = torch.randn(1, 3, height, width)
        close(ours(image), theirs(continued(image, step))[:, :, :height, :width])


def torchvisions(name: str, **settings: Any) -> nn.Module:
    zoo = pytest.importorskip("torchvision").models.segmentation
    return shaken(getattr(zoo, name)(weights=None, weights_backbone=None, num_classes=4, **settings))


def smps(name: str, encoder: str = "resnet18", **settings: Any) -> nn.Module:
    smp = pytest.importorskip("segmentation_models_pytorch", reason="the judge is only in the extra `bench`")
    return shaken(getattr(smp, name)(encoder, encoder_weights=None, classes=2, **settings))


@pytest.mark.parametrize("depth", [50, 101])
@pytest.mark.parametrize(
    ("name", "table", "options"),
    [("fcn", FCN, {}), ("deeplabv3", DEEPLABV3, {"multi_grid": (), "refine": True, "output_stride": 8})],
)
def test_residual_networks_of_torchvision(
    name: str, table: dict[str, str], options: dict[str, Any], depth: int
) -> None:
    reference = torchvisions(f"{name}_resnet{depth}", aux_loss=True)
    ours = models.create(name, 4, 3, f"resnet{depth}", auxiliary=True, **options).eval()
    ours.load_state_dict(renamed(reference.state_dict(), {**AUX, **table}))
    agree(ours, lambda image: reference(image)["out"])
    if depth == 50:
        agree(ours, lambda image: reference(image)["out"], [(101, 77)], 8)
        agree(lambda image: ours(image, with_aux=True)[1], lambda image: reference(image)["aux"], SIZES[:1])


def test_fcn_of_torchvision_on_a_large_odd_image() -> None:
    """Over a smaller network at stride 32, as the published one takes seconds for it."""
    zoo = pytest.importorskip("torchvision").models
    trunk = zoo._utils.IntermediateLayerGetter(zoo.resnet18(), {"layer4": "out"})
    reference = shaken(zoo.segmentation.FCN(trunk, zoo.segmentation.fcn.FCNHead(512, 4)))
    ours = models.create("fcn", 4, 3, "resnet18", output_stride=32, auxiliary=False).eval()
    ours.load_state_dict(renamed(reference.state_dict(), FCN))
    agree(ours, lambda image: reference(image)["out"], [ODD], 32)


def test_deeplabv3_mobilenet_of_torchvision() -> None:
    reference = torchvisions("deeplabv3_mobilenet_v3_large")
    ours = models.create(
        "deeplabv3", 4, 3, "mobilenetv3_large_100", multi_grid=(1,), rates=(12, 24, 36), refine=True
    ).eval()
    tensors = reference.state_dict()
    for key in [key for key in tensors if key.endswith("running_var") and key.startswith("backbone.")]:
        tensors[key] = tensors[key] + (0.001 - 1e-5)  # its norms add 0.001 to the variance, ours 0.00001
    ours.load_state_dict(renamed(tensors, {**mobilenet_names(tensors), **DEEPLABV3}))
    agree(ours, lambda image: reference(image)["out"], [*SIZES, ODD], 16)


@smp_only
@pytest.mark.parametrize("stride", [8, 16])
def test_deeplabv3_of_segmentation_models_pytorch(stride: int) -> None:
    reference = smps("DeepLabV3", encoder_output_stride=stride)
    rates = [rate * stride // 16 for rate in (12, 24, 36)]
    ours = models.create(
        "deeplabv3",
        2,
        3,
        "resnet18",
        output_stride=stride,
        multi_grid=(1,),
        rates=rates,
        refine=True,
        align_corners=True,
    ).eval()
    ours.load_state_dict(renamed(reference.state_dict(), SMP_DEEPLABV3))
    agree(ours, reference)


@smp_only
def test_deeplabv3plus_of_segmentation_models_pytorch() -> None:
    reference = smps("DeepLabV3Plus")
    ours = models.create(
        "deeplabv3plus",
        2,
        3,
        "resnet18",
        multi_grid=(1,),
        rates=(12, 24, 36),
        layout="smp",
        align_corners=True,
    ).eval()
    ours.load_state_dict(renamed(reference.state_dict(), SMP_PLUS))
    agree(ours, reference)


class Deep:
    """What a decoder asks of a backbone, for a decoder on its own: the levels of a dilated ResNet-50, or narrower."""

    reductions = (2, 4, 8, 8, 8)

    def __init__(self, last: int) -> None:
        self.channels = (last // 32, last // 8, last // 4, last // 2, last)


@smp_only
def test_pyramid_decoder_of_segmentation_models_pytorch() -> None:
    """Its network ends after two stages, so the decoders are compared: its 1x1 lies in the middle of our 3x3.

    Its branch of one cell has no norm but a bias, which is a norm that changes nothing with a bias; its branches stand
    before the features, ours behind.
    """
    from maskwright.models.decoders.pspnet import PSPDecoder

    theirs = shaken(
        pytest.importorskip("segmentation_models_pytorch").decoders.pspnet.decoder.PSPDecoder([3, 64], out_channels=16)
    )
    ours = PSPDecoder(Deep(64), (1, 2, 3, 6), align_corners=True).eval()
    with torch.no_grad():
        for branch, block in zip(ours.pooling.branches, theirs.psp.blocks, strict=True):
            convolution, norm, _ = block.pool[1]
            branch[0].weight.copy_(convolution.weight)
            if isinstance(norm, nn.BatchNorm2d):
                branch[1].load_state_dict(norm.state_dict())
            else:
                branch[1].bias.copy_(convolution.bias)
                branch[1].running_var.fill_(1 - branch[1].eps)
        wide = theirs.conv[0].weight
        ours.block[0].weight.zero_()
        ours.block[0].weight[:, :, 1:2, 1:2] = torch.cat([wide[:, 64:], wide[:, :64]], dim=1)
        ours.block[1].load_state_dict(theirs.conv[1].state_dict())
        for size in [(12, 18), (7, 6)]:
            level = torch.randn(2, 64, *size)
            torch.testing.assert_close(ours([level]), theirs([level]), rtol=1e-4, atol=1e-5)


def test_pspnet_stands_on_the_last_of_four_stages_at_stride_8() -> None:
    """Zhao et al. 2017, section 3.3: the final feature map is 1/8 of the image; with a ResNet-50 it has 2048 channels.

    Each branch has a quarter of them, and what is put together has 4096.
    """
    from maskwright.models.decoders.pspnet import PSPDecoder

    with torch.device("meta"):
        decoder = PSPDecoder(Deep(2048), (1, 2, 3, 6))
    assert (decoder.stride, decoder.pooling.channels, decoder.channels) == (8, 4096, 512)
    assert [branch[0].out_channels for branch in decoder.pooling.branches] == [512] * 4
