"""transformers: `transformers:REPOSITORY` or `transformers:FOLDER`; SegFormer, UPerNet, DPT, Mask2Former.

Reads what its `save_pretrained` writes: `config.json` and `preprocessor_config.json` as data, and `model.safetensors`.
Its processors resize every image to one size; we predict at the image's own resolution, in tiles of that size.

SegFormer, UPerNet over ConvNeXt, and Mask2Former over ResNet become our networks. DPT, and the Swin backbone of UPerNet
and Mask2Former, keep the library's layers (`transformers_networks`), so their model files need the library too: timm's
Swin places windows differently when the image size is not a multiple of the window, and the masks would differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import DataPlan, ModelPlan, PredictPlan
from maskwright.models.importers import mask2former
from maskwright.models.importers.naming import joined, renamed, sliced
from maskwright.models.importers.published import Published, find
from maskwright.models.importers.recipe import IMAGENET_MEAN, IMAGENET_STD, Recipe, eight_bit, option, rows_of
from maskwright.models.importers.transformers_networks import LAST_LAYERS, UPER_HEAD, UPER_LAST, adapt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

_STAGE = "backbone.stages.{n}."
_BLOCK = "backbone.stages.{n}.blocks.{n}."
# Published files have the names of version 4; version 5 uses others in memory, which its state_dict() has.
_SEGFORMER_4 = {
    "segformer.encoder.patch_embeddings.{n}.proj.": f"{_STAGE}embedding.project.",
    "segformer.encoder.patch_embeddings.{n}.layer_norm.": f"{_STAGE}embedding.norm.",
    "segformer.encoder.block.{n}.{n}.layer_norm_1.": f"{_BLOCK}norm1.",
    "segformer.encoder.block.{n}.{n}.layer_norm_2.": f"{_BLOCK}norm2.",
    "segformer.encoder.block.{n}.{n}.attention.self.layer_norm.": f"{_BLOCK}attention.norm.",
    "segformer.encoder.block.{n}.{n}.attention.self.sr.": f"{_BLOCK}attention.shorten.",
    "segformer.encoder.block.{n}.{n}.attention.self.": f"{_BLOCK}attention.",
    "segformer.encoder.block.{n}.{n}.attention.output.dense.": f"{_BLOCK}attention.project.",
    "segformer.encoder.block.{n}.{n}.mlp.dense1.": f"{_BLOCK}ffn.expand.",
    "segformer.encoder.block.{n}.{n}.mlp.dwconv.dwconv.": f"{_BLOCK}ffn.mix.",
    "segformer.encoder.block.{n}.{n}.mlp.dense2.": f"{_BLOCK}ffn.reduce.",
    "segformer.encoder.layer_norm.{n}.": f"{_STAGE}norm.",
    "decode_head.linear_c.{n}.proj.": "decoder.linears.{n}.",
}
_SEGFORMER_5 = {
    "segformer.stages.{n}.patch_embeddings.proj.": f"{_STAGE}embedding.project.",
    "segformer.stages.{n}.patch_embeddings.layer_norm.": f"{_STAGE}embedding.norm.",
    "segformer.stages.{n}.blocks.{n}.layernorm_before.": f"{_BLOCK}norm1.",
    "segformer.stages.{n}.blocks.{n}.layernorm_after.": f"{_BLOCK}norm2.",
    "segformer.stages.{n}.blocks.{n}.attention.q_proj.": f"{_BLOCK}attention.query.",
    "segformer.stages.{n}.blocks.{n}.attention.k_proj.": f"{_BLOCK}attention.key.",
    "segformer.stages.{n}.blocks.{n}.attention.v_proj.": f"{_BLOCK}attention.value.",
    "segformer.stages.{n}.blocks.{n}.attention.o_proj.": f"{_BLOCK}attention.project.",
    "segformer.stages.{n}.blocks.{n}.attention.sequence_reduction.sequence_reduction.": f"{_BLOCK}attention.shorten.",
    "segformer.stages.{n}.blocks.{n}.attention.sequence_reduction.layer_norm.": f"{_BLOCK}attention.norm.",
    "segformer.stages.{n}.blocks.{n}.mlp.fc1.": f"{_BLOCK}ffn.expand.",
    "segformer.stages.{n}.blocks.{n}.mlp.dwconv.dwconv.": f"{_BLOCK}ffn.mix.",
    "segformer.stages.{n}.blocks.{n}.mlp.fc2.": f"{_BLOCK}ffn.reduce.",
    "segformer.stages.{n}.layer_norm.": f"{_STAGE}norm.",
    "decode_head.linear_projections.{n}.proj.": "decoder.linears.{n}.",
}
_FUSE = "decode_head.linear_fuse.weight"
_SEGFORMER = {
    **_SEGFORMER_4,
    **_SEGFORMER_5,
    _FUSE: _FUSE,
    "decode_head.batch_norm.": "decoder.norm.",
    "decode_head.classifier.": "head.1.",
}
_TIMM_STAGE = "backbone.network.stages_{n}."
_UPERNET = {
    "backbone.embeddings.patch_embeddings.": "backbone.network.stem_0.",
    "backbone.embeddings.layernorm.": "backbone.network.stem_1.",
    "backbone.encoder.stages.{n}.downsampling_layer.{n}.": f"{_TIMM_STAGE}downsample.{{n}}.",
    "backbone.encoder.stages.{n}.layers.{n}.dwconv.": f"{_TIMM_STAGE}blocks.{{n}}.conv_dw.",
    "backbone.encoder.stages.{n}.layers.{n}.layernorm.": f"{_TIMM_STAGE}blocks.{{n}}.norm.",
    "backbone.encoder.stages.{n}.layers.{n}.pwconv1.": f"{_TIMM_STAGE}blocks.{{n}}.mlp.fc1.",
    "backbone.encoder.stages.{n}.layers.{n}.pwconv2.": f"{_TIMM_STAGE}blocks.{{n}}.mlp.fc2.",
    "backbone.encoder.stages.{n}.layers.{n}.layer_scale_parameter": f"{_TIMM_STAGE}blocks.{{n}}.gamma",
    **{f"backbone.hidden_states_norms.stage{stage + 1}.": f"decoder.norms.{stage}." for stage in range(4)},
    **UPER_HEAD,
}
# Depths and widths of ConvNeXt -> its name in timm (Liu et al. 2022, section 3).
CONVNEXT = {
    ((3, 3, 9, 3), (96, 192, 384, 768)): "convnext_tiny",
    ((3, 3, 27, 3), (96, 192, 384, 768)): "convnext_small",
    ((3, 3, 27, 3), (128, 256, 512, 1024)): "convnext_base",
    ((3, 3, 27, 3), (192, 384, 768, 1536)): "convnext_large",
    ((3, 3, 27, 3), (256, 512, 1024, 2048)): "convnext_xlarge",
}
DEFAULT_TILE = 512
_DEPTHS = ("depths", "num_hidden_layers", "encoder_layers", "decoder_layers")


def recipe(name: str, weights: Path | None) -> Recipe:
    """Read a saved model of the library; see `importers.import_model`."""
    published = find(name, weights, LAST_LAYERS | {mask2former.LAST})
    kind = published.config.get("model_type")
    if kind not in ARCHITECTURES:
        raise MaskwrightError(
            f"{published.origin} has the type {kind!r}, which has no counterpart here: the types that can be imported "
            f"from transformers are {', '.join(ARCHITECTURES)}"
        )
    _check_depths(published)
    model, tensors, count = ARCHITECTURES[kind](published)
    data, predict, notes = _preprocessing(published)
    return Recipe(
        model=model,
        data=data,
        tensors=tensors,
        count=count,
        origin=published.origin,
        names=_names(published.config, count),
        predict=predict,
        notes=published.notes + notes,
    )


def _check_depths(published: Published) -> None:
    """Refuse a description of more blocks than there are tensors, before the blocks are built.

    Raises:
        MaskwrightError: there are more blocks than tensors.
    """
    inner = published.config.get("backbone_config")
    for config in (published.config, inner if isinstance(inner, dict) else {}):
        for key in _DEPTHS:
            value = config.get(key, 0)
            numbers = value if isinstance(value, list) else [value]
            if any(isinstance(number, int) and number > len(published.tensors) for number in numbers):
                raise MaskwrightError(
                    f"{published.origin} has {key}={value!r}, but only {len(published.tensors)} weight tensors: "
                    "give the config.json that was saved with them"
                )


def _segformer(published: Published) -> tuple[ModelPlan, dict[str, Tensor], int]:
    config, origin = published.config, published.origin
    for key, value in {"sr_ratios": [8, 4, 2, 1], "patch_sizes": [7, 3, 3, 3], "strides": [4, 2, 2, 2]}.items():
        option(config, key, (value,), origin)
    option(config, "hidden_act", ("gelu",), origin)
    tensors = renamed(published.tensors, _SEGFORMER, origin)
    tensors = joined(tensors, ("attention.key.", "attention.value."), "attention.key_value.")
    tensors = sliced(tensors, _FUSE, "decoder.fuse.{n}.weight", len(config.get("depths", (2, 2, 2, 2))))
    options: dict[str, Any] = {
        "widths": list(config.get("hidden_sizes", (32, 64, 160, 256))),
        "depths": list(config.get("depths", (2, 2, 2, 2))),
        "heads": list(config.get("num_attention_heads", (1, 2, 5, 8))),
        "expansions": [int(ratio) for ratio in config.get("mlp_ratios", (4, 4, 4, 4))],
        "width": int(config.get("decoder_hidden_size", 256)),
    }
    count = rows_of(published.tensors, UPER_LAST, origin)
    return ModelPlan(name="segformer", backbone="mit", options=options), tensors, count


def _upernet(published: Published) -> tuple[ModelPlan, dict[str, Tensor], int]:
    config, origin = published.config, published.origin
    backbone = config.get("backbone_config") or {}
    if option(backbone, "model_type", ("convnext", "swin"), f"the backbone of {origin}") == "swin":
        return adapt(published)
    shape = (tuple(backbone.get("depths", (3, 3, 9, 3))), tuple(backbone.get("hidden_sizes", (96, 192, 384, 768))))
    if shape not in CONVNEXT:
        raise MaskwrightError(
            f"{origin} has a ConvNeXt of depths {list(shape[0])} and widths {list(shape[1])}, which timm does not "
            f"have: only {', '.join(CONVNEXT.values())} can be imported"
        )
    option(backbone, "hidden_act", ("gelu",), origin)
    options: dict[str, Any] = {
        "width": int(config.get("hidden_size", 512)),
        "grids": list(config.get("pool_scales", (1, 2, 3, 6))),
        "level_norm": True,
    }
    plan = ModelPlan(name="upernet", backbone=f"timm:{CONVNEXT[shape]}", options=options)
    return plan, renamed(published.tensors, _UPERNET, origin), rows_of(published.tensors, UPER_LAST, origin)


ARCHITECTURES: dict[str, Callable[[Published], tuple[ModelPlan, dict[str, Tensor], int]]] = {
    "segformer": _segformer,
    "upernet": _upernet,
    "dpt": adapt,
    "mask2former": mask2former.adapt,
}


def _preprocessing(published: Published) -> tuple[DataPlan, PredictPlan, tuple[str, ...]]:
    """Return how files become the input, the tile size, and what users should know about either."""
    config = published.other("preprocessor_config.json")
    inner = published.config.get("backbone_config")
    channels = int((inner if isinstance(inner, dict) else published.config).get("num_channels", 3))
    notes = () if config else ("no preprocessor_config.json found: using the mean and deviation of ImageNet",)
    mean, std = config.get("image_mean", IMAGENET_MEAN), config.get("image_std", IMAGENET_STD)
    if not config.get("do_normalize", True):
        mean, std = [0.0] * channels, [1.0] * channels
    # The library multiplies values by the factor first; our mean and deviation refer to the values before that.
    factor = float(config.get("rescale_factor", 1 / 255)) if config.get("do_rescale", True) else 1.0
    scale = 1 / (255.0 * factor)
    data = eight_bit([scale * value for value in mean], [scale * value for value in std], channels)
    return data, PredictPlan(tile=_tile(config.get("size"))), notes


def _tile(size: Any) -> tuple[int, int]:
    """Return (height, width) of the images that the network was trained on."""
    if isinstance(size, int):
        return size, size
    if isinstance(size, dict) and {"height", "width"} <= size.keys():
        return int(size["height"]), int(size["width"])
    if isinstance(size, dict) and "shortest_edge" in size:
        return int(size["shortest_edge"]), int(size["shortest_edge"])
    return DEFAULT_TILE, DEFAULT_TILE


def _names(config: Mapping[str, Any], count: int) -> tuple[str, ...] | None:
    """Return the names of the classes, if the description has one for each."""
    table = config.get("id2label") or {}
    names = tuple(str(table[str(index)]) for index in range(count) if str(index) in table)
    generic = all(name == f"LABEL_{index}" for index, name in enumerate(names))
    return names if len(names) == count and not generic else None
