"""The space around a plan: what tune may change about a training, and to what. Builds no network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maskwright.core.plan_file import overridden
from maskwright.models.backbones import TIMM, packages
from maskwright.models.build import backbone_options_of, options_of
from maskwright.models.catalog import find_model
from maskwright.tuning.space import Dimension, Option, Space

if TYPE_CHECKING:
    from collections.abc import Callable

    from maskwright.core.fingerprint import Fingerprint
    from maskwright.core.plan import Plan

MULTIPLE = 32
DECODERS = ("unet", "fpn", "deeplabv3plus")
"""Architectures that are tried instead of the plan's, on its backbone: each suits other data."""
LIFTS = ("brightness", "contrast", "saturation", "hue", "gamma", "blur", "noise", "rotate", "stretch")
"""Strengths of the augmentation, which change together."""
LIMITS = {
    "brightness": 1.0,
    "contrast": 1.0,
    "saturation": 1.0,
    "hue": 1.0,
    "gamma": 0.99,
    "blur": 1.0,
    "stretch": 0.99,
}


def space_of(plan: Plan, pins: frozenset[str], found: Fingerprint) -> Space:
    """Return what may be changed about a plan.

    Args:
        plan: to begin with.
        pins: dotted keys that the user set: nothing changes them.
        found: measurements of the data.
    """
    made = [rule(plan, found) for rule in _RULES]
    return Space(tuple(dimension for dimension in made if dimension.options and not _pinned(dimension, pins)))


def candidate(plan: Plan, space: Space, choice: tuple[int, ...], found: Fingerprint) -> Plan:
    """Return the plan with a choice applied; its reasons say so.

    Raises:
        MaskwrightError: the values contradict each other.
    """
    changes = space.changes(choice)
    if not changes:
        return plan
    changed = overridden(plan, (), changes)
    for key in changes:
        changed.reasons[key] = "chosen by the search (tune)"
    height, width = _working_size(changed, found)
    crop = [min(side, _rounded(most)) for side, most in zip(changed.sampling.crop, (height, width), strict=True)]
    if crop != list(changed.sampling.crop):
        changed = overridden(changed, (), {"sampling.crop": crop})
        changed.reasons["sampling.crop"] = "not larger than the images at this working resolution"
    return changed


def _pinned(dimension: Dimension, pins: frozenset[str]) -> bool:
    keys = {key for option in dimension.options for key in option.changes}
    return any(f"{key}.".startswith(f"{pin}.") or f"{pin}.".startswith(f"{key}.") for key in keys for pin in pins)


def _working_size(plan: Plan, found: Fingerprint) -> tuple[float, float]:
    return found.heights.median * plan.data.scale, found.widths.median * plan.data.scale


