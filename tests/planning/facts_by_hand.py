"""Fingerprints, machines and facts made by hand: the rules see only these."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from maskwright.core.fingerprint import ChannelStats, ClassStats, Fingerprint, Spread
from maskwright.planning.facts import Decision, Facts, Pretrained
from maskwright.planning.machine import Machine

CPU = Machine("cpu", "a processor", cores=2, memory_bytes=4 * 2**30, bfloat16=True)
CUDA = Machine("cuda", "a GPU", cores=8, memory_bytes=40 * 2**30, bfloat16=True)
OUT_OF_REACH = Pretrained("timm:resnet18", available=False, reason="the hub is out of reach")


def flat(value: float) -> Spread:
    return Spread(value, value, value, value, value)


def kind(name: str, share: float, thickness: float | None = 30.0) -> ClassStats:
    """A class that fills `share` of the pixels with objects `thickness` wide."""
    objects = None if thickness is None else flat(thickness)
    return ClassStats(name, round(share * 1e6), share, {"train": 8}, 9 if objects else 0, objects, objects)


def fingerprint(height: float = 240, width: float = 320, **changes: Any) -> Fingerprint:
    values: dict[str, Any] = {
        "root": "data",
        "format": "folder",
        "layout": "images/ + masks/",
        "images": 12,
        "splits": {"train": 8, "val": 2, "test": 2},
        "heights": flat(height),
        "widths": flat(width),
        "sizes": {},
        "channels": {3: 12},
        "dtypes": {"uint8": 12},
        "intensity": tuple(
            ChannelStats(0, 255, mean, std, 5, 250, mean, std) for mean, std in ((100, 50), (110, 60), (0, 0))
        ),
        "class_stats": (kind("ground", 0.9), kind("leaf", 0.1)),
        "ignore_share": 0.0,
        "flip_horizontal": 1.0,
        "flip_vertical": 0.2,
        "groups": 0,
        "near_duplicates": 0,
        "decode_seconds": 0.001,
    }
    return Fingerprint(**{**values, **changes})


def facts(found: Fingerprint | None = None, machine: Machine = CPU, **changes: Any) -> Facts:
    made = Facts(found or fingerprint(), machine, train_images=8, train_seconds=None, pretrained=OUT_OF_REACH)
    return replace(made, **changes)


def values(decisions: list[Decision]) -> dict[str, Any]:
    """Return key -> value, after a look that each says why."""
    for decision in decisions:
        assert len(decision.reason.split()) >= 3, decision
    return {decision.key: decision.value for decision in decisions}


def reason(decisions: list[Decision], key: str) -> str:
    return next(decision.reason for decision in decisions if decision.key == key)
