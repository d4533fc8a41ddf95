"""Builds a network from a name of the catalog: checks options, builds backbone and decoder, loads starting weights."""

from __future__ import annotations

import inspect
import json
import math
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
from maskwright.models.without_values import without_values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from maskwright.core.channels import Channels
    from maskwright.core.plan import ModelPlan
    from maskwright.models.backbones.base import Backbone
    from maskwright.models.segmenter import Segmenter

STRIDE = "output_stride"
_KINDS = {int: "whole number", float: "number", str: "word"}
SHARED: Mapping[str, Any] = {"align_corners": False}
"""Options of every model that emits maps, with their defaults (see `layers.blocks.resize`)."""
SHARED_MEANINGS: Mapping[str, str] = {
    "align_corners": "align the centres of the corner pixels when the logits are resized to the size of the image.",
}
"""Their meanings, for the pages of docs/models."""


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
        name: in `MODELS`, `OBJECT_MODELS`, `PIXEL_MODELS` or `catalog.IMPORTED`.
        classes: number of classes a pixel, 1..255; or the channel groups that the network shall emit.
        in_channels: of the image.
        backbone: in `BACKBONES`, `timm:NAME`, or None for the architecture's default.
        pretrained: start the backbone from published weights; the only option that ever uses the internet.
        weights: local file with the backbone's weights, of safetensors or `torch.save`, to start from.
        dropout: before the last layer, at least 0 and below 1.
        options: of the architecture and of the backbone; `options_of` lists them. `aux_levels`, for any architecture:
            the levels of the backbone that get an auxiliary head, instead of the architecture's own auxiliary heads.

    Raises:
        MaskwrightError: an unknown name or option, an invalid value, or weights that are unreachable or do not fit.
    """
    entry, backbone = _find(name, backbone)
    count = classes if isinstance(classes, int) else total(classes)
    _check_numbers(count, in_channels, dropout)
    aux_levels = options.pop("aux_levels", None)
    settings = _checked_options(name, backbone, options)
    if aux_levels is not None and entry.learns != "maps":
        why = "emits objects, and auxiliary heads label pixels" if entry.objects else "grows, and no auxiliary head can"
        raise MaskwrightError(f"{name} {why}: leave model.aux_levels out")
    if aux_levels is not None:
        _check_own_heads(name, backbone, settings)
    path = _starting_weights(backbone, pretrained, weights)
    source = find_backbone(backbone)
    network = _backbone(source.builder, in_channels, path, backbone, _options_for(settings, source.builder))
    _bring_to_stride(network, source.builder, settings)
    segmenter = entry.builder(network, count, dropout, **_options_for(settings, entry.builder))
    if not isinstance(classes, int):
        segmenter.groups = tuple(classes)
    segmenter.align_corners = settings.get("align_corners", False)
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
            f"{error}. The backbone is {name}: to use weights of another one, give its name with `backbone`"
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
    """Build the segmenter that a plan describes and load weights into it, in evaluation mode.

    Shapes are first compared on the meta device, so that a description cannot allocate more memory than its weights
    take. torch's random state is unchanged afterwards.

    Args:
        plan: of the network, without weights of its own.
        classes: K, or the channel groups.
        in_channels: C.
        fitted: returns all tensors, with the names and shapes of the segmenter that it receives.
        source: of the tensors, for messages.

    Raises:
        MaskwrightError: as `create`, or the tensors do not fit.
    """
    with torch.random.fork_rng(devices=[]):
        with without_values():
            empty = create_from_plan(plan, classes, in_channels)
        check_fits(empty, fitted(empty), source)
        segmenter = create_from_plan(plan, classes, in_channels)
    load_exactly(segmenter, fitted(segmenter), source)
    return segmenter.eval()


def options_of(name: str, backbone: str | None = None) -> dict[str, Any]:
    """Return every option of an architecture and its backbone, with its default.

    An option that several parts have (`align_corners`) is passed to all of them. An architecture can set the output
    stride of any backbone: if its builder has no such option, `create` changes the network after it is built.

    Raises:
        MaskwrightError: an unknown name.
    """
    entry, backbone = _find(name, backbone)
    of_backbone = _keywords(find_backbone(backbone).builder)
    own = entry.own if backbone == entry.default_backbone else {}
    asked = {**entry.backbone_options, **own}
    wanted = {key: value for key, value in asked.items() if key in of_backbone or key == STRIDE}
    shared = SHARED if entry.learns == "maps" else {}
    return {**shared, **_keywords(entry.builder), **of_backbone, **wanted}


def backbone_options_of(name: str, backbone: str | None = None) -> dict[str, Any]:
    """Return the options of `options_of` that belong only to the backbone, with their defaults.

    Raises:
        MaskwrightError: an unknown name.
    """
    entry, backbone = _find(name, backbone)
    known = _keywords(find_backbone(backbone).builder)
    return {key: entry.backbone_options.get(key, default) for key, default in known.items() if key not in SHARED}


def backbone_has_weights(plan: ModelPlan, in_channels: int) -> bool:
    """Whether a plan's backbone has anything to train; it is built to find out, and torch's random state is kept.

    Raises:
        MaskwrightError: an unknown name or option.
    """
    _, backbone = _find(plan.name, plan.backbone)
    builder = find_backbone(backbone).builder
    settings = _options_for(_checked_options(plan.name, backbone, plan.options), builder)
    with torch.random.fork_rng(devices=[]):
        return any(True for _ in builder(in_channels, None, **settings).parameters())


def resolved(plan: ModelPlan) -> ModelPlan:
    """Write out the defaults of `plan`, so that it builds the same network after a default has changed.

    The origin of the weights is left out: it is no longer needed once they are loaded.

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
        raise MaskwrightError(f"classes is {classes}, but a model has 1 to {MAX_CLASSES} classes")
    if in_channels < 1:
        raise MaskwrightError(f"in_channels is {in_channels}, but a model takes images of 1 channel or more")
    if not 0 <= dropout < 1:
        raise MaskwrightError(f"dropout is {dropout}, but must be at least 0 and below 1")


