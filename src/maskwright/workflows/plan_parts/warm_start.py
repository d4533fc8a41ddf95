"""Plan a training that starts from weights: which they are, and what is taken over along with them. Loads none."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from maskwright.core.errors import MaskwrightError
from maskwright.core.paths import model_file
from maskwright.core.plan_file import validated
from maskwright.core.text import agree, plural
from maskwright.models import bundle
from maskwright.models.build import backbone_has_weights, backbone_options_of, create_from_plan, options_of
from maskwright.models.freezing import until_step
from maskwright.models.transfer import check_channels, take_over
from maskwright.models.weights import is_whole_model
from maskwright.planning.facts import Decision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.core.channels import Channels
    from maskwright.core.plan import Plan
    from maskwright.models.bundle import Card

DILATIONS = {"output_stride", "multi_grid"}
"""Options of a backbone that change none of its weights."""
MUON = (
    "learns faster than AdamW from a maskwright model: 74.0 against 65.7 on validation images, one seed "
    "(docs/benchmarks.md)"
)


def start_from(run: Path, settings: Sequence[str], base: Plan, pins: set[str]) -> None:
    """Put into `base`, and into its pins, the model of another run as the starting weights, and its task.

    The path is written down in full, so that the training resumes from any folder.

    Raises:
        MaskwrightError: it is no model of ours, or other weights are asked for too.
    """
    rivals = {"model", "model.weights", "model.pretrained"} & {
        setting.partition("=")[0].strip() for setting in settings
    }
    if rivals:
        raise MaskwrightError(f"`from_run` {run} and `{min(rivals)}` each say what to start from: keep one of them")
    path = model_file(run)
    card, named = bundle.read_card(path), base.model
    if named.pretrained or named.weights not in {None, str(path.resolve())}:
        key = "pretrained" if named.pretrained else "weights"
        raise MaskwrightError(
            f"`from_run` {run} and model.{key} in the `plan_file` each say what to start from: keep one of them"
        )
    if "task" not in base.model_fields_set:
        base.task, base.reasons["task"] = card.task, f"as in {run}"
    base.model.weights = str(path.resolve())
    base.model.pretrained = False
    classes = ", ".join(card.classes.names[:3]) + (", ..." if len(card.classes.names) > 3 else "")
    base.reasons["model.weights"] = (
        f"weights from {run}, a model with {plural(len(card.classes.names), 'class', 'classes')} ({classes})"
    )
    pins |= {"model.weights", "model.pretrained"}


def like_its_weights(plan: Plan, pins: set[str]) -> tuple[Plan, frozenset[str]]:
    """Take over from the bundle that a training starts from what the user did not choose otherwise.

    That is the architecture with its options, the normalisation, and the optimiser that such models are trained by:
    Muon, where published weights, imported ones too, get AdamW. The range of values and the resolution belong to the
    new images, and are planned from them.

    Raises:
        MaskwrightError: the file of weights cannot be read, or is for images of other channels.
    """
    path = None if plan.model.weights is None else Path(plan.model.weights)
    if path is None or not is_whole_model(path):
        return plan, frozenset(pins)
    card = bundle.read_card(path)
    if "data.channels" in pins:
        check_channels(card, plan.data.channels, str(path))
    values, asked = plan.model_dump(mode="json"), frozenset(pins)
    for decision in _decisions(plan, card, asked, str(path)):
        if _open(decision.key, asked):
            section, name = decision.key.split(".")
            values[section][name] = decision.value
            values["reasons"][decision.key] = decision.reason
            pins.add(decision.key)
    if "model.options" not in asked:
        options = _options(values["model"], card)
        values["reasons"]["model.options"] = f"as in {path}, except what is set by hand"
        # Of another architecture the options of the decoder may yet be planned.
        alike = values["model"]["name"] == card.model.name
        pins |= {"model.options"} if alike else {f"model.options.{key}" for key in options}
        values["model"]["options"] = {**options, **values["model"]["options"]}
    return validated(values, str(path)), frozenset(pins)


def _decisions(plan: Plan, card: Card, asked: frozenset[str], path: str) -> list[Decision]:
    """Return what a bundle decides where the user asked for nothing else; of `model.options` see `_options`."""
    keys = {"model": ("name", "backbone"), "data": ("channels", "mean", "std")}
    taken = [
        Decision(f"{section}.{key}", getattr(getattr(card, section), key), f"as in {path}")
        for section, names in keys.items()
        for key in names
    ]
    if "imported" not in card.summary:  # Published weights get the optimiser that suits those: nobody compared.
        taken.append(Decision("optim.name", "muon", MUON))
    if plan.lora.rank and (_open("model.name", asked) or plan.model.name == card.model.name):
        why = "the decoder starts from trained weights too"
        taken.append(Decision("lora.decoder", value=True, reason=why))
    return taken


def _options(planned: dict[str, Any], card: Card) -> dict[str, Any]:
    """Return the options of a bundle's network that hold for the planned one.

    Of another architecture these are the options of the backbone, without its dilations: they change no weight, and
    which suit depends on the decoder.
    """
    name, backbone = planned["name"], planned["backbone"]
    if name == card.model.name:
        known = set(options_of(name, backbone))
    else:
        known = set(backbone_options_of(name, backbone)) - DILATIONS
    return {key: value for key, value in card.model.options.items() if key in known}


def _open(key: str, pins: frozenset[str]) -> bool:
    """Whether the user left a value open: neither set it, nor its section, nor a part of it."""
    return not any(f"{pin}.".startswith(f"{key}.") or key.startswith(f"{pin}.") for pin in pins)


def check(plan: Plan) -> None:
    """Refuse to freeze weights that nobody has trained, and settings that concern no weight.

    Raises:
        MaskwrightError: a frozen backbone or LoRA from scratch, a backbone without weights, one that never thaws, a
            file of weights that does not fit.
    """
    _check_backbone(plan)
    _check_thaw(plan)
    if plan.model.weights and not is_whole_model(Path(plan.model.weights)):
        with torch.random.fork_rng(devices=[]):  # now, before anything is written
            create_from_plan(plan.model, 2, plan.data.channels)
    if plan.model.pretrained or plan.model.weights:
        return
    for key, asked in (("optim.freeze", plan.optim.freeze != "none"), ("lora.rank", plan.lora.rank > 0)):
        if asked:
            why = plan.reasons.get("model.pretrained")
            raise MaskwrightError(
                f"{key} keeps weights unchanged, but here they would be random"
                f"{f' (model.pretrained is false: {why})' if why else ''}: start from a model with `from_run`, from a "
                "backbone's weights with `weights`, or leave it out",
                key,
            )


def check_fit(plan: Plan, groups: Sequence[Channels], names: Sequence[str]) -> None:
    """Refuse a model to start from that does not fit the network, before anything is written.

    Args:
        plan: of the training.
        groups: channels that the network emits.
        names: of the classes.

    Raises:
        MaskwrightError: the model has other options of the architecture, or is damaged.
    """
    path = None if plan.model.weights is None else Path(plan.model.weights)
    if path is None or not is_whole_model(path):
        return
    try:
        with torch.random.fork_rng(devices=[]):
            take_over(create_from_plan(plan.model.plain(), groups, plan.data.channels), plan.model, names, path)
    except MaskwrightError:
        name, source = plan.model.name, bundle.read_card(path).model
        usual = options_of(name, plan.model.backbone)
        own, theirs = ({**usual, **options} for options in (plan.model.options, source.options))
        other = [key for key in usual if own[key] != theirs[key]]
        if source.name != name or not other:
            raise
        values = ", ".join(f"model.options.{key}={theirs[key]}" for key in other)
        chosen = ", ".join(f"model.options.{key}={own[key]}" for key in other)
        raise MaskwrightError(
            f"{path} was trained with {values}, and its weights do not fit a network with {chosen}: leave the "
            f"{agree(len(other), 'setting', 'settings')} out, or start from another model",
            f"model.options.{other[0]}",
        ) from None


def _check_backbone(plan: Plan) -> None:
    asked = {"optim.freeze": plan.optim.freeze != "none", "optim.backbone_lr": plan.optim.backbone_lr != 1}
    key = next((key for key, wanted in asked.items() if wanted), None)
    if key is not None and not backbone_has_weights(plan.model, plan.data.channels):
        raise MaskwrightError(f"{key}: the backbone of {plan.model.name} has no weights. Leave it out", key)


def _check_thaw(plan: Plan) -> None:
    until = until_step(plan.optim.freeze)
    # A budget follows the clock: there the number of steps is a guess, and a note of the training says so.
    if plan.train.budget_seconds is None and plan.train.steps <= until < math.inf:
        raise MaskwrightError(
            f"optim.freeze is {plan.optim.freeze}: the training ends after {plan.train.steps} steps, so the backbone "
            "would never be trained. Give a smaller number, more steps, or `optim.freeze=backbone`",
            "optim.freeze",
        )
