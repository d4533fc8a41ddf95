from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import torch
from tests.models.references import awake

from maskwright import models
from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import pyramid_levels

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Build = Callable[..., models.Segmenter]

NAMES = sorted(models.MODELS)
AUX = {"pspnet", "fcn", "ppliteseg"}
SIDES = {"crisp", "hed", "pidinet"}
OUTPUTS = {"pspnet": 2, "fcn": 2, "ppliteseg": 3, "deeplabv2": 4, "crisp": 6, "hed": 6, "pidinet": 6}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(65, 33), (1, 1)])
def test_logits_have_the_size_of_the_image(small: Build, name: str, size: tuple[int, int]) -> None:
    model = small(name).eval()
    image = torch.randn(2, 3, *size)
    assert model(image).shape == (2, 3, *size)
    stride = model.native_stride
    assert model(image, upsample=False).shape == (2, 3, -(-size[0] // stride), -(-size[1] // stride))


@pytest.mark.parametrize("name", NAMES)
def test_auxiliary_logits_only_when_asked_for(small: Build, name: str) -> None:
    model = small(name)
    image = torch.randn(2, 3, 40, 33)
    outputs = model(image, with_aux=True)
    assert isinstance(outputs, tuple)
    assert [tuple(output.shape) for output in outputs] == [(2, 3, 40, 33)] * OUTPUTS.get(name, 1)
    native = model(image, with_aux=True, upsample=False)
    assert len({output.shape for output in native}) == 1
    assert isinstance(model(image), torch.Tensor)
    if name not in SIDES:
        assert len(small(name, **({"auxiliary": False} if name in AUX else {})).aux) == 0


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_network_and_output(small: Build, name: str) -> None:
    image = torch.randn(1, 3, 33, 40)
    outputs = []
    for _ in range(2):
        torch.manual_seed(7)
        outputs.append(small(name).eval()(image))
    assert torch.equal(*outputs)
    torch.manual_seed(8)
    assert not torch.equal(outputs[0], small(name).eval()(image))


@pytest.mark.parametrize("name", NAMES)
def test_bf16_and_channels_last_agree_with_float32(small: Build, name: str) -> None:
    model = awake(small(name)).train()
    for _ in range(3):
        model(torch.randn(4, 3, 48, 48))
    model.eval()
    image = torch.randn(2, 3, 45, 61)
    plain = model(image)
    fast = model.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        quick = fast(image.to(memory_format=torch.channels_last))
    assert quick.dtype == torch.float32
    assert (plain - quick).abs().max() < 0.1 * plain.abs().max()
    with torch.autocast("cpu", torch.bfloat16):
        fast.train()(image.to(memory_format=torch.channels_last)).sum().backward()


def test_padding_mirrors_the_image_and_is_cut_off_again(small: Build) -> None:
    model = small().eval()
    image = torch.randn(1, 3, 30, 50)
    by_hand = torch.nn.functional.pad(image, (0, 14, 0, 2), mode="reflect")
    assert torch.equal(model(image), model(by_hand)[:, :, :30, :50])


def test_upsampled_logits_are_the_native_ones_interpolated(small: Build) -> None:
    model = small().eval()
    image = torch.randn(1, 3, 64, 64)
    native = model(image, upsample=False)
    bigger = torch.nn.functional.interpolate(native, size=(64, 64), mode="bilinear", align_corners=False)
    assert torch.equal(model(image), bigger)


@pytest.mark.parametrize(
    ("shape", "cure"),
    [
        ((1, 4, 32, 32), "convert the images to 3 channels"),
        ((3, 32, 32), r"but got shape \(3, 32, 32\): add the batch axis N, x\[None\]"),
        ((32, 32), "give a batch of images, with four axes"),
    ],
)
def test_a_wrong_shape_is_named(small: Build, shape: tuple[int, ...], cure: str) -> None:
    with pytest.raises(MaskwrightError, match=rf"images \(N, 3, H, W\).*{cure}"):
        small()(torch.zeros(shape))


def test_whole_numbers_are_refused(small: Build) -> None:
    with pytest.raises(MaskwrightError, match=r"but got torch.uint8: use \(x.float\(\) - mean\) / std"):
        small()(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))


@pytest.mark.parametrize("backbone", ["compact", "resnet18", "timm:mobilenetv3_small_050", "timm:test_vit"])
def test_gradient_checkpointing_changes_nothing_but_memory(backbone: str) -> None:
    options = {"widths": (4, 6, 8, 10), "depths": (1, 1, 1, 1)} if backbone == "compact" else {}
    model = awake(models.create("swiftnet", 2, 3, backbone, width=8, **options)).train()
    twin = copy.deepcopy(model)
    twin.set_gradient_checkpointing(enable=True)
    images = [torch.randn(2, 3, 64, 64) for _ in range(2)]
    assert _saved_bytes(twin, images[0]) < 0.95 * _saved_bytes(model, images[0])
    for network in (model, twin):
        for image in images:
            torch.manual_seed(0)
            network(image).square().sum().backward()
    for (name, one), other in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, rtol=1e-4, atol=1e-5), name
    assert all(torch.equal(*pair) for pair in zip(model.buffers(), twin.buffers(), strict=True))


