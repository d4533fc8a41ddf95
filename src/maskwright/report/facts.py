"""Plan, data and environment as rows of tables, in words. Knows no score and no HTML."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from maskwright.core.like_faults import like_faults
from maskwright.core.plan import Plan
from maskwright.core.text import count, decimal, listing, plural, share
from maskwright.report.charts import share_bar
from maskwright.report.tables import css

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.core.classes import Classes
    from maskwright.core.fingerprint import ClassStats, Fingerprint, Spread
    from maskwright.core.records import Fault
    from maskwright.report.svg import Svg

FAULTS_A_KIND = 5
LABELS = {
    "model.name": "Network",
    "model.backbone": "Backbone",
    "model.pretrained": "Pretrained weights",
    "model.weights": "Starting weights",
    "data.channels": "Input channels",
    "data.scale": "Working resolution",
    "data.value_range": "Intensity range",
    "data.mean": "Normalisation: mean",
    "data.std": "Normalisation: standard deviation",
    "loss.terms": "Loss",
    "loss.class_weights": "Class weights",
    "sampling.crop": "Training crop",
    "sampling.batch": "Batch",
    "sampling.rare_share": "Crops centred on a class",
    "sampling.class_odds": "Class odds",
    "augment.zoom": "Zoom",
    "augment.flip_horizontal": "Horizontal flip",
    "augment.flip_vertical": "Vertical flip",
    "augment.rotate": "Rotation",
    "optim.name": "Optimiser",
    "optim.lr": "Learning rate",
    "optim.ema": "EMA decay",
    "train.steps": "Steps",
    "train.budget_seconds": "Time budget (s)",
    "train.precision": "Precision",
    "predict.tile": "Prediction tile",
    "predict.flip": "Flip averaging in prediction",
    "predict.flip_scale": "Scale of the flipped image",
    "predict.scales": "Further scales averaged in prediction",
    "predict.flip_pixels": "Largest image that is averaged so, in pixels",
    "predict.window": "Window of averages",
    "split.val": "Validation share",
    "split.test": "Test share",
    "split.group_by": "Grouping",
}


@dataclass(frozen=True)
class Decision:
    """One decision of the plan: in words, its key, its value, and why."""

    label: str
    key: str
    value: str
    why: str


@dataclass(frozen=True)
class ClassFact:
    """How often and how large one class is."""

    name: str
    color: str
    share: str
    bar: Svg
    images: tuple[str, ...]
    objects: str | None
    size: str | None
    thickness: str | None


@dataclass(frozen=True)
class FaultGroup:
    """All faults of one kind; files of which the same is said share an entry.

    Attributes:
        first: (path, message, other files, cure) of the first few.
        more: number of all other faults.
        cure: common to all; empty if they differ.
    """

    kind: str
    severity: str
    first: tuple[tuple[str, str, str, str], ...]
    more: int
    cure: str


def decisions(plan: Plan) -> tuple[list[Decision], list[Decision]]:
    """Return the decisions that have a reason, and all other values of the plan."""
    values = _flat(plan)
    reasoned = [Decision(_label(key), key, written(_lookup(plan, key)), why) for key, why in plan.reasons.items()]
    covered = tuple(plan.reasons)
    rest = [
        Decision(_label(key), key, written(value), "")
        for key, value in values.items()
        if not any(key == known or key.startswith(f"{known}.") for known in covered)
    ]
    return reasoned, rest


@dataclass(frozen=True)
class DifferingDecision:
    """One decision in which plans differ: in words, its key, and its value in each plan."""

    label: str
    key: str
    values: tuple[str, ...]


def differing(plans: Sequence[Plan]) -> list[DifferingDecision]:
    """Return the values in which plans differ, in the order of the plan."""
    flat = [_flat(plan) for plan in plans]
    return [
        DifferingDecision(_label(key), key, tuple(written(values[key]) for values in flat))
        for key, value in flat[0].items()
        if any(values[key] != value for values in flat[1:])
    ]


def written(value: Any) -> str:
    """Write a value of the plan for people: no quotes, no brackets, short numbers; nothing as a dash."""
    if value is None or value in ({}, []):
        return "-"
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, dict):
        return ", ".join(f"{key} {written(entry)}" for key, entry in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(written(entry) for entry in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def data_facts(fingerprint: Fingerprint) -> list[tuple[str, str]]:
    """Return what the data looks like, as pairs of name and value."""
    facts = [
        ("Folder", fingerprint.root),
        ("Format", f"{fingerprint.format} ({fingerprint.layout})"),
        ("Images", fingerprint.usable()),
        ("Splits", ", ".join(f"{name} {count(images)}" for name, images in fingerprint.splits.items())),
        ("Groups", count(fingerprint.groups) if fingerprint.groups else ""),
        ("Sizes (width x height)", _counted({size.replace("x", " x "): n for size, n in fingerprint.sizes.items()})),
        ("Channels", _counted({str(number): images for number, images in fingerprint.channels.items()})),
        ("Pixel type", _counted(fingerprint.dtypes)),
        ("Unlabelled pixels", share(fingerprint.ignore_share)),
        ("Near-duplicates", plural(fingerprint.near_duplicates, "image") if fingerprint.near_duplicates else "none"),
    ]
    return [(name, value) for name, value in facts if value]


def split_names(fingerprint: Fingerprint) -> list[str]:
    """Return the splits that any class is counted in, in the order met."""
    return list(dict.fromkeys(split for stats in fingerprint.class_stats for split in stats.images))


def class_facts(fingerprint: Fingerprint, classes: Classes) -> list[ClassFact]:
    """Return one row a class, in the order of the classes."""
    most = max((stats.share for stats in fingerprint.class_stats), default=1.0)
    splits = split_names(fingerprint)
    shown = zip(fingerprint.class_stats, fingerprint.shown_objects, strict=True)
    return [_class_fact(stats, css(classes, k), splits, most, objects=seen) for k, (stats, seen) in enumerate(shown)]


def fault_groups(faults: Sequence[Fault], root: str) -> list[FaultGroup]:
    """Gather faults by kind, in the order in which the kinds are met; paths are written from `root` on."""
    kinds: dict[tuple[str, str], list[Fault]] = {}
    for fault in faults:
        kinds.setdefault((fault.kind, fault.severity), []).append(fault)
    return [_fault_group(kind, severity, found, root) for (kind, severity), found in kinds.items()]


def _fault_group(kind: str, severity: str, found: list[Fault], root: str) -> FaultGroup:
    common = found[0].cure if len({fault.cure for fault in found}) == 1 else ""
    groups = like_faults(found)
    first = tuple(
        (
            _below(fault, root),
            fault.message,
            listing([_below(other, root) for other in others], FAULTS_A_KIND) if others else "",
            "" if common else fault.cure,
        )
        for fault, *others in groups[:FAULTS_A_KIND]
    )
    return FaultGroup(kind, severity, first, sum(map(len, groups[FAULTS_A_KIND:])), common)


def _class_fact(stats: ClassStats, color: str, splits: list[str], most: float, *, objects: bool) -> ClassFact:
    part = share(stats.share)
    return ClassFact(
        name=stats.name,
        color=color,
        share=part,
        bar=share_bar(stats.share, most=most, title=f"{stats.name}: {part} of the labelled pixels"),
        images=tuple(count(stats.images.get(split, 0)) for split in splits),
        objects=count(stats.objects) if objects else None,
        size=_spread(stats.size) if objects else None,
        thickness=_spread(stats.thickness) if objects else None,
    )


def _spread(spread: Spread | None) -> str | None:
    return None if spread is None else f"{decimal(spread.median)} ({decimal(spread.p10)} to {decimal(spread.p90)})"


def _counted(counts: dict[str, int]) -> str:
    """Write `a (12), b (3)`, or only `a` when there is nothing else."""
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{name} ({count(number)})" for name, number in counts.items())


def _below(fault: Fault, root: str) -> str:
    path = PurePath(fault.path)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _flat(plan: Plan) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in Plan.model_fields:
        value = getattr(plan, name)
        if isinstance(value, BaseModel):
            values.update({f"{name}.{key}": getattr(value, key) for key in type(value).model_fields})
        elif name not in {"reasons", "version"}:
            values[name] = value
    return values


def _lookup(plan: Plan, key: str) -> Any:
    """Return the value at a dotted key, or None where a reason stands for something that is no value."""
    value: Any = plan
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else getattr(value, part, None)
    return value


def _label(key: str) -> str:
    return LABELS.get(key) or key.rpartition(".")[2].replace("_", " ").capitalize()
