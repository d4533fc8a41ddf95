"""Backbones: image to feature pyramid. The table below names ours and the timm ones worth trying first.

Nothing here imports timm before a timm backbone is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones import compact, patches, stdc, timm_backbone

if TYPE_CHECKING:
    from collections.abc import Callable

    from maskwright.models.backbones.base import Backbone

TIMM = "timm:"


@dataclass(frozen=True)
class BackboneEntry:
    """One backbone of the catalog.

    Attributes:
        builder: `builder(in_channels, weights, **options)`.
        summary: what it is and when to take it, in a few words.
        timm: its name in timm, where published weights come from; None for our own.
    """

    builder: Callable[..., Backbone]
    summary: str
    timm: str | None = None


def _timm(name: str, summary: str) -> BackboneEntry:
    return BackboneEntry(partial(timm_backbone.build, name), summary, name)


BACKBONES: dict[str, BackboneEntry] = {
    "compact": BackboneEntry(compact.build, "small residual network of our own, to train from scratch on a CPU"),
    "patches": BackboneEntry(patches.build, "the pixels of the image in patches, and no weights: for renet"),
    "stdc1": BackboneEntry(stdc.build, "dense real-time network: for ppliteseg"),
    "stdc2": BackboneEntry(partial(stdc.build, repeats=(4, 5, 3)), "the same, twice as deep"),
    "resnet18": _timm("resnet18", "residual network, 18 layers: the usual choice with pretrained weights"),
    "resnet34": _timm("resnet34", "residual network, 34 layers"),
    "resnet50": _timm("resnet50", "residual network, 50 layers"),
    "resnet101": _timm("resnet101", "residual network, 101 layers"),
    "mobilenetv3_large_100": _timm("mobilenetv3_large_100", "inverted residuals, for phones"),
    "efficientnet_b0": _timm("efficientnet_b0", "inverted residuals with squeeze and excitation"),
    "regnety_004": _timm("regnety_004", "regular network of a designed width, 0.4 GFLOP"),
    "convnext_tiny": _timm("convnext_tiny", "modern convolutions; strong with pretrained weights"),
    "hrnet_w18": _timm("hrnet_w18", "keeps a fine resolution throughout"),
}


def find_backbone(name: str) -> BackboneEntry:
    """Look up a backbone: a name of the table, `timm:NAME`, or a bare name that timm knows.

    Raises:
        MaskwrightError: neither we nor timm know the name.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    import timm

    bare = name.removeprefix(TIMM)
    if timm.is_model(bare.partition(".")[0]):
        return _timm(bare, f"timm's {bare}")
    near = get_close_matches(bare, [*BACKBONES, *timm.list_models()], n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise MaskwrightError(
        f"{name!r} is no backbone: {hint}the ones to start with are {', '.join(BACKBONES)}, and any timm network with "
        "features_only works as timm:NAME"
    )
