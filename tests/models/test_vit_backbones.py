"""Plain transformers with a pyramid, the Mix Transformer's settings, and every kind of backbone under every decoder."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import safetensors.torch
import torch

from maskwright import models
from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones import find_backbone, vit

if TYPE_CHECKING:
    from pathlib import Path

timm = pytest.importorskip("timm")

DECODERS: dict[str, dict[str, Any]] = {
    "swiftnet": {"width": 8},
    "deeplabv3plus": {"width": 8, "low_width": 4, "output_stride": 32},
    "segformer": {"width": 8},
    "upernet": {"width": 8},
    "fpn": {"width": 8, "branch_width": 8},
    "lraspp": {"width": 8, "output_stride": 32},
}
SMALL_MIT = {"widths": (4, 6, 8, 10), "depths": (1, 1, 1, 1), "heads": (1, 1, 2, 2)}
KINDS = ["timm:test_convnext", "timm:test_efficientnet", "timm:mobilenetv3_small_050", "timm:test_vit", "mit"]
SWIN = {"embed_dim": 8, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 4, 8)}


def _create(name: str, backbone: str) -> models.Segmenter:
    return models.create(name, 3, 3, backbone, **DECODERS[name], **(SMALL_MIT if backbone == "mit" else {}))


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("backbone", KINDS)
def test_every_kind_of_backbone_carries_every_decoder(name: str, backbone: str) -> None:
    model = _create(name, backbone).train()
    model.set_gradient_checkpointing(enable=True)
    model(torch.randn(2, 3, 45, 61)).square().sum().backward()
    # A pyramid over a plain transformer has a deconvolution a level, and a decoder need not read every level.
    network = model.backbone.trunk if backbone == "timm:test_vit" else model.backbone
    assert all(weight.grad is not None for weight in network.parameters())
    assert model.eval()(torch.randn(1, 3, 70, 33)).shape == (1, 3, 70, 33)


@pytest.mark.parametrize("name", ["upernet", "segformer"])
def test_swin_at_odd_sizes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny Swin: windows of 7 on maps of any size."""
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda *given, **settings: create(*given, **settings, **SWIN))
    model = models.create(name, 3, 1, "timm:swin_tiny_patch4_window7_224", **DECODERS[name]).train()
    model.set_gradient_checkpointing(enable=True)
    model(torch.randn(1, 1, 70, 93)).square().sum().backward()
    assert all(weight.grad is not None for weight in model.backbone.parameters())


