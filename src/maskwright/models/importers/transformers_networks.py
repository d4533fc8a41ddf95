"""Networks of transformers that we use unchanged: DPT, and UPerNet over Swin. Built here to rename them.

The library itself loads the weights, because it knows the tensor names of its older versions. This fetches nothing: the
description cannot name anything to fetch (see `models.weights.transformers_config`), and the weights are already read.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import ModelPlan
from maskwright.models.backbones.transformers_backbone import NAME
from maskwright.models.importers.naming import SHOWN, renamed
from maskwright.models.importers.recipe import option, rows_of
from maskwright.models.weights.transformers_config import (
    INNER,
    build_config,
    describe_config,
    explain_build_errors,
    import_library,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from maskwright.models.importers.published import Published

UPER_HEAD = {
    "decode_head.psp_modules.{n}.1.conv.": "decoder.pooling.branches.{n}.0.",
    "decode_head.psp_modules.{n}.1.batch_norm.": "decoder.pooling.branches.{n}.1.",
    "decode_head.bottleneck.conv.": "decoder.bottleneck.0.",
    "decode_head.bottleneck.batch_norm.": "decoder.bottleneck.1.",
    "decode_head.lateral_convs.{n}.conv.": "decoder.laterals.{n}.0.",
    "decode_head.lateral_convs.{n}.batch_norm.": "decoder.laterals.{n}.1.",
    "decode_head.fpn_convs.{n}.conv.": "decoder.blends.{n}.0.",
    "decode_head.fpn_convs.{n}.batch_norm.": "decoder.blends.{n}.1.",
    "decode_head.fpn_bottleneck.conv.": "decoder.fuse.0.",
    "decode_head.fpn_bottleneck.batch_norm.": "decoder.fuse.1.",
    "decode_head.classifier.": "head.1.",
    # Used in training only, and of another width than ours.
    "auxiliary_head.": "",
}
"""UPerNet's decoder and head, for any backbone."""
UPER_LAST = "decode_head.classifier.weight"
_SWIN = {"use_absolute_embeddings": False}
# Ignored if missing from a file, or in it: read only by a loss or another output, or computed anew.
_IDLE = ("auxiliary_head.", "criterion.", "swin.layernorm.", "relative_position_index")
_FETCHES = {
    "auto_map": "code shipped with the weights",
    "trust_remote_code": "code shipped with the weights",
    "use_timm_backbone": "a backbone from timm",
    "use_pretrained_backbone": "the published weights of a backbone",
    "backbone": "a backbone by its name",
}


@dataclass(frozen=True)
class _Network:
    """One network of the library.

    Attributes:
        builder: the library's class.
        table: its names in memory -> our names.
        last: the weight whose rows are the classes.
        fixed: settings that must have these values, which the description does not contain.
    """

    builder: str
    table: Mapping[str, str]
    last: str
    fixed: Mapping[str, Any] = field(default_factory=dict)


NETWORKS = {
    "upernet": _Network("UperNetForSemanticSegmentation", {"backbone.": "backbone.network.", **UPER_HEAD}, UPER_LAST),
    "dpt": _Network(
        "DPTForSemanticSegmentation",
        {
            "dpt.": "backbone.network.",
            "neck.reassemble_stage.": "backbone.reassemble.",
            "neck.convs.": "decoder.convs.",
            "neck.fusion_stage.": "decoder.fusion.",
            "head.head.0.": "decoder.last.0.",
            "head.head.1.": "decoder.last.1.",
            "head.head.4.": "head.1.",
        },
        "head.head.4.weight",
        {"is_hybrid": False, INNER: None, "head_in_index": -1},
    ),
}

LAST_LAYERS = frozenset(network.last for network in NETWORKS.values())
"""One of them is in every network that can be imported; SegFormer's is that of UPerNet."""


def adapt(published: Published) -> tuple[ModelPlan, dict[str, Tensor], int]:
    """Return our model of a network in `NETWORKS`, its tensors by our names, and the number of its classes.

    Raises:
        MaskwrightError: the library is not installed, the description requests something to fetch or run, or it or the
            weights do not fit.
    """
    config, origin = published.config, published.origin
    kind = str(config["model_type"])
    inner = config.get(INNER)
    for part in (config, inner if isinstance(inner, dict) else {}):
        refuse_fetching(part, origin)
        for key, value in (_SWIN if part.get("model_type") == "swin" else {}).items():
            option(part, key, (value,), origin)
    network = NETWORKS[kind]
    for key, value in network.fixed.items():
        option(config, key, (value,), origin)
    count = rows_of(published.tensors, network.last, origin)
    if kind == "upernet":
        model, settings = _upernet(config, origin)
    else:
        model = ModelPlan(name=kind, backbone=NAME, options={"config": describe_config(config, origin)})
        settings = build_config(model.options["config"], origin)
    settings.num_labels, settings.use_auxiliary_head = count, False
    if kind == "dpt":
        model.options["align_corners"] = True  # the segmenter does the last doubling of DPT's head
    return model, renamed(in_memory(network.builder, settings, published), network.table, origin), count


def _upernet(config: Mapping[str, Any], origin: str) -> tuple[ModelPlan, Any]:
    swin = describe_config(config[INNER], origin)
    width, grids = int(config.get("hidden_size", 512)), list(config.get("pool_scales", (1, 2, 3, 6)))
    model = ModelPlan(name="upernet", backbone=NAME, options={"config": swin, "width": width, "grids": grids})
    inner = build_config(swin, origin)
    with explain_build_errors("upernet", origin):
        return model, import_library().UperNetConfig(backbone_config=inner, hidden_size=width, pool_scales=grids)


def refuse_fetching(config: Mapping[str, Any], origin: str) -> None:
    """Refuse a description that requests something to fetch or run.

    Raises:
        MaskwrightError: such a description.
    """
    for key, what in _FETCHES.items():
        if config.get(key):
            raise MaskwrightError(
                f"{origin} was made with {key}={config[key]!r}, which requests {what}: maskwright fetches and runs "
                f"nothing to build a network. Save the model again with a version of transformers that writes {INNER}"
            )


def in_memory(builder: str, settings: Any, published: Published) -> dict[str, Tensor]:
    """Return the weights by the names that the installed library uses.

    Raises:
        MaskwrightError: they do not fit.
    """
    module, kind = import_library(), str(published.config["model_type"])
    with explain_build_errors(kind, published.origin), _quiet(module), torch.random.fork_rng(devices=[]):
        network, found = getattr(module, builder).from_pretrained(
            None,
            config=settings,
            state_dict=dict(published.tensors),
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            dtype=torch.float32,
        )
    problems = [
        f"{part if isinstance(part, str) else part[0]} {word}"
        for key, word in (
            ("mismatched_keys", "has another shape"),
            ("missing_keys", "is missing"),
            ("unexpected_keys", "is unknown"),
        )
        for part in sorted(found[key])
        if not any(idle in str(part) for idle in _IDLE)
    ]
    if problems:
        more = f" and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise MaskwrightError(
            f"{published.origin} does not fit its description ({'; '.join(problems[:SHOWN])}{more}): give the weights "
            "and the config.json that were saved together"
        )
    return dict(network.state_dict())


@contextlib.contextmanager
def _quiet(module: Any) -> Iterator[None]:
    """Silence the library's progress bars and reports: we check the same things and report them ourselves."""
    logging = module.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