def _check_own_heads(name: str, backbone: str, settings: Mapping[str, Any]) -> None:
    """Refuse auxiliary heads of the architecture that were requested along with `aux_levels`, which replaces them."""
    usual = options_of(name, backbone)
    for key in ("deep_supervision", "auxiliary"):
        if settings.get(key) and not usual[key]:
            raise MaskwrightError(f"model.aux_levels replaces the heads of {key}: set only one of them")


def _keywords(builder: Callable[..., Any]) -> dict[str, Any]:
    """Return the keyword-only parameters of a builder, with their defaults: these are its options."""
    parameters = inspect.signature(builder).parameters.values()
    return {entry.name: entry.default for entry in parameters if entry.kind is entry.KEYWORD_ONLY}


def _options_for(settings: Mapping[str, Any], builder: Callable[..., Any]) -> dict[str, Any]:
    """Return the settings that `builder` has."""
    return {key: settings[key] for key in _keywords(builder)}


def _checked_options(name: str, backbone: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options, checking the type of the given ones against that of their default."""
    known = options_of(name, backbone)
    for key, value in options.items():
        if key not in known:
            raise unknown_name(f"option of {name} with {backbone}", key, known)
        if not _fits(value, known[key]):
            raise MaskwrightError(f"option {key} of {name} with {backbone} is {value!r}: set {_words(known[key])}")
    return {**known, **options}


def _words(default: Any) -> str:
    """Say what an option with this default can be."""
    if isinstance(default, bool):
        return "true or false"
    if isinstance(default, tuple):
        shown = f", such as its default, {json.dumps(default)}" if default else ""
        return f"a list of {_KINDS[type(default[0] if default else 1)]}s{shown}"
    return f"a {_KINDS[type(default)]}, such as its default, {default}"


def _fits(value: Any, default: Any) -> bool:
    """Whether `value` has the kind of `default`; a list counts as a tuple, as YAML has no tuples."""
    if isinstance(default, tuple):
        return isinstance(value, list | tuple) and all(_fits(item, default[0] if default else 1) for item in value)
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, type(default))


def _bring_to_stride(network: Backbone, builder: Callable[..., Any], settings: Mapping[str, Any]) -> None:
    """Dilate a network whose builder has no output stride, if one finer than its own is requested.

    Raises:
        MaskwrightError: it cannot be changed; a network with another stride than its paper's is not built.
    """
    if STRIDE not in settings or STRIDE in _keywords(builder):
        return
    if settings[STRIDE] not in STRIDES or settings[STRIDE] < network.reductions[-1]:
        network.set_output_stride(settings[STRIDE])


def _starting_weights(backbone: str, pretrained: bool, weights: str | Path | None) -> Path | None:
    """Return the file to start from, downloaded if it contains published weights."""
    if pretrained and weights is not None:
        raise MaskwrightError(
            f"both pretrained weights and the file {weights} were requested: set model.pretrained=false to start from "
            "the file, or leave the file out"
        )
    if pretrained:
        from maskwright.models.backbones.hub import pretrained_file

        return pretrained_file(backbone)
    if weights is not None and is_whole_model(Path(weights)):
        raise MaskwrightError(
            f"{weights} contains a whole model, but weights of a backbone are needed here: load the model with "
            "maskwright.load, or start training from it with `from_run`"
        )
    return Path(weights) if weights is not None else None
