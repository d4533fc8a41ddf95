"""torchvision's segmentation networks: `torchvision:fcn_resnet50` and its kin.

What there is, where it lies, its classes and its preprocessing come from torchvision's own table of weights. The files
are pickles, as torchvision publishes nothing else; see `hub.torchvision_weights` for how they are read.

A file of one's own is a safetensors file of such a network's `state_dict()`, with any number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maskwright.core.errors import unknown_name
from maskwright.core.plan import ModelPlan, PredictPlan
from maskwright.models.backbones import hub
from maskwright.models.importers.naming import renamed
from maskwright.models.importers.recipe import Recipe, eight_bit, rows_of
from maskwright.models.weights import read_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_AUX = {
    "aux_classifier.0.": "aux.0.block.0.",
    "aux_classifier.1.": "aux.0.block.1.",
    "aux_classifier.4.": "aux.0.classifier.1.",
}
_FCN = {
    "backbone.": "backbone.network.",
    "classifier.0.": "decoder.block.0.",
    "classifier.1.": "decoder.block.1.",
    "classifier.4.": "head.1.",
    **_AUX,
}


@dataclass(frozen=True)
class _Network:
    """One network of torchvision's, in our words.

    Attributes:
        weights: name of its table of weights in torchvision.
        name, backbone: of ours.
        last: the weight whose rows are the classes.
        table: names (`naming`).
        auxiliary: it can have an auxiliary head.
    """

    weights: str
    name: str
    backbone: str
    last: str
    table: Mapping[str, str]
    auxiliary: bool = True


NETWORKS = {
    "fcn_resnet50": _Network("FCN_ResNet50_Weights", "fcn", "resnet50", "classifier.4.weight", _FCN),
    "fcn_resnet101": _Network("FCN_ResNet101_Weights", "fcn", "resnet101", "classifier.4.weight", _FCN),
}


def recipe(name: str, weights: Path | None) -> Recipe:
    """Read one of `NETWORKS`; see `importers.import_model`."""
    from torchvision.models import segmentation

    if name not in NETWORKS:
        raise unknown_name("network of torchvision that can be imported", name, NETWORKS)
    network = NETWORKS[name]
    published = getattr(segmentation, network.weights).DEFAULT
    tensors = hub.torchvision_weights(published) if weights is None else read_tensors(weights)
    origin = published.url.rpartition("/")[2] if weights is None else str(weights)
    count = rows_of(tensors, network.last, origin)
    categories = tuple(published.meta["categories"])
    options: dict[str, Any] = {}
    if network.auxiliary:
        options["auxiliary"] = any(key.startswith("aux_classifier.") for key in tensors)
    shown = published.transforms()
    return Recipe(
        model=ModelPlan(name=network.name, backbone=network.backbone, options=options),
        data=eight_bit(shown.mean, shown.std),
        tensors=renamed(tensors, network.table, origin),
        count=count,
        origin=origin,
        names=categories if len(categories) == count else None,
        predict=PredictPlan(tile=(_TILE, _TILE)),
    )


# They were trained on images of about 520 pixels: a photograph of 3:2 at that height goes through in one piece.
_TILE = 768
