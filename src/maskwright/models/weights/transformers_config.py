"""Networks of the transformers library, described by plain JSON that a model file can store. Knows no segmenter.

A description contains only the settings below, which shape the network. Everything that could make the library fetch
something or run code (`auto_map`, a backbone by name, an attention kernel from a hub) is excluded, so building a
network from a description uses no internet access and no code shipped with the weights. It includes the full
description of its backbone.

The library is imported only when such a network is built, because the import takes seconds.
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
"""Type of a description -> class of its configuration in the library."""
INNER = "backbone_config"
# One list per type. Activation and attention kinds are names that the library knows, not code.
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
            f'this network needs the transformers library, which is not installed: pip install "maskwright[{EXTRA}]"'
        )
    import transformers

    return transformers


def build_config(config: Mapping[str, Any], origin: str) -> Any:
    """Build the library's configuration object from a description.

    Args:
        config: a `model_type` in `CONFIGS`, and settings of that type.
        origin: of the description, for messages.

    Raises:
        MaskwrightError: the library is not installed, or a setting is unknown or invalid.
    """
    kind = config.get("model_type")
    if kind not in SETTINGS:
        raise MaskwrightError(
            f"{origin}: a network of the transformers library needs its description, of type "
            f"{' or '.join(SETTINGS)}, not {kind!r}: maskwright import transformers:REPOSITORY writes a model file "
            "that contains it; start training from that file with `from_run`"
        )
    strange = sorted(set(config) - {"model_type", *SETTINGS[kind]})
    if strange:
        raise MaskwrightError(
            f"{origin}: {strange[0]} is not a setting that a description of {kind} may have: import the weights again"
        )
    given = {key: value for key, value in config.items() if key != "model_type"}
    if kind == "mask2former":
        given[INNER] = build_config(_inner(config, origin), origin)
    if not isinstance(given.get("patch_size", 1), int):
        raise MaskwrightError(
            f"{origin}: patch_size is {given['patch_size']!r}; only square patches, given as one number, are supported"
        )
    with explain_build_errors(kind, origin):
        return getattr(import_library(), CONFIGS[kind])(**given)


@contextlib.contextmanager
def explain_build_errors(kind: str, origin: str) -> Iterator[None]:
    """Turn what the library raises while it builds a network into an error with its origin and the cure.

    Raises:
        MaskwrightError: the library raised.
    """
    from huggingface_hub.errors import StrictDataclassError

    try:
        yield
    except (StrictDataclassError, TypeError, ValueError, LookupError, ArithmeticError, RuntimeError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise MaskwrightError(
            f"{origin}: no network can be built from the description of {kind} ({said}): import the weights again, "
            "with the config.json that was saved with them"
        ) from None


def describe_config(config: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Extract the description from a published `config.json`, with the library's defaults written out.

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
        raise MaskwrightError(
            f"{origin} uses the backbone {kind!r}: only ResNet and Swin, described in full, can be imported"
        )
    return inner
