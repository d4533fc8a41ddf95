"""Mask2Former of the transformers library, over ResNet or Swin: names and settings.

ResNet becomes timm's; Swin keeps the library's layers (`transformers_networks`), and only then the library is needed.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import ModelPlan
from maskwright.core.text import plural
from maskwright.models.backbones.transformers_backbone import NAME
from maskwright.models.importers.naming import joined, renamed
from maskwright.models.importers.recipe import option, rows_of
from maskwright.models.importers.transformers_networks import in_memory, refuse_fetching
from maskwright.models.objects.query_decoder import PIXEL_HIDDEN, QUERY_HIDDEN
from maskwright.models.weights.transformers_config import INNER, build_config, describe_config

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from maskwright.models.importers.published import Published
    from maskwright.models.importers.recipe import Recipe

LAST = "class_predictor.weight"
_BUILDER = "Mask2FormerForUniversalSegmentation"
_ENCODER = "model.pixel_level_module.encoder."
_PIXELS, _PIXEL = "model.pixel_level_module.decoder.", "model.pixel_level_module.decoder.encoder.layers.{n}."
_QUERIES, _QUERY = "model.transformer_module.", "model.transformer_module.decoder.layers.{n}."
_OUR_PIXEL, _OUR_QUERY = "decoder.pixels.layers.{n}.", "decoder.layers.{n}."
_DECODER = {
    f"{_PIXEL}self_attn.sampling_offsets.": f"{_OUR_PIXEL}attention.offsets.",
    f"{_PIXEL}self_attn.attention_weights.": f"{_OUR_PIXEL}attention.weights.",
    f"{_PIXEL}self_attn.value_proj.": f"{_OUR_PIXEL}attention.values.",
    f"{_PIXEL}self_attn.output_proj.": f"{_OUR_PIXEL}attention.output.",
    f"{_PIXEL}self_attn_layer_norm.": f"{_OUR_PIXEL}norm1.",
    f"{_PIXEL}fc1.": f"{_OUR_PIXEL}expand.",
    f"{_PIXEL}fc2.": f"{_OUR_PIXEL}reduce.",
    f"{_PIXEL}final_layer_norm.": f"{_OUR_PIXEL}norm2.",
    f"{_PIXELS}input_projections.": "decoder.pixels.projections.",
    f"{_PIXELS}adapter_1.": "decoder.pixels.laterals.0.",
    f"{_PIXELS}layer_1.": "decoder.pixels.blends.0.",
    f"{_PIXELS}level_embed": "decoder.pixels.levels",
    f"{_PIXELS}mask_projection.": "decoder.pixels.masks.",
    f"{_QUERY}cross_attn.": f"{_OUR_QUERY}cross.",
    f"{_QUERY}cross_attn_layer_norm.": f"{_OUR_QUERY}norm1.",
    f"{_QUERY}self_attn.": f"{_OUR_QUERY}own.",
    f"{_QUERY}self_attn_layer_norm.": f"{_OUR_QUERY}norm2.",
    f"{_QUERY}fc1.": f"{_OUR_QUERY}expand.",
    f"{_QUERY}fc2.": f"{_OUR_QUERY}reduce.",
    f"{_QUERY}final_layer_norm.": f"{_OUR_QUERY}norm3.",
    f"{_QUERIES}decoder.layernorm.": "decoder.norm.",
    **{f"{_QUERIES}decoder.mask_predictor.mask_embedder.{n}.0.": f"decoder.draw.{2 * n}." for n in range(3)},
    f"{_QUERIES}queries_features.weight": "decoder.queries",
    f"{_QUERIES}queries_embedder.weight": "decoder.places",
    f"{_QUERIES}level_embed.weight": "decoder.levels",
    "class_predictor.": "head.classes.",
    "criterion.": "",
}
_CODES = ("decoder.pixels.levels", "decoder.queries", "decoder.places", "decoder.levels")
_RESNET = {
    f"{_ENCODER}embedder.embedder.convolution.": "backbone.network.conv1.",
    f"{_ENCODER}embedder.embedder.normalization.": "backbone.network.bn1.",
    **{
        f"{_ENCODER}encoder.stages.{stage}.layers.{{n}}.{theirs}": f"backbone.network.layer{stage + 1}.{{n}}.{ours}"
        for stage in range(4)
        for theirs, ours in (
            *((f"layer.{place}.convolution.", f"conv{place + 1}.") for place in range(3)),
            *((f"layer.{place}.normalization.", f"bn{place + 1}.") for place in range(3)),
            ("shortcut.convolution.", "downsample.0."),
            ("shortcut.normalization.", "downsample.1."),
        )
    },
}
# Kind of block, depths and widths -> its name in timm (He et al. 2016, table 1).
_BASIC, _BOTTLENECK = (64, 128, 256, 512), (256, 512, 1024, 2048)
RESNETS = {
    ("basic", (2, 2, 2, 2), _BASIC): "resnet18",
    ("basic", (3, 4, 6, 3), _BASIC): "resnet34",
    ("bottleneck", (3, 4, 6, 3), _BOTTLENECK): "resnet50",
    ("bottleneck", (3, 4, 23, 3), _BOTTLENECK): "resnet101",
    ("bottleneck", (3, 8, 36, 3), _BOTTLENECK): "resnet152",
}
_STAGES = ["stage1", "stage2", "stage3", "stage4"]


def adapt(published: Published) -> tuple[ModelPlan, dict[str, Tensor], int]:
    """Return our model, its tensors by our names, and the number of its classes without "no object".

    Raises:
        MaskwrightError: the description has no counterpart here, requests something to fetch or run, or it or the
            weights do not fit; the library is needed and not installed.
    """
    config, origin = published.config, published.origin
    inner = config.get(INNER)
    for part in (config, inner if isinstance(inner, dict) else {}):
        refuse_fetching(part, origin)
    count = rows_of(published.tensors, LAST, origin) - 1
    if count < 2:  # its logits compare classes: there is no sigmoid
        raise MaskwrightError(
            f"{origin} has {plural(count, 'class', 'classes')}, but Mask2Former compares classes, so it needs 2 or "
            "more: import a network with a class for the background"
        )
    options = _options(config, origin)
    if isinstance(inner, dict) and inner.get("model_type") == "resnet":
        model = ModelPlan(name="mask2former", backbone=_resnet(inner, origin), options=options)
        tensors, table = published.tensors, {**_RESNET, **_DECODER}
    else:
        described = describe_config(config, origin)
        option(inner or {}, "use_absolute_embeddings", (False,), origin)
        settings = build_config(described, origin)
        settings.num_labels = count
        model = ModelPlan(name="mask2former", backbone=NAME, options={"config": described[INNER], **options})
        tensors, table = in_memory(_BUILDER, settings, published), {_ENCODER: "backbone.network.", **_DECODER}
    return model, _shaped(renamed(tensors, table, origin)), count


def _options(config: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Return the options of our decoders."""
    width = int(config.get("hidden_dim", 256))
    wanted: dict[str, tuple[Any, Any]] = {  # setting -> its default in the library, and what it has to be here
        "feature_size": (256, width),
        "mask_feature_size": (256, width),
        "encoder_feedforward_dim": (1024, PIXEL_HIDDEN * width),
        "dim_feedforward": (2048, QUERY_HIDDEN * width),
        "pre_norm": (False, False),
        "enforce_input_projection": (False, False),
        "activation_function": ("relu", "relu"),
        "common_stride": (4, 4),
        "feature_strides": ([4, 8, 16, 32], [4, 8, 16, 32]),
    }
    for key, (usual, value) in wanted.items():
        option({key: config.get(key, usual)}, key, (value,), origin)
    return {
        "width": width,
        "heads": int(config.get("num_attention_heads", 8)),
        # The library counts the queries before the first layer as one.
        "layers": [int(config.get("encoder_layers", 6)), int(config.get("decoder_layers", 10)) - 1],
        "queries": int(config.get("num_queries", 100)),
    }


