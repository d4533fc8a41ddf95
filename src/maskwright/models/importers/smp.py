"""segmentation_models.pytorch: `smp:REPOSITORY` or `smp:FOLDER`.

What its `save_pretrained` writes is read: `config.json` as data, and `model.safetensors`. A network with one class is
read through a sigmoid there; here it becomes background and foreground with the same probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.core.plan import ModelPlan
from maskwright.models.importers.naming import renamed
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

    from maskwright.core.plan import DataPlan

_LAST = "segmentation_head.0.weight"
_HEAD = {"segmentation_head.0.": "head.1."}
_UNET = {
    "decoder.blocks.{n}.conv1.": "decoder.blocks.{n}.0.",
    "decoder.blocks.{n}.conv2.": "decoder.blocks.{n}.1.",
    **_HEAD,
}


def _unet_options(config: Mapping[str, Any], origin: str) -> dict[str, Any]:
    option(config, "decoder_attention_type", (None,), origin)
    option(config, "decoder_interpolation", ("nearest",), origin)
    return {"channels": list(config.get("decoder_channels", (256, 128, 64, 32, 16))), "head_kernel": 3}


@dataclass(frozen=True)
class _Architecture:
    """One architecture of the library, in our words.

    Attributes:
        name: of ours.
        table: names (`naming`), without the encoder's.
        options: what its description becomes; refuses what has no counterpart.
    """

    name: str
    table: Mapping[str, str]
    options: Callable[[Mapping[str, Any], str], dict[str, Any]]


ARCHITECTURES = {
    "Unet": _Architecture("unet", _UNET, _unet_options),
}
# Encoders of the library's own whose tensors are named as in timm's network of that name.
_AS_IN_TIMM = {"resnet18", "resnet34", "resnet50", "resnet101", "resnet152"}
_TIMM = "tu-"


def recipe(name: str, weights: Path | None) -> Recipe:
    """Read a saved model of the library; see `importers.import_model`."""
    published = find(name, weights)
    config, origin = published.config, published.origin
    architecture = _architecture(config, origin)
    _check(config, origin)
    backbone, encoder = _encoder(str(config.get("encoder_name", "resnet34")), origin)
    tensors = renamed(published.tensors, {**encoder, **architecture.table}, origin)
    count, names = rows_of(published.tensors, _LAST, origin), None
    if count == 1:
        tensors = binary_as_two(tensors, ("head.1.weight", "head.1.bias"))
        count, names = 2, ("background", "foreground")
    options = architecture.options(config, origin)
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
    if name.startswith(_TIMM):
        return f"timm:{name.removeprefix(_TIMM)}", {"encoder.model.": "backbone.network."}
    raise MaskwrightError(
        f"{origin} has the encoder {name}, which has no counterpart here: those that can be imported are "
        f"{', '.join(sorted(_AS_IN_TIMM))} and timm's (tu-NAME)"
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
