"""torchvision's Mask R-CNN: `torchvision:maskrcnn_resnet50_fpn` and `torchvision:maskrcnn_resnet50_fpn_v2`.

The published weights name the 91 categories of COCO, of which 80 occur, after the background. Files of before version
0.13 have other names for some tensors, and are read too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import ModelPlan, PredictPlan
from maskwright.models.backbones import hub
from maskwright.models.importers.naming import renamed
from maskwright.models.importers.recipe import IMAGENET_MEAN, IMAGENET_STD, Recipe, eight_bit, rows_of
from maskwright.models.weights import read_network

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

SIDES = (800, 1333)
_TILE = 1344
_LAST = "roi_heads.box_predictor.cls_score.weight"
NETWORKS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "maskrcnn_resnet50_fpn": ("MaskRCNN_ResNet50_FPN_Weights", {"aligned": False}),
    "maskrcnn_resnet50_fpn_v2": ("MaskRCNN_ResNet50_FPN_V2_Weights", {"aligned": False, "version": 2}),
}
"""Name -> its table of weights in torchvision, and the options of our network."""
_SECOND = "rpn.head.conv.1.0.weight"
"""The second convolution of the region proposals, which only version 2 has."""
_HEADS = {"rpn.": "head.rpn.", "roi_heads.": "head.regions."}
_NEW = {"backbone.body.": "backbone.network.", "backbone.fpn.": "decoder.fpn.", **_HEADS}
_OLD = {
    "backbone.body.": "backbone.network.",
    "backbone.fpn.inner_blocks.{n}.": "decoder.fpn.inner_blocks.{n}.0.",
    "backbone.fpn.layer_blocks.{n}.": "decoder.fpn.layer_blocks.{n}.0.",
    "rpn.head.conv.": "head.rpn.head.conv.0.0.",
    **{f"roi_heads.mask_head.mask_fcn{n}.": f"head.regions.mask_head.{n - 1}.0." for n in (1, 2, 3, 4)},
    **_HEADS,
}


def recipe(name: str, weights: Path | None) -> Recipe:
    """Read one of `NETWORKS`; see `importers.import_model`."""
    from torchvision.models import detection

    table, options = NETWORKS[name]
    published = getattr(detection, table).DEFAULT
    file = hub.torch_archive(published.url) if weights is None else weights
    tensors, notes = read_network(file, {_LAST})
    origin = file.name if weights is None else str(file)
    count = rows_of(tensors, _LAST, origin)
    _check_version(name, tensors, origin)
    names = _category_names(published.meta["categories"])
    old = "rpn.head.conv.weight" in tensors
    ours = renamed(tensors, _OLD if old else _NEW, origin)
    if not any(key.endswith("num_batches_tracked") for key in tensors):
        original = weights is None or hub.is_torch_archive(weights, published.url)
        ours, notes = _thawed(ours, 0.0 if original else EPS), (*notes, _PUBLISHED if original else _FROZEN)
    return Recipe(
        model=ModelPlan(name="maskrcnn", backbone="resnet50", options=dict(options)),
        data=eight_bit(IMAGENET_MEAN, IMAGENET_STD).model_copy(update={"sides": SIDES, "resize": "bilinear"}),
        tensors=ours,
        count=count,
        origin=origin,
        names=names if len(names) == count else ("background", *(f"class_{row}" for row in range(1, count))),
        predict=PredictPlan(tile=(_TILE, _TILE)),
        notes=notes,
        task="instance",
        rows=count,
    )


EPS = 1e-5
"""What batch normalisation adds to the variance, except in torchvision's published `maskrcnn_resnet50_fpn`."""
_PUBLISHED = (
    "its batch normalisation is frozen and divides by the plain standard deviation, as in torchvision's published "
    f"weights; ours adds {EPS:g} to the variance, and its weights make up for that"
)
_FROZEN = (
    f"its batch normalisation is frozen, and {EPS:g} is added to the variance, as in torchvision's constructor. In its "
    "published weights nothing is added: if the training began with those, which the file does not tell, results "
    "differ slightly from torchvision's"
)


def _check_version(name: str, tensors: Mapping[str, Tensor], origin: str) -> None:
    """Refuse the weights of one version for the other.

    Raises:
        MaskwrightError: with the name of the other version.
    """
    theirs = next(
        key for key, (_, options) in NETWORKS.items() if (options.get("version") == 2) == (_SECOND in tensors)
    )
    if name != theirs:
        raise MaskwrightError(f"{origin} holds the weights of {theirs}, not of {name}: import torchvision:{theirs}")


def _category_names(categories: list[str]) -> tuple[str, ...]:
    """Number the gaps in COCO's table, which are all called N/A, and name the background as we do."""
    numbered = [f"unused_{place}" if name == "N/A" else name for place, name in enumerate(categories)]
    return ("background", *numbered[1:])


def _thawed(tensors: Mapping[str, Tensor], eps: float) -> dict[str, Tensor]:
    """Turn frozen batch normalisation that adds `eps` into ours, to the same result."""
    import torch

    found = dict(tensors)
    for name, variance in tensors.items():
        if name.endswith(".running_var"):
            norm = name.removesuffix("running_var")
            found[norm + "weight"] = tensors[norm + "weight"] * ((variance + EPS) / (variance + eps)).sqrt()
            found[norm + "num_batches_tracked"] = torch.tensor(0)
    return found