def test_checkpointing_can_be_switched_off_again(small: Build) -> None:
    model = small().train()
    image = torch.randn(2, 3, 64, 64)
    before = _saved_bytes(model, image)
    model.set_gradient_checkpointing(enable=True)
    model.set_gradient_checkpointing(enable=False)
    assert _saved_bytes(model, image) == before


def test_pyramid_levels_take_the_deepest_of_each_stride() -> None:
    assert pyramid_levels((2, 4, 8, 16, 32)) == (0, 1, 2, 3, 4)
    assert pyramid_levels((2, 4, 8, 8, 8), finest=4) == (1, 4)
    assert pyramid_levels((4, 8), finest=2) == (0, 1)
    assert pyramid_levels((4, 8), finest=16) == (1,)


@pytest.mark.parametrize(
    ("options", "reductions"),
    [
        ({}, (2, 4, 8, 16, 32)),
        ({"stem": 2}, (2, 4, 8, 16)),
        ({"output_stride": 8}, (2, 4, 8, 8, 8)),
        ({"widths": (4, 6, 8), "depths": (1, 2, 1)}, (2, 4, 8, 16)),
    ],
)
def test_the_compact_backbone_keeps_its_promises(
    small: Build, options: dict[str, object], reductions: tuple[int, ...]
) -> None:
    backbone = small(**options).backbone
    assert backbone.reductions == reductions
    levels = backbone(torch.randn(1, 3, 64, 96))
    for level, channels, step in zip(levels, backbone.channels, reductions, strict=True):
        assert level.shape == (1, channels, 64 // step, 96 // step)


def test_residual_blocks_start_as_the_identity(small: Build) -> None:
    stage = small(depths=(2, 1, 1, 1)).backbone.stages[0]
    x = torch.rand(1, 4, 8, 8)
    assert torch.equal(stage[1](x), x)


def test_a_dilated_stage_keeps_the_dilation_before_it_in_its_first_block(small: Build) -> None:
    stages = small(depths=(2, 2, 2, 2), output_stride=8).backbone.stages
    found = [[(block.conv1[0].dilation[0], block.conv2[0].dilation[0]) for block in stage] for stage in stages]
    assert found == [[(1, 1)] * 2, [(1, 1)] * 2, [(1, 2), (2, 2)], [(2, 4), (4, 4)]]
    assert [stage[0].conv1[0].stride[0] for stage in stages] == [2, 2, 1, 1]


@pytest.mark.parametrize(("output_stride", "rates"), [(8, [12, 24, 36]), (16, [6, 12, 18]), (32, [3, 6, 9])])
def test_atrous_rates_fit_the_output_stride(small: Build, output_stride: int, rates: list[int]) -> None:
    branches = small("deeplabv3plus", width=4, output_stride=output_stride).decoder.pooling.branches
    assert [branch[0][0].dilation[0] for branch in branches[1:]] == rates


@pytest.mark.parametrize("name", ["fcn", "pspnet"])
def test_the_auxiliary_head_reads_the_level_before_the_last(small: Build, name: str) -> None:
    head = small(name).aux[0]
    assert (head.level, head.block[0].in_channels) == (3, 8)


def test_convolutions_start_with_the_spread_of_he() -> None:
    convolution = models.create("fcn", 2, 3, "compact", widths=[64], depths=[1]).decoder.block[0]
    assert (convolution.in_channels, convolution.out_channels) == (64, 16)
    assert convolution.weight.std().item() == pytest.approx((2 / (16 * 9)) ** 0.5, rel=0.05)


def _saved_bytes(model: torch.nn.Module, image: Tensor) -> int:
    kept: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    state = copy.deepcopy(model.state_dict())
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        keep = model(image)
    del keep
    model.load_state_dict(state)
    return sum(kept.values())