def _rounded(side: float) -> int:
    return max(-(-round(side) // MULTIPLE) * MULTIPLE, 2 * MULTIPLE)


def _rate(plan: Plan, _found: Fingerprint) -> Dimension:
    factors = ((0.5, 1.0), (2.0, 1.0), (0.25, 0.5), (3.0, 0.3))
    options = (
        Option(f"learning rate x {factor:g}", {"optim.lr": float(f"{plan.optim.lr * factor:.4g}")}, weight)
        for factor, weight in factors
    )
    return Dimension("learning rate", tuple(options), 2.0)


def _network(plan: Plan, _found: Fingerprint) -> Dimension:
    """Change the decoder, the stride, the backbone, or the widths and depths of the compact backbone."""
    model = plan.model
    if find_model(model.name).learns != "maps" or model.weights:
        return Dimension("network", ())
    options = [*_stride(plan), *_decoders(plan), *_backbones(plan), *_widths(plan)]
    return Dimension("network", tuple(options), 2.0)


def _with_options(plan: Plan, **more: Any) -> dict[str, Any]:
    return {"model.options": {**plan.model.options, **more}}


def _stride(plan: Plan) -> list[Option]:
    options = {**options_of(plan.model.name, plan.model.backbone), **plan.model.options}
    finest = options.get("finest")
    if finest not in {2, 4}:
        return []
    other = 6 - finest
    return [Option(f"stride {other}", _with_options(plan, finest=other), 1.5)]


def _decoders(plan: Plan) -> list[Option]:
    """Return other architectures with their own usual options; those of the backbone stay."""
    if plan.model.name not in {"swiftnet", *DECODERS}:
        return []
    found = []
    for name in ("swiftnet", *DECODERS):
        if name != plan.model.name:
            known = backbone_options_of(name, plan.model.backbone)
            kept = {key: value for key, value in plan.model.options.items() if key in known}
            found.append(Option(name, {"model.name": name, "model.options": kept}, 0.5))
    return found


def _backbones(plan: Plan) -> list[Option]:
    """Return larger backbones of the same family whose weights are installed."""
    own = (plan.model.backbone or "").removeprefix(TIMM)
    if own not in packages.PACKAGES or not plan.model.pretrained:
        return []
    return [
        Option(name, {"model.backbone": f"{TIMM}{name}"}, 0.75)
        for name, package in packages.PACKAGES.items()
        if name != own and package.path() is not None
    ]


def _widths(plan: Plan) -> list[Option]:
    """Return other widths and depths of the compact backbone."""
    options = {**options_of(plan.model.name, plan.model.backbone), **plan.model.options}
    widths, depths = options.get("widths"), options.get("depths")
    if (plan.model.backbone or "compact") != "compact" or not isinstance(widths, list | tuple):
        return []
    found = []
    for factor in (0.7, 1.4):
        scaled = [max(round(width * factor / 8) * 8, 8) for width in widths]
        found.append(Option(f"widths x {factor:g}", _with_options(plan, widths=scaled), 1.0))
    if isinstance(depths, list | tuple):
        deeper = [*depths[:-2], *(depth + 1 for depth in depths[-2:])]
        found.append(Option("two more blocks", _with_options(plan, depths=deeper), 0.7))
        if min(depths) > 1:
            found.append(Option("fewer blocks", _with_options(plan, depths=[depth - 1 for depth in depths]), 0.7))
    return found


def _scale(plan: Plan, _found: Fingerprint) -> Dimension:
    if plan.data.sides is not None:
        return Dimension("scale", ())
    options = []
    for factor in (0.7, 1.4):
        scale = min(round(plan.data.scale * factor, 3), 1.0)
        if scale == plan.data.scale:
            continue
        tile = [_rounded(side * scale / plan.data.scale) for side in plan.predict.tile]
        options.append(Option(f"scale {scale:g}", {"data.scale": scale, "predict.tile": tile}))
    return Dimension("scale", tuple(options))


def _crop(plan: Plan, found: Fingerprint) -> Dimension:
    options = []
    for factor in (0.5, 2.0):
        limits = _working_size(plan, found)
        sides = [
            min(max(round(side * factor**0.5 / MULTIPLE) * MULTIPLE, 2 * MULTIPLE), _rounded(most))
            for side, most in zip(plan.sampling.crop, limits, strict=True)
        ]
        if sides != list(plan.sampling.crop):
            options.append(Option(f"crop {sides[1]}x{sides[0]}", {"sampling.crop": sides}))
    return Dimension("crop", tuple(options))


def _batch(plan: Plan, _found: Fingerprint) -> Dimension:
    half = plan.sampling.batch // 2
    options = (Option(f"batch {half}", {"sampling.batch": half}),) if half >= 2 else ()
    return Dimension("batch", options)


def _terms(plan: Plan, _found: Fingerprint) -> Dimension:
    if plan.task != "semantic" or set(plan.loss.terms) != {"cross_entropy", "dice"}:
        return Dimension("loss", ())
    mixes: tuple[tuple[str, dict[str, float]], ...] = (
        ("cross-entropy alone", {"cross_entropy": 1.0}),
        ("twice the Dice loss", {"cross_entropy": 1.0, "dice": 2.0}),
        ("focal and Dice loss", {"focal": 1.0, "dice": 1.0}),
        ("cross-entropy and Lovasz loss", {"cross_entropy": 1.0, "lovasz": 1.0}),
    )
    return Dimension("loss", tuple(Option(label, {"loss.terms": terms}) for label, terms in mixes))


def _class_weights(plan: Plan, _found: Fingerprint) -> Dimension:
    weights = plan.loss.class_weights
    if weights is None or len(set(weights)) < 2:
        return Dimension("class weights", ())
    root = [weight**0.5 for weight in weights]
    mean = sum(root) / len(root)
    milder = [round(weight / mean, 4) for weight in root]
    return Dimension(
        "class weights",
        (
            Option("no class weights", {"loss.class_weights": None}),
            Option("milder class weights", {"loss.class_weights": milder}),
        ),
    )


def _rare(plan: Plan, _found: Fingerprint) -> Dimension:
    if not plan.sampling.rare_share:
        return Dimension("crops on a class", ())
    options = (
        Option(f"{share:.0%} of the crops on a class", {"sampling.rare_share": share})
        for share in (0.2, 0.8)
        if share != plan.sampling.rare_share
    )
    return Dimension("crops on a class", tuple(options))


def _augmentation(plan: Plan, _found: Fingerprint) -> Dimension:
    options = []
    for factor in (0.5, 1.6):
        changes: dict[str, Any] = {}
        for name in LIFTS:
            value = getattr(plan.augment, name)
            if value:
                changes[f"augment.{name}"] = round(min(value * factor, LIMITS.get(name, 180.0)), 4)
        low, high = plan.augment.zoom
        changes["augment.zoom"] = [round(low ** (factor**0.5), 3), round(high ** (factor**0.5), 3)]
        options.append(Option(f"augmentation x {factor:g}", changes))
    return Dimension("augmentation", tuple(options), 1.5)


def _decay(plan: Plan, _found: Fingerprint) -> Dimension:
    if not plan.optim.weight_decay:
        return Dimension("weight decay", ())
    values = (plan.optim.weight_decay * factor for factor in (0.2, 4.0))
    options = (Option(f"weight decay {value:g}", {"optim.weight_decay": value}) for value in values)
    return Dimension("weight decay", tuple(options), 0.7)


_RULES: tuple[Callable[[Plan, Fingerprint], Dimension], ...] = (
    _rate,
    _network,
    _scale,
    _crop,
    _batch,
    _terms,
    _class_weights,
    _rare,
    _augmentation,
    _decay,
)
