"""From a name of the catalog to a network: options checked, backbone and decoder built, starting weights loaded."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from maskwright.core.channels import total
from maskwright.core.classes import MAX_CLASSES
from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.models.backbones import find_backbone
from maskwright.models.backbones.dilation import STRIDES
from maskwright.models.catalog import ModelEntry, find_model
from maskwright.models.heads.pixel import aux_heads
from maskwright.models.weights import MisfitError, check_fits, is_whole_model, load_exactly

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from maskwright.core.channels import Channels
    from maskwright.core.plan import ModelPlan
    from maskwright.models.backbones.base import Backbone
    from maskwright.models.segmenter import Segmenter

STRIDE = "output_stride"
SHARED: Mapping[str, Any] = {"align_corners": False}
"""Options of every model, with their defaults (see `layers.blocks.resize`)."""
SHARED_MEANINGS: Mapping[str, str] = {
    "align_corners": "let the corner pixels' centres coincide when the logits are brought to the size of the image.",
}
"""What they mean, for the pages of docs/models."""


def create(
    name: str,
    classes: int | Sequence[Channels],
    in_channels: int = 3,
    backbone: str | None = None,
    pretrained: bool = False,
    weights: str | Path | None = None,
    dropout: float = 0.0,
    **options: Any,
) -> Segmenter:
    """Build a segmenter. Initial weights are drawn from torch's global generator.

    Args:
        name: in `MODELS`, or in `catalog.IMPORTED`.
        classes: number of classes a pixel, 1..255; or the channel groups that the network shall emit.
        in_channels: of the image.
        backbone: in `BACKBONES`, `timm:NAME`, or None for the architecture's own.
        pretrained: start the backbone from published weights; the only thing that ever touches the network.
        weights: local file with the backbone's weights, of safetensors or `torch.save`, to start from.
        dropout: before the last layer, 0..1.
        options: of the architecture and of the backbone; `options_of` lists them. `aux_levels`, for any architecture:
            the levels of the backbone that get an auxiliary head, in place of what the architecture has of its own.

    Raises:
        MaskwrightError: an unknown name or option, a value outside its rule, weights that are out of reach or that do
            not fit.
    """
    entry, backbone = _find(name, backbone)
    count = classes if isinstance(classes, int) else total(classes)
    _check_numbers(count, in_channels, dropout)
    aux_levels = options.pop("aux_levels", None)
    settings = _checked_options(name, backbone, options)
    if aux_levels is not None:
        _check_own_heads(name, backbone, settings)
    path = _starting_weights(backbone, pretrained, weights)
    source = find_backbone(backbone)
    network = _backbone(source.builder, in_channels, path, backbone, _taken(settings, source.builder))
    _bring_to_stride(network, source.builder, settings)
    segmenter = entry.builder(network, count, dropout, **_taken(settings, entry.builder))
    if not isinstance(classes, int):
        segmenter.groups = tuple(classes)
    segmenter.align_corners = settings["align_corners"]
    if aux_levels is not None:
        segmenter.aux = aux_heads(network, aux_levels, count, dropout)
    return segmenter


def _backbone(
    builder: Callable[..., Backbone], in_channels: int, path: Path | None, name: str, settings: Mapping[str, Any]
) -> Backbone:
    try:
        return builder(in_channels, path, **settings)
    except MisfitError as error:
        raise MisfitError(
            f"{error}. The backbone here is {name}: for weights of another one give its name with --backbone"
        ) from None


def create_from_plan(plan: ModelPlan, classes: int | Sequence[Channels], in_channels: int) -> Segmenter:
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


def restore(
    plan: ModelPlan,
    classes: int | Sequence[Channels],
    in_channels: int,
    fitted: Callable[[Segmenter], Mapping[str, Tensor]],
    source: str,
) -> Segmenter:
    """Build the segmenter that a plan describes and fill it with weights, in evaluation mode.

    First without memory, to compare: a description that asks for more than its weights are shall not get it. torch's
    random state is as it was afterwards.

    Args:
        plan: of the network, without weights of its own.
        classes: K, or the channel groups.
        in_channels: C.
        fitted: all tensors, by the names and in the shapes of the segmenter that it is given.
        source: of the tensors, for messages.

    Raises:
        MaskwrightError: as `create`, or the tensors do not fit.
    """
    with torch.random.fork_rng(devices=[]):
        with torch.device("meta"):
            empty = create_from_plan(plan, classes, in_channels)
        check_fits(empty, fitted(empty), source)
        segmenter = create_from_plan(plan, classes, in_channels)
    load_exactly(segmenter, fitted(segmenter), source)
    return segmenter.eval()


def options_of(name: str, backbone: str | None = None) -> dict[str, Any]:
    """Return every option of an architecture and its backbone, with its default.

    An option that several know (`align_corners`) goes to all of them. The output stride that an architecture asks for
    is one of any backbone: where its builder does not know it, `create` changes the network after it is built.

    Raises:
        MaskwrightError: an unknown name.
    """
    entry, backbone = _find(name, backbone)
    of_backbone = _keywords(find_backbone(backbone).builder)
    own = entry.own if backbone == entry.default_backbone else {}
    asked = {**entry.backbone_options, **own}
    wanted = {key: value for key, value in asked.items() if key in of_backbone or key == STRIDE}
    return {**SHARED, **_keywords(entry.builder), **of_backbone, **wanted}


def backbone_options_of(name: str, backbone: str | None = None) -> dict[str, Any]:
    """Return those options of `options_of` that belong to the backbone alone, with their defaults.

    Raises:
        MaskwrightError: an unknown name.
    """
    entry, backbone = _find(name, backbone)
    known = _keywords(find_backbone(backbone).builder)
    return {key: entry.backbone_options.get(key, default) for key, default in known.items() if key not in SHARED}


def backbone_has_weights(plan: ModelPlan, in_channels: int) -> bool:
    """Whether there is anything to train in a plan's backbone; it is built to see, and torch's random state is kept.

    Raises:
        MaskwrightError: an unknown name or option.
    """
    _, backbone = _find(plan.name, plan.backbone)
    builder = find_backbone(backbone).builder
    settings = _taken(_checked_options(plan.name, backbone, plan.options), builder)
    with torch.random.fork_rng(devices=[]):
        return any(True for _ in builder(in_channels, None, **settings).parameters())


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
    entry = find_model(name)
    return entry, backbone or entry.default_backbone


def _check_numbers(classes: int, in_channels: int, dropout: float) -> None:
    if not 1 <= classes <= MAX_CLASSES:
        raise MaskwrightError(f"a model has 1 to {MAX_CLASSES} classes, not {classes}")
    if in_channels < 1:
        raise MaskwrightError(f"a model takes images of 1 channel or more, not {in_channels}")
    if not 0 <= dropout < 1:
        raise MaskwrightError(f"dropout is a share from 0 up to, but not including, 1, not {dropout}")


def _check_own_heads(name: str, backbone: str, settings: Mapping[str, Any]) -> None:
    """Refuse heads of the architecture's own that were asked for, where `aux_levels` replaces them."""
    usual = options_of(name, backbone)
    for key in ("deep_supervision", "auxiliary"):
        if settings.get(key) and not usual[key]:
            raise MaskwrightError(f"model.aux_levels replaces the heads of {key}: keep one of them")


