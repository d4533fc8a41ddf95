"""torchvision's networks: `torchvision:fcn_resnet50` and others; `torchvision_detectors` has those that find objects.

Classes, preprocessing and the address of the weights come from torchvision's own table. The weights may also be your
own file: the `state_dict()` of such a network, with any number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from maskwright.core.errors import unknown_name
from maskwright.core.plan import ModelPlan, PredictPlan
from maskwright.models.backbones import hub
from maskwright.models.importers import torchvision_detectors
from maskwright.models.importers.naming import renamed
from maskwright.models.importers.recipe import Recipe, eight_bit, rows_of
from maskwright.models.weights import read_network

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

_NAMED = (
    "the file has no class names; as it has {count} classes, they are assumed to be those of torchvision's published "
    "weights; pass other names with `classes`"
)
# They were trained on images of about 520 pixels: a 3:2 photograph of that height fits into one tile.
_TILE = 768
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
_ASPP = {
    **{f"classifier.0.convs.{branch}.": f"decoder.pooling.branches.{branch}." for branch in range(4)},
    "classifier.0.convs.4.1.": "decoder.pooling.image.0.",
    "classifier.0.convs.4.2.": "decoder.pooling.image.1.",
    "classifier.0.project.": "decoder.pooling.project.",
}
_DEEPLABV3 = {
    "backbone.": "backbone.network.",
    **_ASPP,
    "classifier.1.": "decoder.refine.0.",
    "classifier.2.": "decoder.refine.1.",
    "classifier.4.": "head.1.",
    **_AUX,
}
_LRASPP = {
    "backbone.": "backbone.features.",
    "classifier.cbr.": "decoder.block.",
    "classifier.scale.1.": "decoder.gate.",
    "classifier.low_classifier.": "low.",
    "classifier.high_classifier.": "high.",
}


def _as_is(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return tensors


def _one_classifier(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Concatenate LR-ASPP's two classifiers, whose results are added, into one."""
    import torch

    rest = {name: tensor for name, tensor in tensors.items() if not name.startswith(("low.", "high."))}
    rest["head.1.weight"] = torch.cat([tensors["high.weight"], tensors["low.weight"]], dim=1)
    rest["head.1.bias"] = tensors["high.bias"] + tensors["low.bias"]
    return rest


@dataclass(frozen=True)
class _Network:
    """One network of torchvision, and its counterpart here.

    Attributes:
        weights: name of its table of weights in torchvision.
        name, backbone: of our network.
        last: the weight whose rows are the classes.
        table: names (`naming`).
        options: of our network.
        finish: final changes to the renamed tensors.
        auxiliary: whether it can have an auxiliary head.
    """

    weights: str
    name: str
    backbone: str
    last: str
    table: Mapping[str, str]
    options: Mapping[str, Any] = field(default_factory=dict)
    finish: Callable[[dict[str, Tensor]], dict[str, Tensor]] = _as_is
    auxiliary: bool = True


# Rates 12, 24, 36 at output stride 8; our option gives them for 16. No multi-grid.
_RATES = {"refine": True, "output_stride": 8, "multi_grid": [], "rates": [6, 12, 18]}
_LAST = "classifier.4.weight"
NETWORKS = {
    "fcn_resnet50": _Network("FCN_ResNet50_Weights", "fcn", "resnet50", _LAST, _FCN),
    "fcn_resnet101": _Network("FCN_ResNet101_Weights", "fcn", "resnet101", _LAST, _FCN),
    "deeplabv3_resnet50": _Network("DeepLabV3_ResNet50_Weights", "deeplabv3", "resnet50", _LAST, _DEEPLABV3, _RATES),
    "deeplabv3_resnet101": _Network("DeepLabV3_ResNet101_Weights", "deeplabv3", "resnet101", _LAST, _DEEPLABV3, _RATES),
    "lraspp_mobilenet_v3_large": _Network(
        "LRASPP_MobileNet_V3_Large_Weights",
        "lraspp",
        "mobilenet_v3_large",
        "classifier.low_classifier.weight",
        _LRASPP,
        {"output_stride": 16},
        _one_classifier,
        auxiliary=False,
    ),
}


def recipe(name: str, weights: Path | None) -> Recipe:
    """Read one of `NETWORKS`; see `importers.import_model`."""
    from torchvision.models import segmentation

    if name in torchvision_detectors.NETWORKS:
        return torchvision_detectors.recipe(name, weights)
    if name not in NETWORKS:
        raise unknown_name("network of torchvision", name, {**NETWORKS, **torchvision_detectors.NETWORKS})
    network = NETWORKS[name]
    published = getattr(segmentation, network.weights).DEFAULT
    file = hub.torch_archive(published.url) if weights is None else weights
    tensors, notes = read_network(file, {network.last})
    origin = file.name if weights is None else str(file)
    count = rows_of(tensors, network.last, origin)
    categories = tuple(published.meta["categories"])
    options = dict(network.options)
    if network.auxiliary:
        options["auxiliary"] = any(key.startswith("aux_classifier.") for key in tensors)
    shown = published.transforms()
    return Recipe(
        model=ModelPlan(name=network.name, backbone=network.backbone, options=options),
        data=eight_bit(shown.mean, shown.std),
        tensors=network.finish(renamed(tensors, network.table, origin)),
        count=count,
        origin=origin,
        names=categories if len(categories) == count else None,
        predict=PredictPlan(tile=(_TILE, _TILE)),
        notes=notes + ((_NAMED.format(count=count),) if weights is not None and len(categories) == count else ()),
    )
