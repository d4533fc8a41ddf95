"""VGG-16 and what stands on it, against torchvision, timm and the figures of the papers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import safetensors.torch
import torch
from tests.models.references import receptive_fields, shaken, weights_of
from torch import Tensor, nn
from torch.nn import functional as F

from maskwright import models
from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones import vgg

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.models.backbones.base import Backbone

NARROW = 1 / 16


def on_no_memory(**options: object) -> Backbone:
    """Build a backbone of full size without its weights."""
    with torch.device("meta"):
        return vgg.build(3, **options)


def test_layers_fields_and_weights_are_those_of_fcn_vgg16() -> None:
    # Long et al. 2015, table 1, column FCN-VGG16: 16 convolutions with the classifier, 134M weights, field 404, stride
    # 32. Simonyan & Zisserman 2015, table 1, column D: two, two, three, three and three convolutions.
    backbone = on_no_memory(fully=True)
    convolutions = [layer for layer in backbone.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6 + [4096] * 2
    assert [layer.kernel_size[0] for layer in convolutions] == [3] * 13 + [7, 1]
    assert receptive_fields(*backbone.stages) == [(6, 2), (16, 4), (44, 8), (100, 16), (212, 32), (404, 32)]
    assert backbone.reductions == (2, 4, 8, 16, 32, 32)
    assert backbone.channels == (64, 128, 256, 512, 512, 4096)
    assert weights_of(backbone) == 134_260_544
    assert weights_of(on_no_memory()) == 14_714_688


def test_at_stride_8_it_is_the_network_of_deeplab() -> None:
    # Chen et al. 2015, section 3.1: the last two poolings keep the resolution, conv5 is atrous of rate 2 and fc6 of
    # rate 4; table 2: a 7x7 fc6 of rate 4 sees 224 pixels beyond the last pooling's, (7 - 1) * 4 * 8 + 32.
    backbone = on_no_memory(fully=True, output_stride=8)
    rates = [layer.dilation[0] for layer in backbone.modules() if isinstance(layer, nn.Conv2d)]
    assert rates == [1] * 10 + [2] * 3 + [4, 1]
    pools = [layer for layer in backbone.modules() if isinstance(layer, nn.MaxPool2d)]
    assert [(pool.kernel_size, pool.stride, pool.padding) for pool in pools] == [(3, 2, 1)] * 3 + [(3, 1, 1)] * 2
    assert backbone.reductions == (2, 4, 8, 8, 8, 8)
    assert on_no_memory(output_stride=16).reductions == (2, 4, 8, 16, 16)


@pytest.mark.parametrize("stride", [8, 16, 32])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_levels_lie_exactly_on_the_image(stride: int, batch_norm: bool) -> None:
    backbone = vgg.build(5, width_factor=NARROW, fully=True, output_stride=stride, batch_norm=batch_norm)
    levels = backbone(torch.randn(1, 5, 64, 96))
    for level, channels, step in zip(levels, backbone.channels, backbone.reductions, strict=True):
        assert level.shape == (1, channels, 64 // step, 96 // step)
    assert backbone.normalised == batch_norm


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("size", [(64, 96), (96, 32)])
def test_torchvisions_layers_load_and_agree(tmp_path: Path, *, batch_norm: bool, size: tuple[int, int]) -> None:
    make_layers = pytest.importorskip("torchvision.models.vgg").make_layers
    widths = [4, 4, "M", 8, 8, "M", 16, 16, 16, "M", 32, 32, 32, "M", 32, 32, 32, "M"]
    reference = shaken(make_layers(widths, batch_norm=batch_norm))
    tensors = {f"features.{key}": value for key, value in reference.state_dict().items()}
    safetensors.torch.save_file(tensors, tmp_path / "w.safetensors")
    ours = vgg.build(3, tmp_path / "w.safetensors", width_factor=NARROW, batch_norm=batch_norm).eval()
    image = torch.randn(1, 3, *size)
    expected, found = reference(image), ours(image)[-1]
    assert (expected - found).abs().max() < 1e-4 * expected.abs().max()


def small_published(form: str) -> dict[str, Tensor]:
    """Return weights as torchvision or timm would name them, for a network of a sixteenth of the width."""
    names = ("classifier.0", "classifier.3") if form == "torchvision" else ("pre_logits.fc1", "pre_logits.fc2")
    tensors: dict[str, Tensor] = {}
    inputs, number = 3, 0
    for width, depth in zip((4, 8, 16, 32, 32), (2, 2, 3, 3, 3), strict=True):
        for _ in range(depth):
            tensors |= {f"features.{number}.weight": torch.randn(width, inputs, 3, 3) / (3 * inputs**0.5)}
            tensors |= {f"features.{number}.bias": torch.randn(width) / 10}
            inputs, number = width, number + 2
        number += 1
    flat = {f"{names[0]}.weight": torch.randn(16, 32 * 49) / 40, f"{names[1]}.weight": torch.randn(16, 16) / 4}
    if form == "timm":
        shapes = ((16, 32, 7, 7), (16, 16, 1, 1))
        flat = {name: value.reshape(shape) for (name, value), shape in zip(flat.items(), shapes, strict=True)}
    return {**tensors, **flat, **{f"{name}.bias": torch.randn(16) / 10 for name in names}}


@pytest.mark.parametrize("form", ["torchvision", "timm"])
def test_fully_connected_layers_become_convolutions(tmp_path: Path, form: str) -> None:
    # Long et al. 2015, section 3.1: on an image of 224 pixels, the middle of fc7 is what the classifier computes.
    tensors = small_published(form)
    safetensors.torch.save_file(tensors, tmp_path / "w.safetensors")
    backbone = vgg.build(3, tmp_path / "w.safetensors", width_factor=NARROW, fully=True).eval()
    last, fully = backbone(torch.randn(1, 3, 224, 224))[-2:]
    assert last.shape[2:] == (7, 7)
    names = [name.removesuffix(".bias") for name in list(tensors)[-2:]]
    hidden = last.flatten(1)
    for name in names:
        hidden = F.relu(F.linear(hidden, tensors[f"{name}.weight"].flatten(1), tensors[f"{name}.bias"]))
    torch.testing.assert_close(fully[:, :, 3, 3], hidden, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 7])
def test_published_weights_for_other_channels_are_averaged(tmp_path: Path, channels: int) -> None:
    safetensors.torch.save_file(small_published("timm"), tmp_path / "w.safetensors")
    colour = vgg.build(3, tmp_path / "w.safetensors", width_factor=NARROW).eval()
    other = vgg.build(channels, tmp_path / "w.safetensors", width_factor=NARROW).eval()
    grey = torch.rand(1, 1, 32, 32)
    for one, two in zip(colour(grey.expand(1, 3, 32, 32)), other(grey.expand(1, channels, 32, 32)), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options", [{"width_factor": 0.25}, {"batch_norm": True}, {"depths": (1, 1, 1, 1, 1)}, {"fully": True}]
)
def test_published_weights_that_do_not_fit_are_refused(tmp_path: Path, options: dict[str, object]) -> None:
    tensors = {name: value for name, value in small_published("timm").items() if name.startswith("features")}
    safetensors.torch.save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(MaskwrightError, match=r"w\.safetensors does not fit the network"):
        vgg.build(3, tmp_path / "w.safetensors", **{"width_factor": NARROW, **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width_factor": 0.0}, "width_factor is 0.0"),
        ({"depths": (2, 0)}, r"depths \[2, 0\]"),
        ({"depths": ()}, r"depths \[\]"),
        ({"output_stride": 4}, "must be 8, 16 or 32"),
    ],
)
def test_a_value_outside_its_rule_is_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(MaskwrightError, match=message):
        vgg.build(3, **options)


def test_gradient_checkpointing_changes_nothing() -> None:
    backbone = vgg.build(3, width_factor=NARROW, batch_norm=True, fully=True).train()
    image = torch.randn(2, 3, 64, 64)
    plain = backbone(image)
    backbone.set_gradient_checkpointing(enable=True)
    assert all(torch.equal(*pair) for pair in zip(plain, backbone(image), strict=True))


def test_the_catalog_says_which_vgg_is_which() -> None:
    options = models.options_of("fcn8s")
    assert (options["width_factor"], options["batch_norm"], options["fully"]) == (0.25, True, True)
    paper = models.options_of("fcn8s", "vgg16")
    assert (paper["width_factor"], paper["batch_norm"], paper["fully"]) == (1.0, False, True)
