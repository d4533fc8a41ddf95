"""Backbones: image to feature pyramid. The table below names ours and the timm ones worth trying first.

timm is imported only when one of its backbones is built that is not an EfficientNet-Lite, and transformers only for an
imported backbone of that library.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError, nearest, unknown_name
from maskwright.models.backbones import (
    compact,
    efficientnet_lite,
    filters,
    mit,
    mobilenet,
    patches,
    pidinet,
    stdc,
    timm_backbone,
    transformers_backbone,
    unet,
    vgg,
    vit,
)

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
        timm: its name in timm, which publishes weights for it; None for our own.
    """

    builder: Callable[..., Backbone]
    summary: str
    timm: str | None = None


def _timm(name: str, summary: str) -> BackboneEntry:
    return BackboneEntry(partial(timm_backbone.build, name), summary, name)


def _vit(name: str, summary: str) -> BackboneEntry:
    return BackboneEntry(partial(vit.build, name), summary, name)


def _mit(number: int, widths: tuple[int, ...], depths: tuple[int, ...]) -> BackboneEntry:
    """Return MiT-B`number` (Xie et al. 2021) with the depths of their code; their table 6 has 3 for 4 in B2, B3."""
    builder = partial(mit.build, widths=widths, depths=depths, drop_path=0.1)
    return BackboneEntry(builder, f"Mix Transformer B{number}, {sum(depths)} blocks: SegFormer's backbone")


_MIT_WIDTHS = (64, 128, 320, 512)

BACKBONES: dict[str, BackboneEntry] = {
    "compact": BackboneEntry(compact.build, "our small residual network, to train from scratch on a CPU"),
    "unet": BackboneEntry(unet.build, "contracting path of the original U-Net, for unet2015"),
    "mit": BackboneEntry(mit.build, "small Mix Transformer, to train from scratch on a CPU"),
    "mit_b0": _mit(0, (32, 64, 160, 256), (2, 2, 2, 2)),
    "mit_b1": _mit(1, _MIT_WIDTHS, (2, 2, 2, 2)),
    "mit_b2": _mit(2, _MIT_WIDTHS, (3, 4, 6, 3)),
    "mit_b3": _mit(3, _MIT_WIDTHS, (3, 4, 18, 3)),
    "mit_b4": _mit(4, _MIT_WIDTHS, (3, 8, 27, 3)),
    "mit_b5": _mit(5, _MIT_WIDTHS, (3, 6, 40, 3)),
    "plain": BackboneEntry(
        partial(vgg.build, width_factor=0.5, depths=(1, 1, 1, 1), batch_norm=True),
        "one convolution and one pooling, four times: the baseline",
    ),
    "vgg16_narrow": BackboneEntry(
        partial(vgg.build, width_factor=0.25, batch_norm=True),
        "VGG-16 with a quarter of the width, batch normalised: to train from scratch on a CPU",
    ),
    "vgg16": BackboneEntry(vgg.build, "VGG-16 of the paper, without batch normalisation: needs weights", "vgg16"),
    "vgg16_bn": BackboneEntry(partial(vgg.build, batch_norm=True), "VGG-16, batch normalised", "vgg16_bn"),
    "patches": BackboneEntry(patches.build, "the image cut into patches, without weights: for renet"),
    "pidinet": BackboneEntry(pidinet.build, "convolutions of pixel differences: for pidinet"),
    "filters": BackboneEntry(filters.build, "a fixed bank of filters at several scales, without weights: for forest"),
    "stdc1": BackboneEntry(stdc.build, "dense real-time network: for ppliteseg"),
    "stdc2": BackboneEntry(partial(stdc.build, repeats=(4, 5, 3)), "the same, twice as deep"),
    "resnet18": _timm("resnet18", "residual network, 18 layers: the usual choice with pretrained weights"),
    "resnet34": _timm("resnet34", "residual network, 34 layers"),
    "resnet50": _timm("resnet50", "residual network, 50 layers"),
    "resnet101": _timm("resnet101", "residual network, 101 layers"),
    "mobilenetv3_large_100": _timm("mobilenetv3_large_100", "inverted residuals, for phones"),
    "mobilenet_v3_large": BackboneEntry(mobilenet.build, "the same in torchvision's form, used by its LR-ASPP"),
    "efficientnet_b0": _timm("efficientnet_b0", "inverted residuals with squeeze and excitation"),
    "regnety_004": _timm("regnety_004", "regular network of a designed width, 0.4 GFLOP"),
    "convnext_tiny": _timm("convnext_tiny", "modern convolutions; strong with pretrained weights"),
    "vit_small_patch14_dinov2": _vit("vit_small_patch14_dinov2", "plain transformer, strong frozen (DINOv2)"),
    "vit_small_patch16_dinov3": _vit("vit_small_patch16_dinov3", "plain transformer, strong frozen (DINOv3)"),
    "hrnet_w18": _timm("hrnet_w18", "keeps a fine resolution throughout"),
}


def find_backbone(name: str) -> BackboneEntry:
    """Look up a backbone: a name of the table, `timm:NAME`, a bare name that timm knows, or `transformers`.

    The last comes only with imported models, so it is not in the table.

    Raises:
        MaskwrightError: neither the table nor timm has the name.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    if name == transformers_backbone.NAME:
        return BackboneEntry(transformers_backbone.build, "a network of the transformers library, from an import")
    bare = name.removeprefix(TIMM)
    if bare in efficientnet_lite.SCALES:
        return BackboneEntry(partial(efficientnet_lite.build, bare), f"timm's {bare}, built without timm", bare)
    import timm

    network, dot, _ = bare.partition(".")
    if timm.is_model(network):
        tagged = timm.models.get_arch_pretrained_cfgs(network)  # also tags without weights: `untrained`
        if dot and bare not in tagged:
            raise unknown_name("pretrained weights", bare, [network, *tagged], "model.backbone")
        plain = timm.models.is_model_in_modules(bare, vit.FAMILIES)
        return _vit(bare, f"timm's {bare}") if plain else _timm(bare, f"timm's {bare}")
    near = nearest(bare, timm.list_models() if name.startswith(TIMM) else [*BACKBONES, *timm.list_models()])
    hint = f": did you mean {near!r}?" if near else ":"
    raise MaskwrightError(
        f"unknown backbone {name!r}{hint} Available: {', '.join(BACKBONES)}, and any timm network with features_only "
        "as timm:NAME"
    )
