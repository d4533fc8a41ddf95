"""The catalog: every architecture by name, and the one function that builds them.

A newcomer writes one file in `decoders/` with a `build(backbone, classes, dropout, *, options)` and adds one line here.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskwright.core.classes import MAX_CLASSES
from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.models.backbones import find_backbone
from maskwright.models.decoders import deeplabv3plus, fcn, pspnet, swiftnet, unet
from maskwright.models.heads.pixel import aux_heads
from maskwright.models.weights import is_whole_model, load_whole_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from maskwright.core.plan import ModelPlan
    from maskwright.models.segmenter import Segmenter


@dataclass(frozen=True)
class ModelEntry:
    """One architecture of the catalog.

    Attributes:
        builder: `builder(backbone, classes, dropout, **options) -> Segmenter`.
        paper: authors and short title.
        year: of publication.
        url: of the paper.
        default_backbone: in `BACKBONES`.
        summary: what it is and when to take it, in a few words.
        backbone_options: what this architecture asks of its backbone unless told otherwise.
    """

    builder: Callable[..., Segmenter]
    paper: str
    year: int
    url: str
    default_backbone: str
    summary: str
    backbone_options: Mapping[str, Any] = field(default_factory=dict)


MODELS: dict[str, ModelEntry] = {
    "swiftnet": ModelEntry(
        swiftnet.build,
        "Orsic et al., In Defense of Pre-trained ImageNet Architectures",
        2019,
        "https://arxiv.org/abs/1903.08469",
        "compact",
        "light ladder over spatial pyramid pooling: fast on a CPU, our default",
    ),
    "unet": ModelEntry(
        unet.build,
        "Ronneberger et al., U-Net",
        2015,
        "https://arxiv.org/abs/1505.04597",
        "compact",
        "ladder of concatenations down to full resolution: fine structures, few images",
    ),
    "deeplabv3plus": ModelEntry(
        deeplabv3plus.build,
        "Chen et al., Encoder-Decoder with Atrous Separable Convolution",
        2018,
        "https://arxiv.org/abs/1802.02611",
        "resnet18",
        "context by dilated convolutions, with a small decoder: strong with pretrained weights",
        {"output_stride": 16},
    ),
    "pspnet": ModelEntry(
        pspnet.build,
        "Zhao et al., Pyramid Scene Parsing Network",
        2017,
        "https://arxiv.org/abs/1612.01105",
        "resnet18",
        "context by averages over grids, at stride 8: scenes with large regions",
        {"output_stride": 8},
    ),
    "fcn": ModelEntry(
        fcn.build,
        "Long et al., Fully Convolutional Networks",
        2015,
        "https://arxiv.org/abs/1411.4038",
        "resnet18",
        "dilated backbone and a classifier, at stride 8: the baseline",
        {"output_stride": 8},
    ),
}


def create(
    name: str,
    classes: int,
    in_channels: int = 3,
    backbone: str | None = None,
    pretrained: bool = False,
    weights: str | Path | None = None,
    dropout: float = 0.0,
    **options: Any,
) -> Segmenter:
    """Build a segmenter. Initial weights are drawn from torch's global generator.

    Args:
        name: in `MODELS`.
        classes: number of logits a pixel, 1..255.
        in_channels: of the image.
        backbone: in `BACKBONES`, `timm:NAME`, or None for the architecture's own.
        pretrained: start the backbone from published weights; the only thing that ever touches the network.
        weights: local safetensors file to start from: a bundle of the same architecture, or a backbone's weights.
        dropout: before the last layer, 0..1.
        options: of the architecture and of the backbone; `options_of` lists them. `aux_levels`, for any architecture:
            the levels of the backbone that get an auxiliary head, in place of what the architecture has of its own.

    Raises:
        MaskwrightError: an unknown name or option, a value outside its rule, weights that are out of reach or that do
            not fit.
    """
    entry, backbone = _find(name, backbone)
    _check_numbers(classes, in_channels, dropout)
    aux_levels = options.pop("aux_levels", None)
    settings = _checked_options(name, backbone, options)
    path = _starting_weights(backbone, pretrained, weights)
    whole = path is not None and weights is not None and is_whole_model(path)
    source = find_backbone(backbone)
    of_backbone = {key: value for key, value in settings.items() if key in _keywords(source.builder)}
    of_model = {key: value for key, value in settings.items() if key not in of_backbone}
    network = source.builder(in_channels, None if whole else path, **of_backbone)
    segmenter = entry.builder(network, classes, dropout, **of_model)
    if aux_levels is not None:
        segmenter.aux = aux_heads(network, aux_levels, classes, dropout)
    if whole:
        assert path is not None
        load_whole_model(segmenter, path)
    return segmenter


def create_from_plan(plan: ModelPlan, classes: int, in_channels: int) -> Segmenter:
    """Build the segmenter that a plan describes; see `create`."""
    return create(
        plan.name,
        classes,
        in_channels,
        plan.backbone,
        plan.pretrained,
        plan.weights,
        plan.dropout,
        aux_levels=plan.aux_levels,
        **plan.options,
    )


def options_of(name: str, backbone: str | None = None) -> dict[str, Any]:
    """Return every option of an architecture and its backbone, with its default.

    Raises:
        MaskwrightError: an unknown name.
    """
    entry, backbone = _find(name, backbone)
    of_backbone = _keywords(find_backbone(backbone).builder)
    wanted = {key: value for key, value in entry.backbone_options.items() if key in of_backbone}
    return {**_keywords(entry.builder), **of_backbone, **wanted}


def resolved(plan: ModelPlan) -> ModelPlan:
    """Write out what `plan` leaves to defaults, so that it builds the same network after a default has changed.

    Where the weights came from is left out: it is of no use once they are there.

    Raises:
        MaskwrightError: an unknown name or option.
    """
    _, backbone = _find(plan.name, plan.backbone)
    options = _checked_options(plan.name, backbone, plan.options)
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
    return plan.model_copy(update={"backbone": backbone, "options": plain, "pretrained": False, "weights": None})


def _find(name: str, backbone: str | None) -> tuple[ModelEntry, str]:
    if name not in MODELS:
        raise unknown_name("model", name, MODELS)
    entry = MODELS[name]
    return entry, backbone or entry.default_backbone


def _check_numbers(classes: int, in_channels: int, dropout: float) -> None:
    if not 1 <= classes <= MAX_CLASSES:
        raise MaskwrightError(f"a model has 1 to {MAX_CLASSES} classes, not {classes}")
    if in_channels < 1:
        raise MaskwrightError(f"a model takes images of 1 channel or more, not {in_channels}")
    if not 0 <= dropout < 1:
        raise MaskwrightError(f"dropout is a share from 0 up to, but not including, 1, not {dropout}")


def _keywords(builder: Callable[..., Any]) -> dict[str, Any]:
    """Return the keyword-only parameters of a builder, with their defaults: these are its options."""
    parameters = inspect.signature(builder).parameters.values()
    return {entry.name: entry.default for entry in parameters if entry.kind is entry.KEYWORD_ONLY}


def _checked_options(name: str, backbone: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options, the given ones checked against the type of their default."""
    known = options_of(name, backbone)
    for key, value in options.items():
        if key not in known:
            raise unknown_name(f"option of {name} with {backbone}", key, known)
        if not _fits(value, known[key]):
            raise MaskwrightError(
                f"option {key} of {name} with {backbone} is {value!r}: give it like its default, {known[key]!r}"
            )
    return {**known, **options}


def _fits(value: Any, default: Any) -> bool:
    """Whether `value` is of the kind of `default`; a list stands for a tuple, as YAML has no tuples."""
    if isinstance(default, tuple):
        return isinstance(value, list | tuple) and all(_fits(item, default[0]) for item in value)
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, int | float)
    return isinstance(value, type(default))


def _starting_weights(backbone: str, pretrained: bool, weights: str | Path | None) -> Path | None:
    """Return the file to start from, fetched where it is published weights."""
    if pretrained and weights is not None:
        raise MaskwrightError(
            f"both pretrained weights and the file {weights} are asked for: set model.pretrained=false to start from "
            "the file, or leave the file out"
        )
    if pretrained:
        from maskwright.models.backbones.hub import pretrained_file

        return pretrained_file(backbone)
    return Path(weights) if weights is not None else None
