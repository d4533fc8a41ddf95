"""Networks of the transformers library, described by plain JSON that a model file can keep. Knows no segmenter.

A description holds the settings below and nothing else: what shapes the network. All that could make the library fetch
something or run code (`auto_map`, a backbone by name, an attention kernel from a hub) has no place in it, so building a
network from it touches neither the network nor code that lies beside weights. Backbones are described in full, inside.

The library is imported when such a network is asked for, and not before: the import takes seconds.
"""

from __future__ import annotations

import contextlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

EXTRA = "transformers"
CONFIGS = {"swin": "SwinConfig", "dpt": "DPTConfig", "mask2former": "Mask2FormerConfig"}
"""Type of a description -> the library's class for it."""
INNER = "backbone_config"
# One list a type. Kinds of activation and attention are names that the library knows, no code.
SETTINGS: dict[str, tuple[str, ...]] = {
    "swin": (
        *("image_size", "patch_size", "num_channels", "embed_dim", "depths", "num_heads", "window_size", "mlp_ratio"),
        *("qkv_bias", "hidden_dropout_prob", "attention_probs_dropout_prob", "drop_path_rate", "hidden_act"),
        *("layer_norm_eps", "out_features"),
    ),
    "dpt": (
        *("image_size", "patch_size", "num_channels", "hidden_size", "num_hidden_layers", "num_attention_heads"),
        *("intermediate_size", "hidden_act", "hidden_dropout_prob", "attention_probs_dropout_prob", "layer_norm_eps"),
        *("qkv_bias", "backbone_out_indices", "readout_type", "reassemble_factors", "neck_hidden_sizes"),
        *("fusion_hidden_size", "use_batch_norm_in_fusion_residual", "use_bias_in_fusion_residual"),
    ),
    "mask2former": (
        *("feature_size", "mask_feature_size", "hidden_dim", "encoder_feedforward_dim", "activation_function"),
        *("encoder_layers", "decoder_layers", "num_attention_heads", "dropout", "dim_feedforward", "pre_norm"),
        *("enforce_input_projection", "common_stride", "num_queries", "feature_strides", INNER),
    ),
}


def import_library() -> Any:
    """Return the module transformers.

    Raises:
        MaskwrightError: it is not installed.
    """
    if find_spec("transformers") is None:
        raise MaskwrightError(
            "this network is one of the transformers library, which is not installed: pip install "
            f'"maskwright[{EXTRA}]"'
        )
    import transformers

    return transformers


def build_config(config: Mapping[str, Any], origin: str) -> Any:
    """Turn a description into the library's own object.

    Args:
        config: with a `model_type` of `CONFIGS`, and settings of that type.
        origin: of the description, for messages.

    Raises:
        MaskwrightError: the library is not installed, or a setting is unknown or out of its rule.
    """
    kind = config.get("model_type")
    if kind not in SETTINGS:
        raise MaskwrightError(
            f"{origin}: a network of the transformers library needs its description, of the type "
            f"{' or '.join(SETTINGS)}, not {kind!r}: maskwright import transformers:REPOSITORY writes a model file "
            "with it, and a training starts from that file with --from"
        )
    strange = sorted(set(config) - {"model_type", *SETTINGS[kind]})
    if strange:
        raise MaskwrightError(
            f"{origin}: {strange[0]} is no setting of {kind} that a description may hold: import the weights again"
        )
    given = {key: value for key, value in config.items() if key != "model_type"}
    if kind == "mask2former":
        given[INNER] = build_config(_inner(config, origin), origin)
    if not isinstance(given.get("patch_size", 1), int):
        raise MaskwrightError(
            f"{origin}: patch_size is {given['patch_size']!r}, and only squares, one number, are taken"
        )
    with explain_build_errors(kind, origin):
        return getattr(import_library(), CONFIGS[kind])(**given)


@contextlib.contextmanager
def explain_build_errors(kind: str, origin: str) -> Iterator[None]:
    """Say in words what the library stumbles over while it builds from a description.

    Raises:
        MaskwrightError: it did.
    """
    from huggingface_hub.errors import StrictDataclassError

    try:
        yield
    except (StrictDataclassError, TypeError, ValueError, LookupError, ArithmeticError, RuntimeError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise MaskwrightError(
            f"{origin}: the description of {kind} makes no network ({said}): import the weights again, with the "
            "config.json that was saved with them"
        ) from None


def describe_config(config: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Take what a published `config.json` says of the network, with the library's defaults written out.

    Raises:
        MaskwrightError: as `build_config`.
    """
    kind = config.get("model_type")
    kept = {key: config[key] for key in SETTINGS.get(str(kind), ()) if key in config}
    if kind == "mask2former":
        kept[INNER] = describe_config(_inner(config, origin), origin)
    found = build_config({"model_type": kind, **kept}, origin).to_dict()
    whole = {key: found[key] for key in SETTINGS[str(kind)] if key != INNER}
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in whole.items()}
    return {"model_type": kind, **plain, **({INNER: kept[INNER]} if INNER in kept else {})}


def _inner(config: Mapping[str, Any], origin: str) -> Mapping[str, Any]:
    """Return the description of the backbone inside another."""
    inner = config.get(INNER)
    if not isinstance(inner, dict) or inner.get("model_type") != "swin":
        kind = inner.get("model_type") if isinstance(inner, dict) else inner
        raise MaskwrightError(f"{origin} stands on the backbone {kind!r}: only a described swin can be imported")
    return inner