def _keywords(builder: Callable[..., Any]) -> dict[str, Any]:
    """Return the keyword-only parameters of a builder, with their defaults: these are its options."""
    parameters = inspect.signature(builder).parameters.values()
    return {entry.name: entry.default for entry in parameters if entry.kind is entry.KEYWORD_ONLY}


def _taken(settings: Mapping[str, Any], builder: Callable[..., Any]) -> dict[str, Any]:
    """Return those of the settings that `builder` knows."""
    return {key: settings[key] for key in _keywords(builder)}


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
        return isinstance(value, list | tuple) and all(_fits(item, default[0] if default else 1) for item in value)
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, int | float)
    return isinstance(value, type(default))


def _bring_to_stride(network: Backbone, builder: Callable[..., Any], settings: Mapping[str, Any]) -> None:
    """Dilate a network whose builder knows no output stride, where one is asked for that is finer than its own.

    Raises:
        MaskwrightError: it cannot be changed: better no network than one that sees another stride than its paper's.
    """
    if STRIDE not in settings or STRIDE in _keywords(builder):
        return
    if settings[STRIDE] not in STRIDES or settings[STRIDE] < network.reductions[-1]:
        network.set_output_stride(settings[STRIDE])


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
    if weights is not None and is_whole_model(Path(weights)):
        raise MaskwrightError(
            f"{weights} holds a whole model, and a backbone's weights are wanted here: maskwright.load of it gives the "
            "model as it is, and a training starts from it with --from"
        )
    return Path(weights) if weights is not None else None
