"""Find the published weights that a training can start from on this machine. Decides nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from maskwright import models
from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones import find_backbone, packages
from maskwright.models.backbones.hub import normalisation_of, pretrained_file
from maskwright.models.catalog import find_model
from maskwright.planning.facts import Pretrained

if TYPE_CHECKING:
    from maskwright.core.plan import Plan
    from maskwright.planning.machine import Machine

PUBLISHED = {"cpu": packages.USUAL, "mps": "timm:resnet18", "cuda": "timm:resnet50"}
"""The backbone whose published weights suit a machine; that for a CPU comes as a package, and replaces the others where
theirs are out of reach."""


def find_pretrained(pinned: Plan, machine: Machine, pins: frozenset[str]) -> Pretrained:
    """Get published weights onto this machine if that can be done, and say so if not; never fail half-way.

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
    found = _reached(backbone)
    if found.available or chosen is not None or backbone == packages.USUAL:
        return found
    instead = _reached(packages.USUAL)
    return replace(instead, reason=f"{found.reason}; {instead.reason}") if instead.available else found


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