def _resnet(config: Mapping[str, Any], origin: str) -> str:
    """Return timm's name of a ResNet."""
    source = f"the backbone of {origin}"
    kind = str(config.get("layer_type", "bottleneck"))
    shape = (kind, tuple(config.get("depths", (3, 4, 6, 3))), tuple(config.get("hidden_sizes", _BOTTLENECK)))
    if shape not in RESNETS:
        raise MaskwrightError(
            f"{source} is a ResNet of {shape[0]} blocks with depths {list(shape[1])} and widths {list(shape[2])}, "
            f"which timm does not have: only {', '.join(RESNETS.values())} can be imported"
        )
    for key, value in {
        "embedding_size": 64,
        "hidden_act": "relu",
        "downsample_in_first_stage": False,
        "downsample_in_bottleneck": False,
        "out_features": _STAGES,
    }.items():
        option(config, key, (value,), source)
    return RESNETS[shape]


def _shaped(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Join and separate what is one tensor in one library and several in the other."""
    tensors = joined(tensors, ("own.q_proj.", "own.k_proj.", "own.v_proj."), "own.in_proj_")
    for name in _CODES:
        tensors[name] = tensors[name][None]
    for name in ("weight", "bias"):  # the last row of the classes is "no object"
        whole = tensors[f"head.classes.{name}"]
        tensors[f"head.classes.{name}"], tensors[f"head.nothing.{name}"] = whole[:-1], whole[-1:]
    return tensors


def as_objects(recipe: Recipe, task: str) -> Recipe:
    """Read the queries of an imported network as objects, or as segments of things and stuff.

    "No object" becomes the first row too. Both have half of the probability that it had, so the others keep theirs.
    For objects this row is the background, for segments it is no class.
    """
    tensors = dict(recipe.tensors)
    for name, share in (("weight", 0.0), ("bias", math.log(2))):
        nothing = tensors[f"head.nothing.{name}"] - share
        tensors[f"head.nothing.{name}"] = nothing
        tensors[f"head.classes.{name}"] = torch.cat([nothing, tensors[f"head.classes.{name}"]])
    rows = recipe.count + 1
    if task == "panoptic":
        return replace(recipe, tensors=tensors, rows=rows, task=task)
    names = recipe.names or tuple(f"class_{row}" for row in range(1, rows))
    return replace(recipe, tensors=tensors, count=rows, rows=rows, names=("background", *names), task=task)
