"""segmentation_models.pytorch: `smp:REPOSITORY` or `smp:FOLDER`.

What its `save_pretrained` writes is read: `config.json` as data, and `model.safetensors`. A network with one class is
read through a sigmoid there; here it becomes background and foreground with the same probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.core.plan import ModelPlan
from maskwright.models.importers.naming import renamed, sliced
from maskwright.models.importers.published import find
from maskwright.models.importers.recipe import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Recipe,
    binary_as_two,
    eight_bit,
    option,
    rows_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

    from maskwright.core.plan import DataPlan

_LAST = "segmentation_head.0.weight"
_CHANNELS = (256, 128, 64, 32, 16)
_HEAD = {"segmentation_head.0.": "head.1."}
_UNET = {
    "decoder.blocks.{n}.conv1.": "decoder.blocks.{n}.0.",
    "decoder.blocks.{n}.conv2.": "decoder.blocks.{n}.1.",
}
# x_D_L there is on the diagonal that starts at skip L, counted from the coarsest, D places in from the outermost.
_UNETPLUSPLUS = {
    f"decoder.blocks.x_{depth}_{layer}.conv{half + 1}.": f"decoder.blocks.{3 - layer}_{layer - depth + 1}.{half}."
    for layer in range(4)
    for depth in range(layer + 1)
    for half in range(2)
} | {f"decoder.blocks.x_0_4.conv{half + 1}.": f"decoder.finish.0.{half}." for half in range(2)}
_DEEPLABV3PLUS = {
    "decoder.aspp.0.convs.0.": "decoder.pooling.branches.0.",
    **{
        f"decoder.aspp.0.convs.{branch}.{theirs}.": f"decoder.pooling.branches.{branch}.{ours}."
        for branch in (1, 2, 3)
        for theirs, ours in (("0.0", "0.0"), ("0.1", "1.0"), ("1", "1.1"))
    },
    "decoder.aspp.0.convs.4.1.": "decoder.pooling.image.0.",
    "decoder.aspp.0.convs.4.2.": "decoder.pooling.image.1.",
    "decoder.aspp.0.project.": "decoder.pooling.project.",
    "decoder.aspp.1.0.": "decoder.refine.0.0.",
    "decoder.aspp.1.1.": "decoder.refine.1.0.",
    "decoder.aspp.2.": "decoder.refine.1.1.",
    "decoder.block1.": "decoder.reduce.",
    "decoder.block2.0.0.": "decoder.blend.0.0.0.",
    "decoder.block2.0.1.": "decoder.blend.0.1.0.",
    "decoder.block2.1.": "decoder.blend.0.1.1.",
}
_FPN = {
    "decoder.p5.": "decoder.laterals.3.",
    **{f"decoder.p{level + 2}.skip_conv.": f"decoder.laterals.{level}." for level in range(3)},
    **{
        f"decoder.seg_blocks.{3 - level}.block.{step}.block.{part}.": f"decoder.climbs.{level}.{4 * step + part}."
        for level in range(4)
        for step in range(max(level, 1))
        for part in range(2)
    },
}
_UPERNET = {
    "decoder.feature_norms.{n}.": "decoder.norms.{n}.",
    "decoder.psp.blocks.{n}.1.": "decoder.pooling.branches.{n}.",
    "decoder.psp.out_conv.": "decoder.bottleneck.",
    **{f"decoder.fpn_lateral_blocks.{2 - level}.conv_norm_relu.": f"decoder.laterals.{level}." for level in range(3)},
    **{f"decoder.fpn_conv_blocks.{2 - level}.": f"decoder.blends.{level}." for level in range(3)},
    "decoder.fusion_block.": "decoder.fuse.",
}
_FUSE = "decoder.fuse_stage.0.weight"
_SEGFORMER = {
    **{f"decoder.mlp_stage.{3 - level}.linear.": f"decoder.linears.{level}." for level in range(4)},
    _FUSE: _FUSE,
    "decoder.fuse_stage.1.": "decoder.norm.",
}
_MIT = {
    theirs.format(stage + 1): f"backbone.stages.{stage}.{ours}"
    for stage in range(4)
    for theirs, ours in {
        "encoder.patch_embed{}.proj.": "embedding.project.",
        "encoder.patch_embed{}.norm.": "embedding.norm.",
        "encoder.block{}.{{n}}.norm": "blocks.{n}.norm",
        "encoder.block{}.{{n}}.attn.q.": "blocks.{n}.attention.query.",
        "encoder.block{}.{{n}}.attn.kv.": "blocks.{n}.attention.key_value.",
        "encoder.block{}.{{n}}.attn.sr.": "blocks.{n}.attention.shorten.",
        "encoder.block{}.{{n}}.attn.norm.": "blocks.{n}.attention.norm.",
        "encoder.block{}.{{n}}.attn.proj.": "blocks.{n}.attention.project.",
        "encoder.block{}.{{n}}.mlp.fc1.": "blocks.{n}.ffn.expand.",
        "encoder.block{}.{{n}}.mlp.dwconv.dwconv.": "blocks.{n}.ffn.mix.",
        "encoder.block{}.{{n}}.mlp.fc2.": "blocks.{n}.ffn.reduce.",
        "encoder.norm{}.": "norm.",
    }.items()
}


def _unet(config: Mapping[str, Any], origin: str) -> dict[str, Any]:
    option(config, "decoder_attention_type", (None,), origin)
    option(config, "decoder_interpolation", ("nearest",), origin)
    return {"channels": list(config.get("decoder_channels", _CHANNELS)), "layout": "smp"}


def _deeplabv3plus(config: Mapping[str, Any], origin: str) -> dict[str, Any]:
    option(config, "decoder_aspp_separable", (True,), origin)
    stride = option(config, "encoder_output_stride", (16, 8), origin)
    rates = [rate * stride for rate in config.get("decoder_atrous_rates", (12, 24, 36))]
    if len(rates) != 3 or any(rate % 16 for rate in rates):
        raise MaskwrightError(
            f"{origin} has the rates {list(config['decoder_atrous_rates'])} at output stride {stride}: only three, at "
            "stride 8 even ones, can be imported"
        )
    # Its own encoders dilate the first block of a stage too, as DeepLab does; timm's do not.
    of_timm = str(config.get("encoder_name", "")).startswith(_TIMM)
    return {
        **_aligned(config, origin),
        "layout": "smp",
        "width": int(config.get("decoder_channels", 256)),
        "rates": [rate // 16 for rate in rates],
        "output_stride": stride,
        "multi_grid": [] if of_timm else [1],
    }


def _fpn(config: Mapping[str, Any], origin: str) -> dict[str, Any]:
    option(config, "decoder_merge_policy", ("add",), origin)
    option(config, "decoder_interpolation", ("nearest",), origin)
    branch_width = int(config.get("decoder_segmentation_channels", 128))
    if branch_width % 128:
        raise MaskwrightError(
            f"{origin} has decoder_segmentation_channels={branch_width}, whose group norms differ from ours: only "
            "multiples of 128 can be imported"
        )
    return {
        **_aligned(config, origin),
        "width": int(config.get("decoder_pyramid_channels", 256)),
        "branch_width": branch_width,
        "smooth": False,
    }


def _upernet(config: Mapping[str, Any], origin: str) -> dict[str, Any]:
    return {**_aligned(config, origin), "width": int(config.get("decoder_channels", 256)), "level_norm": True}


def _segformer(config: Mapping[str, Any], origin: str) -> dict[str, Any]:
    if config.get("encoder_name") not in _MIXED:
        raise MaskwrightError(
            f"{origin} has the encoder {config.get('encoder_name')} under SegFormer's decoder, which then reads a "
            f"level more than ours: only {', '.join(sorted(_MIXED))} can be imported"
        )
    return {**_aligned(config, origin), "width": int(config.get("decoder_segmentation_channels", 256))}


def _aligned(config: Mapping[str, Any], origin: str) -> dict[str, Any]:
    option(config, "upsampling", (4,), origin)
    return {"align_corners": True}


def _as_is(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return tensors


@dataclass(frozen=True)
class _Architecture:
    """One architecture of the library, in our words.

    Attributes:
        name: of ours.
        table: names (`naming`), without the encoder's and the head's.
        options: what its description becomes; refuses what has no counterpart.
        finish: what is left to do with the renamed tensors.
    """

    name: str
    table: Mapping[str, str]
    options: Callable[[Mapping[str, Any], str], dict[str, Any]]
    finish: Callable[[dict[str, Tensor]], dict[str, Tensor]] = _as_is


ARCHITECTURES = {
    "Unet": _Architecture("unet", _UNET, _unet),
    "UnetPlusPlus": _Architecture("unet++", _UNETPLUSPLUS, _unet),
    "DeepLabV3Plus": _Architecture("deeplabv3plus", _DEEPLABV3PLUS, _deeplabv3plus),
    "FPN": _Architecture("fpn", _FPN, _fpn),
    "UPerNet": _Architecture("upernet", _UPERNET, _upernet),
    "Segformer": _Architecture(
        "segformer",
        _SEGFORMER,
        _segformer,
        partial(sliced, name=_FUSE, pattern="decoder.fuse.{n}.weight", count=4),
    ),
}
# Encoders of the library's own whose tensors are named as in timm's network of that name.
_AS_IN_TIMM = {"resnet18", "resnet34", "resnet50", "resnet101", "resnet152"}
_MIXED = {f"mit_b{number}" for number in range(6)}
_TIMM = "tu-"


def recipe(name: str, weights: Path | None) -> Recipe:
    """Read a saved model of the library; see `importers.import_model`."""
    published = find(name, weights)
    config, origin = published.config, published.origin
    architecture = _architecture(config, origin)
    _check(config, origin)
    backbone, encoder = _encoder(str(config.get("encoder_name", "resnet34")), origin)
    options = architecture.options(config, origin)
    tensors = architecture.finish(renamed(published.tensors, {**encoder, **architecture.table, **_HEAD}, origin))
    count, names = rows_of(published.tensors, _LAST, origin), None
    if count == 1:
        tensors = binary_as_two(tensors, ("head.1.weight", "head.1.bias"))
        count, names = 2, ("background", "foreground")
    return Recipe(
        model=ModelPlan(name=architecture.name, backbone=backbone, options=options),
        data=_preprocessing(backbone, int(config.get("in_channels", 3))),
        tensors=tensors,
        count=count,
        origin=origin,
        names=names,
    )


def _architecture(config: Mapping[str, Any], origin: str) -> _Architecture:
    name = config.get("_model_class")
    if name is None:
        raise MaskwrightError(
            f"the config.json of {origin} names no _model_class, so nobody can say what network it is for: save the "
            "model with the library's save_pretrained, which writes it"
        )
    if name not in ARCHITECTURES:
        raise unknown_name("architecture of segmentation_models.pytorch that can be imported", str(name), ARCHITECTURES)
    return ARCHITECTURES[name]


def _check(config: Mapping[str, Any], origin: str) -> None:
    """Refuse what no architecture here has a counterpart of."""
    option(config, "encoder_depth", (5,), origin)
    option(config, "decoder_use_norm", ("batchnorm", True), origin)
    option(config, "decoder_use_batchnorm", (True, None), origin)
    option(config, "aux_params", (None,), origin)
    if config.get("activation") == "sigmoid" and int(config.get("classes", 1)) > 1:
        raise MaskwrightError(
            f"{origin} lets classes overlap (activation='sigmoid' with {config['classes']} classes), and here a pixel "
            "has one class: it cannot be imported"
        )


def _encoder(name: str, origin: str) -> tuple[str, dict[str, str]]:
    """Return our backbone for an encoder, and the table of its names."""
    if name in _AS_IN_TIMM:
        return name, {"encoder.": "backbone.network."}
    if name in _MIXED:
        return name, _MIT
    if name.startswith(_TIMM):
        return f"timm:{name.removeprefix(_TIMM)}", {"encoder.model.": "backbone.network."}
    raise MaskwrightError(
        f"{origin} has the encoder {name}, which has no counterpart here: those that can be imported are "
        f"{', '.join(sorted(_AS_IN_TIMM | _MIXED))} and timm's (tu-NAME)"
    )


def _preprocessing(backbone: str, channels: int) -> DataPlan:
    """Return what the encoder's published weights were trained with, as the library's own training recipes use it."""
    import timm

    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    if backbone.startswith("timm:"):
        config = timm.get_pretrained_cfg(backbone.removeprefix("timm:"), allow_unregistered=False)
        if config is not None:
            mean, std = config.mean, config.std
    if channels != len(mean):
        middle = (sum(mean) / len(mean), sum(std) / len(std))
        mean, std = (middle[0],) * channels, (middle[1],) * channels
    return eight_bit(mean, std, channels)
