"""SegFormer, UPerNet, FPN and LR-ASPP: another implementation's weights give that implementation's logits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import torch
from tests.models.references import close, continued, same, shaken, weights_of
from torch import Tensor, nn

from maskwright import models

if TYPE_CHECKING:
    from collections.abc import Mapping

SIZES = [(64, 96), (32, 64)]
ODD = (333, 257)
TINY = {"widths": (8, 16, 24, 32), "depths": (1, 2, 1, 1), "heads": (1, 2, 3, 4)}

# Names of others -> ours, applied in this order.
FROM_TRANSFORMERS = {
    r"^segformer\.stages\.": "backbone.stages.",
    r"patch_embeddings\.proj": "embedding.project",
    r"patch_embeddings\.layer_norm": "embedding.norm",
    r"layernorm_before": "norm1",
    r"layernorm_after": "norm2",
    r"attention\.q_proj": "attention.query",
    r"attention\.o_proj": "attention.project",
    r"sequence_reduction\.sequence_reduction": "shorten",
    r"sequence_reduction\.layer_norm": "norm",
    r"mlp\.fc1": "ffn.expand",
    r"mlp\.fc2": "ffn.reduce",
    r"mlp\.dwconv\.dwconv": "ffn.mix",
    r"(stages\.\d+)\.layer_norm": r"\1.norm",
    r"^decode_head\.linear_projections\.(\d)\.proj": r"decoder.linears.\1",
    r"^decode_head\.batch_norm": "decoder.norm",
    r"^decode_head\.classifier": "head.1",
}
FROM_SMP = {
    r"^encoder\.patch_embed(\d)\.": r"backbone.stages.\1.embedding.",
    r"^encoder\.block(\d)\.": r"backbone.stages.\1.blocks.",
    r"^encoder\.norm(\d)\.": r"backbone.stages.\1.norm.",
    r"embedding\.proj\.": "embedding.project.",
    r"attn\.q\.": "attention.query.",
    r"attn\.kv\.": "attention.key_value.",
    r"attn\.proj\.": "attention.project.",
    r"attn\.sr\.": "attention.shorten.",
    r"attn\.norm\.": "attention.norm.",
    r"mlp\.fc1": "ffn.expand",
    r"mlp\.fc2": "ffn.reduce",
    r"mlp\.dwconv\.dwconv": "ffn.mix",
    r"^decoder\.mlp_stage\.(\d)\.linear": r"decoder.linears.\1",
    r"^decoder\.fuse_stage\.1": "decoder.norm",
    r"^segmentation_head\.0": "head.1",
}


def _renamed(state: Mapping[str, Tensor], rules: Mapping[str, str]) -> dict[str, Tensor]:
    renamed = {}
    for name, value in state.items():
        for pattern, ours in rules.items():
            name = re.sub(pattern, ours, name)  # noqa: PLW2901
        renamed[name] = value
    return renamed


def _taken_over(ours: nn.Module, tensors: dict[str, Tensor], fuse: Tensor, *, reverse: bool) -> None:
    """Load a SegFormer: linear layers become 1x1 convolutions, the fusion is cut into one slice a level."""
    levels = len(ours.decoder.linears)
    for index, part in enumerate(reversed(fuse.chunk(levels, dim=1))):
        tensors[f"decoder.fuse.{index}.weight"] = part
    linears = {name: tensors.pop(name) for name in [name for name in tensors if name.startswith("decoder.linears")]}
    for name, value in linears.items():
        _, _, level, kind = name.split(".")
        place = levels - 1 - int(level) if reverse else int(level)
        tensors[f"decoder.linears.{place}.{kind}"] = value[:, :, None, None] if kind == "weight" else value
    ours.load_state_dict(tensors)


@torch.no_grad()
def test_segformer_is_that_of_transformers() -> None:
    transformers = pytest.importorskip("transformers", reason="the judge, transformers, is not installed")
    config = transformers.SegformerConfig(
        num_labels=5, hidden_sizes=[8, 16, 24, 32], depths=[1, 2, 1, 1], num_attention_heads=[1, 2, 3, 4]
    )
    config.decoder_hidden_size = 12
    reference = shaken(transformers.SegformerForSemanticSegmentation(config))
    state = dict(reference.state_dict())
    for key in [name for name in state if "attention.k_proj" in name]:
        value = state.pop(key.replace("k_proj", "v_proj"))
        state[key.replace("k_proj", "key_value")] = torch.cat([state.pop(key), value])
    fuse = state.pop("decode_head.linear_fuse.weight")
    ours = models.create("segformer", 5, 3, "mit", width=12, **TINY).eval()
    _taken_over(ours, _renamed(state, FROM_TRANSFORMERS), fuse, reverse=False)
    for size in [*SIZES, ODD]:
        image = torch.randn(2, 3, *size)
        logits = ours(image, upsample=False)
        close(logits, reference(continued(image, 32)).logits[:, :, : logits.shape[2], : logits.shape[3]])


@torch.no_grad()
def test_segformer_is_that_of_segmentation_models_pytorch() -> None:
    smp = pytest.importorskip("segmentation_models_pytorch", reason="the judge is only in the extra `bench`")
    reference = shaken(smp.Segformer("mit_b0", encoder_weights=None, classes=5, decoder_segmentation_channels=12))
    state = dict(reference.state_dict())
    fuse = state.pop("decoder.fuse_stage.0.weight")
    numbered = {
        re.sub(r"(patch_embed|block|norm)([1-4])\.", _counted_from_zero, key, count=1): value
        for key, value in state.items()
        if key.startswith("encoder.")
    }
    rest = {key: value for key, value in state.items() if not key.startswith("encoder.")}
    ours = models.create("segformer", 5, 3, "mit_b0", width=12).eval()
    _taken_over(ours, _renamed({**numbered, **rest}, FROM_SMP), fuse, reverse=True)
    for size in [*SIZES, ODD]:
        image = torch.randn(2, 3, *size)
        logits = ours(image, upsample=False)
        expected = reference.segmentation_head[0](reference.decoder(reference.encoder(continued(image, 32))))
        close(logits, expected[:, :, : logits.shape[2], : logits.shape[3]])


def _counted_from_zero(match: re.Match[str]) -> str:
    return f"{match[1]}{int(match[2]) - 1}."


@pytest.mark.parametrize(("number", "millions"), [(0, 3.4), (1, 13.1), (2, 24.2), (3, 44.0), (4, 60.8), (5, 81.4)])
def test_the_mix_transformers_have_the_papers_parameters(number: int, millions: float) -> None:
    """Xie et al. 2021, table 1a, encoder."""
    with torch.device("meta"):
        backbone = models.BACKBONES[f"mit_b{number}"].builder(3)
    assert weights_of(backbone) / 1e6 == pytest.approx(millions, abs=0.1)


@pytest.mark.parametrize(("number", "width", "millions"), [(0, 256, 0.4), (1, 256, 0.6), (2, 768, 3.3)])
def test_segformers_decoder_has_the_papers_parameters(number: int, width: int, millions: float) -> None:
    """Xie et al. 2021, table 1a, decoder."""
    with torch.device("meta"):
        model = models.create("segformer", 150, 3, f"mit_b{number}", width=width)
    assert weights_of(model.decoder, model.head) / 1e6 == pytest.approx(millions, abs=0.1)


@torch.no_grad()
def test_upernet_is_that_of_segmentation_models_pytorch() -> None:
    smp = pytest.importorskip("segmentation_models_pytorch", reason="the judge is only in the extra `bench`")
    reference = shaken(smp.UPerNet("resnet18", encoder_weights=None, classes=4, decoder_channels=16))
    ours = models.create("upernet", 4, 3, "resnet18", width=16, level_norm=True).eval()
    ours.backbone.network.load_state_dict(reference.encoder.state_dict())
    theirs, decoder = reference.decoder, ours.decoder
    same(decoder.norms, theirs.feature_norms)
    same(decoder.pooling, theirs.psp.blocks)
    same(decoder.bottleneck, theirs.psp.out_conv)
    same(decoder.laterals, reversed(theirs.fpn_lateral_blocks))
    same(decoder.blends, reversed(theirs.fpn_conv_blocks))
    same(decoder.fuse, theirs.fusion_block)
    same(ours.head, reference.segmentation_head)
    for size in SIZES:
        image = torch.randn(2, 3, *size)
        expected = reference.segmentation_head[0](theirs(reference.encoder(image)))
        close(ours(image, upsample=False), expected)


@torch.no_grad()
def test_upernet_is_that_of_transformers() -> None:
    transformers = pytest.importorskip("transformers", reason="the judge, transformers, is not installed")
    backbone = transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 12, 16, 20],
        depths=[1] * 4,
        layer_type="basic",
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = transformers.UperNetConfig(
        backbone_config=backbone, hidden_size=16, num_labels=4, use_auxiliary_head=False
    )
    reference = shaken(transformers.UperNetForSemanticSegmentation(config))
    small = {"widths": backbone.hidden_sizes, "depths": (1, 1, 1, 1)}
    ours = models.create("upernet", 4, 3, "compact", width=16, **small).eval()
    head = reference.decode_head
    same(ours.decoder.pooling, head.psp_modules)
    same(ours.decoder.bottleneck, head.bottleneck)
    same(ours.decoder.laterals, head.lateral_convs)
    same(ours.decoder.blends, head.fpn_convs)
    same(ours.decoder.fuse, head.fpn_bottleneck)
    same(ours.head, head.classifier)
    for size in SIZES:
        maps = [
            torch.randn(2, width, *[side // step for side in size])
            for width, step in zip(backbone.hidden_sizes, (4, 8, 16, 32), strict=True)
        ]
        close(ours.head(ours.decoder([maps[0], *maps])), head(maps))


@torch.no_grad()
def test_fpn_is_that_of_segmentation_models_pytorch() -> None:
    smp = pytest.importorskip("segmentation_models_pytorch", reason="the judge is only in the extra `bench`")
    reference = shaken(
        smp.FPN(
            "resnet18", encoder_weights=None, classes=4, decoder_pyramid_channels=16, decoder_segmentation_channels=128
        )
    )
    options = {"width": 16, "branch_width": 128, "smooth": False, "align_corners": True}
    ours = models.create("fpn", 4, 3, "resnet18", **options).eval()
    ours.backbone.network.load_state_dict(reference.encoder.state_dict())
    theirs = reference.decoder
    same(ours.decoder.laterals, [theirs.p2.skip_conv, theirs.p3.skip_conv, theirs.p4.skip_conv, theirs.p5])
    same(ours.decoder.climbs, reversed(theirs.seg_blocks))
    same(ours.head, reference.segmentation_head)
    for size in SIZES:
        image = torch.randn(2, 3, *size)
        expected = reference.segmentation_head[0](theirs(reference.encoder(image)))
        close(ours(image, upsample=False), expected)


def test_fpn_has_the_papers_form() -> None:
    """Kirillov et al. 2019, section 3.1: 256 and 128 channels, three doublings at stride 32, none at 4; 32 groups."""
    with torch.device("meta"):
        decoder = models.create("fpn", 4, 3, "resnet50", width=256, branch_width=128).decoder
    doublings = [sum(isinstance(layer, nn.Upsample) for layer in climb) for climb in decoder.climbs]
    convolutions = [sum(isinstance(layer, nn.Conv2d) for layer in climb) for climb in decoder.climbs]
    assert (doublings, convolutions) == ([0, 1, 2, 3], [1, 1, 2, 3])
    assert {layer.num_groups for layer in decoder.modules() if isinstance(layer, nn.GroupNorm)} == {32}
    # P2..P5 of Lin et al. 2017: a 1x1 from 256, 512, 1024, 2048 channels and a 3x3 each, all to 256 and with bias.
    pyramid = 256 * (256 + 512 + 1024 + 2048 + 4) + 4 * (256 * 256 * 9 + 256)
    climbs = 4 * 256 * 128 * 9 + 3 * 128 * 128 * 9 + 7 * 2 * 128
    assert weights_of(decoder) == pyramid + climbs


@torch.no_grad()
def test_lraspp_is_torchvisions() -> None:
    segmentation = pytest.importorskip("torchvision").models.segmentation
    reference = shaken(segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=4))
    ours = models.create("lraspp", 4, 3, "mobilenet_v3_large").eval()
    same(ours.backbone, reference.backbone)
    same(ours.decoder.block, reference.classifier.cbr)
    same(ours.decoder.gate, reference.classifier.scale)
    low, high = reference.classifier.low_classifier, reference.classifier.high_classifier
    ours.head[1].weight.copy_(torch.cat([high.weight, low.weight], dim=1))
    ours.head[1].bias.copy_(high.bias + low.bias)
    for height, width in [*SIZES, ODD]:
        image = torch.randn(2, 3, height, width)
        close(ours(image), reference(continued(image, 16))["out"][:, :, :height, :width])


def test_lraspp_averages_over_the_papers_windows() -> None:
    """Howard et al. 2019, figure 10: 49x49 in steps of 16 and 20, which at 1024x2048 makes a gate of 1x4."""
    decoder = models.create("lraspp", 2, 3, "compact", widths=(4, 4, 4), depths=(1, 1, 1), window=49).decoder
    assert decoder._average(torch.ones(1, 4, 64, 128)).shape == (1, 4, 1, 4)
    assert decoder._average(torch.ones(1, 4, 5, 9)).shape == (1, 4, 1, 1)
