"""segmentation_models.pytorch: `smp:REPOSITORY` or `smp:FOLDER`.

Reads what its `save_pretrained` writes: `config.json` as data, and `model.safetensors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.core.plan import ModelPlan
from maskwright.models.backbones import find_backbone
from maskwright.models.importers.naming import renamed, sliced
from maskwright.models.importers.published import find
from maskwright.models.importers.recipe import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Recipe,
    eight_bit,
    option,
    rows_of,
)
from maskwright.models.importers.smp_names import (
    DEEPLABV3PLUS,
    FPN,
    FUSE,
    HEAD,
    MIT,
    SEGFORMER,
    UNET,
    UNETPLUSPLUS,
    UPERNET,
)
from maskwright.models.without_values import without_values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

    from maskwright.core.plan import DataPlan

_LAST = "segmentation_head.0.weight"
_CHANNELS = (256, 128, 64, 32, 16)


def _unet(config: Mapping[str, Any], origin: str) -> dict[str, Any]:
    option(config, "decoder_attention_type", (None,), origin)
    option(config, "decoder_interpolation", ("nearest",), origin)
    return {"channels": list(config.get("decoder_channels", _CHANNELS)), "layout": "smp"}


def _unetplusplus(config: Mapping[str, Any], origin: str) -> dict[str, Any]:
    name = _encoder_name(config)
    with without_values():
        finest = find_backbone(_encoder(name, origin)[0]).builder(3, None).reductions[0]
    if finest > 2:
        raise MaskwrightError(
            f"{origin} uses the encoder {name} with UNet++, and its finest level has stride {finest}: UNet++ is built "
            "differently there, so only encoders with a level of stride 2 can be imported"
        )
    return _unet(config, origin)


def _deeplabv3plus(config: Mapping[str, Any], origin: str) -> dict[str, Any]:
    option(config, "decoder_aspp_separable", (True,), origin)
    stride = option(config, "encoder_output_stride", (16, 8), origin)
    rates = [rate * stride for rate in config.get("decoder_atrous_rates", (12, 24, 36))]
    if len(rates) != 3 or any(rate % 16 for rate in rates):
        raise MaskwrightError(
            f"{origin} has the rates {list(config['decoder_atrous_rates'])} at output stride {stride}: only three "
            "rates, at stride 8 even ones, can be imported"
        )
    name = _encoder_name(config)
    if name in _MIXED:
        raise MaskwrightError(
            f"{origin} uses the encoder {name} with DeepLabV3+ at output stride {stride}, but MiT supports only stride "
            "32 here: it cannot be imported"
        )
    return {
        **_aligned(config, origin),
        "layout": "smp",
        "width": int(config.get("decoder_channels", 256)),
        "rates": [rate // 16 for rate in rates],
        "output_stride": stride,
        # The library's own encoders also dilate the first block of a stage, as DeepLab does; timm's do not.
        "multi_grid": [1] if name in _AS_IN_TIMM else [],
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
    if _encoder_name(config) not in _MIXED:
        raise MaskwrightError(
            f"{origin} uses the encoder {_encoder_name(config)} with SegFormer's decoder, which then reads one level "
            f"more than ours: only {', '.join(sorted(_MIXED))} can be imported"
        )
    return {**_aligned(config, origin), "width": int(config.get("decoder_segmentation_channels", 256))}


def _aligned(config: Mapping[str, Any], origin: str) -> dict[str, Any]:
    option(config, "upsampling", (4,), origin)
    return {"align_corners": True}


def _as_is(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return tensors


@dataclass(frozen=True)
class _Architecture:
    """One architecture of the library, and its counterpart here.

    Attributes:
        name: of our architecture.
        table: names (`naming`), without those of the encoder and the head.
        options: turns the description into our options; refuses what has no counterpart.
        finish: final changes to the renamed tensors.
    """

    name: str
    table: Mapping[str, str]
    options: Callable[[Mapping[str, Any], str], dict[str, Any]]
    finish: Callable[[dict[str, Tensor]], dict[str, Tensor]] = _as_is


ARCHITECTURES = {
    "Unet": _Architecture("unet", UNET, _unet),
    "UnetPlusPlus": _Architecture("unet++", UNETPLUSPLUS, _unetplusplus),
    "DeepLabV3Plus": _Architecture("deeplabv3plus", DEEPLABV3PLUS, _deeplabv3plus),
    "FPN": _Architecture("fpn", FPN, _fpn),
    "UPerNet": _Architecture("upernet", UPERNET, _upernet),
    "Segformer": _Architecture(
        "segformer",
        SEGFORMER,
        _segformer,
        partial(sliced, name=FUSE, pattern="decoder.fuse.{n}.weight", count=4),
    ),
}
# The library's own encoders whose tensors have the names of timm's network of the same name.
_AS_IN_TIMM = {"resnet18", "resnet34", "resnet50", "resnet101", "resnet152"}
_MIXED = {f"mit_b{number}" for number in range(6)}
_TIMM = "tu-"


def recipe(name: str, weights: Path | None) -> Recipe:
    """Read a saved model of the library; see `importers.import_model`."""
    published = find(name, weights, {_LAST})
    config, origin = published.config, published.origin
    architecture = _architecture(config, origin)
    _check(config, origin)
    backbone, encoder = _encoder(_encoder_name(config), origin)
    options = architecture.options(config, origin)
    tensors = architecture.finish(renamed(published.tensors, {**encoder, **architecture.table, **HEAD}, origin))
    return Recipe(
        model=ModelPlan(name=architecture.name, backbone=backbone, options=options),
        data=_preprocessing(backbone, int(config.get("in_channels", 3))),
        tensors=tensors,
        count=rows_of(published.tensors, _LAST, origin),
        origin=origin,
        notes=published.notes,
    )


def _architecture(config: Mapping[str, Any], origin: str) -> _Architecture:
    name = config.get("_model_class")
    if name is None:
        raise MaskwrightError(
            f"the config.json of {origin} has no _model_class, so the network is unknown: save the model with the "
            "library's save_pretrained, which writes it"
        )
    if name not in ARCHITECTURES:
        raise unknown_name("architecture of segmentation_models.pytorch", str(name), ARCHITECTURES)
    return ARCHITECTURES[name]


def _check(config: Mapping[str, Any], origin: str) -> None:
    """Refuse settings that have no counterpart here in any architecture."""
    option(config, "encoder_depth", (5,), origin)
    option(config, "decoder_use_norm", ("batchnorm", True), origin)
    option(config, "decoder_use_batchnorm", (True, None), origin)
    option(config, "aux_params", (None,), origin)
    if config.get("activation") == "sigmoid" and int(config.get("classes", 1)) > 1:
        raise MaskwrightError(
            f"{origin} lets classes overlap (activation='sigmoid' with {config['classes']} classes), but here a pixel "
            "has one class: it cannot be imported"
        )


def _encoder_name(config: Mapping[str, Any]) -> str:
    return str(config.get("encoder_name", "resnet34"))


def _encoder(name: str, origin: str) -> tuple[str, dict[str, str]]:
    """Return our backbone for an encoder, and the table of its names."""
    if name in _AS_IN_TIMM:
        return name, {"encoder.": "backbone.network."}
    if name in _MIXED:
        return name, MIT
    if name.startswith(_TIMM):
        return f"timm:{name.removeprefix(_TIMM)}", {"encoder.model.": "backbone.network."}
    raise MaskwrightError(
        f"{origin} uses the encoder {name}, which has no counterpart here: the encoders that can be imported are "
        f"{', '.join(sorted(_AS_IN_TIMM | _MIXED))} and timm's (tu-NAME)"
    )


def _preprocessing(backbone: str, channels: int) -> DataPlan:
    """Return the preprocessing of the encoder's published weights, which the library's own training recipes use."""
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