@pytest.mark.parametrize("spread", [False, True])
def test_a_plain_transformer_becomes_a_pyramid(spread: bool) -> None:
    backbone = find_backbone("timm:test_vit").builder(3, spread=spread)
    assert backbone.reductions == (4, 8, 16, 32)
    assert len(backbone.norms) == (4 if spread else 1)
    levels = backbone(torch.randn(2, 3, 64, 96))
    wanted = [(2, width, 64 // step, 96 // step) for width, step in zip(backbone.channels, (4, 8, 16, 32), strict=True)]
    assert [tuple(level.shape) for level in levels] == wanted


def test_a_plain_transformer_stops_at_the_output_stride() -> None:
    model = models.create("deeplabv3plus", 2, 3, "timm:test_vit", width=8, low_width=4)
    assert model.backbone.reductions == (4, 8, 16)
    assert len(find_backbone("timm:test_vit").builder(3, spread=True, output_stride=16).norms) == 3
    assert model(torch.randn(2, 3, 40, 23)).shape == (2, 2, 40, 23)


@pytest.mark.parametrize("name", ["vit_small_patch14_dinov2", "vit_small_patch16_dinov3"])
def test_dinos_have_the_strides_that_decoders_want(name: str) -> None:
    """Patches of 14 pixels lie on an image of 14/16 the size, so that 16 pixels of the original are between them."""
    backbone = find_backbone(name).builder(3).eval()
    seen = []
    backbone.trunk.register_forward_pre_hook(lambda _module, given: seen.append(tuple(given[0].shape)))
    with torch.no_grad():
        levels = backbone(torch.randn(1, 3, 64, 32))
    side = 56 if "patch14" in name else 64
    assert seen == [(1, 3, side, side // 2)]
    assert backbone.reductions == (4, 8, 16, 32)
    assert [tuple(level.shape[2:]) for level in levels] == [(16, 8), (8, 4), (4, 2), (2, 1)]


def test_plain_transformers_start_from_a_file(tmp_path: Path) -> None:
    published = timm.create_model("test_vit")
    safetensors.torch.save_file(published.state_dict(), tmp_path / "w.safetensors")
    model = models.create("fpn", 2, 1, "timm:test_vit", weights=tmp_path / "w.safetensors", width=8, branch_width=8)
    inside = model.backbone.trunk.network.model
    assert torch.equal(inside.blocks[-1].mlp.fc2.weight, published.blocks[-1].mlp.fc2.weight)
    with pytest.raises(MaskwrightError, match=r"w\.safetensors does not fit timm's test_vit2"):
        models.create("fpn", 2, 3, "timm:test_vit2", weights=tmp_path / "w.safetensors")


@pytest.mark.parametrize("backbone", ["mit", "mobilenet_v3_large"])
def test_our_backbones_start_from_a_file(tmp_path: Path, backbone: str) -> None:
    options = SMALL_MIT if backbone == "mit" else {}
    source = find_backbone(backbone).builder(3, **options)
    safetensors.torch.save_file(source.state_dict(), tmp_path / "w.safetensors")
    again = find_backbone(backbone).builder(3, tmp_path / "w.safetensors", **options)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in source.state_dict().items())
    with pytest.raises(MaskwrightError, match=r"w\.safetensors does not fit the network"):
        find_backbone(backbone).builder(1, tmp_path / "w.safetensors", **options)


@pytest.mark.parametrize("backbone", ["mit", "mobilenet_v3_large"])
def test_checkpointing_changes_no_gradient(backbone: str) -> None:
    source = find_backbone(backbone).builder(3, **(SMALL_MIT if backbone == "mit" else {})).train()
    twin = copy.deepcopy(source)
    twin.set_gradient_checkpointing(enable=True)
    image = torch.randn(2, 3, 64, 64)
    for network in (source, twin):
        torch.manual_seed(0)
        sum(level.square().mean() for level in network(image)).backward()
    for one, other in zip(source.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, rtol=1e-4, atol=1e-6)


def test_torchvisions_mobilenet_keeps_its_promises() -> None:
    for output_stride, reductions in ((16, (2, 4, 8, 16, 16)), (32, (2, 4, 8, 16, 32))):
        backbone = find_backbone("mobilenet_v3_large").builder(7, output_stride=output_stride)
        levels = backbone(torch.randn(2, 7, 64, 96))
        assert [tuple(level.shape[1:]) for level in levels] == [
            (width, 64 // step, 96 // step) for width, step in zip(backbone.channels, reductions, strict=True)
        ]


def test_stochastic_depth_skips_branches_in_training_only() -> None:
    block = find_backbone("mit").builder(3, **SMALL_MIT, drop_path=0.5).stages[-1].blocks[0]
    x = torch.randn(64, 2, 2, 10)
    assert torch.equal(block.eval()(x), block(x))
    untouched = (block.train()(x) == x).flatten(1).all(1)
    assert 4 <= untouched.sum() <= 30  # a quarter of 64 samples, three deviations around it


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mit", {"heads": (3, 2, 5, 8)}, "each width must be a multiple of its heads"),
        ("mit", {"depths": (2, 2)}, "do not match"),
        ("mit", {"drop_path": 1.0}, "drop_path is 1.0"),
        ("mobilenet_v3_large", {"output_stride": 8}, "must be 16 or 32"),
    ],
)
def test_a_setting_outside_its_rule_is_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(MaskwrightError, match=message):
        find_backbone(name).builder(3, **options)


def test_a_transformer_too_shallow_to_spread_over_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vit, "_depth", lambda _name: 3)
    with pytest.raises(MaskwrightError, match="test_vit has 3 blocks, but spread=true needs 4 or more"):
        find_backbone("timm:test_vit").builder(3, spread=True)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("segformer", {"width": 0}, "width is 0"),
        ("upernet", {"grids": [0]}, r"grids \[0\]"),
        ("fpn", {"branch_width": 2}, "branch_width 2 4 or more"),
        ("lraspp", {"steps": [1]}, r"steps \[1\]"),
        ("lraspp", {"widths": [4, 4], "depths": [1, 1]}, "lraspp needs a level finer than the last"),
    ],
)
def test_a_decoders_option_outside_its_rule_is_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(MaskwrightError, match=message):
        models.create(name, 2, 3, "compact", **options)
