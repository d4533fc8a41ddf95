"""Weights for timm's networks: other projects' names, other numbers of channels, and what must have been loaded.

Knows timm, and no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from maskwright.core.text import agree
from maskwright.models.weights import COUNTER, MisfitError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

RGB = 3
_POSITIONS = ("pos_embed", "relative_position")
_EFFICIENTNET_STEM = "_conv_stem.weight"


def in_timm_names(whole: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the weights of an EfficientNet in the names of EfficientNet-PyTorch (`_blocks.0._bn1.weight`) timm's names.

    Both projects hold the same layers in the same order, so the n-th tensor of one is the n-th of the other. Weights
    in other names, or in other shapes than timm's network has, are returned as they are.

    Args:
        whole: all tensors of timm's network by name, in the order of its layers; see `whole_state`.
        tensors: those of the file, the classifier included, in the same order.
    """
    if _EFFICIENTNET_STEM not in tensors:
        return dict(tensors)
    if [value.shape for value in whole.values()] != [value.shape for value in tensors.values()]:
        return dict(tensors)
    return dict(zip(whole, tensors.values(), strict=True))


def load_by_name(network: nn.Module, tensors: Mapping[str, Tensor], in_channels: int) -> list[str]:
    """Fill a network of `features_only` with the tensors of its own names, and return what is missing or differs.

    Then nothing is loaded: timm's own loader knows how each family renames and resizes. The file may hold more, such as
    a classifier, and lack the counters of batch normalisations, as old files do.
    """
    given = {_plain(key): value for key, value in tensors.items()}
    state: dict[str, Tensor] = {}
    problems = []
    for key, own in network.state_dict().items():
        value = given.get(_plain(key), own if key.endswith(COUNTER) else None)
        if value is not None and value.ndim == 4 and in_channels != RGB and tuple(value.shape) == _in_colour(own):
            value = adapt_stem(value, in_channels)
        if value is None:
            problems.append(f"{key} is missing")
        elif value.shape != own.shape:
            problems.append(f"{key} is {list(value.shape)} and should be {list(own.shape)}")
        else:
            state[key] = value
    if not problems:
        network.load_state_dict(state)
    return problems


def adapt_stem(weight: Tensor, channels: int) -> Tensor:
    """Make the filters of a first layer for RGB (O, 3, h, w) filters for images of other channels (O, C, h, w).

    Up to two channels have the mean of the three colours' filters; of more the first three keep theirs, and the others
    have the mean. The sum over the channels stays what it was: an image that is alike in all of them is seen as before,
    and grey as its RGB copy.
    """
    mean = weight.mean(1, keepdim=True)
    filters = (
        [weight, mean.expand(-1, channels - RGB, -1, -1)] if channels > RGB else [mean.expand(-1, channels, -1, -1)]
    )
    return torch.cat(filters, 1) * (RGB / channels)


def check_loaded(
    network: nn.Module,
    tensors: Mapping[str, Tensor],
    in_channels: int,
    source: str,
    name: str,
    whole: Mapping[str, Tensor],
) -> None:
    """Refuse weights of which timm let something pass that the network holds and the file does not, or the reverse.

    timm loads without insisting on every name, and some families rename or reshape on the way, so names alone prove
    nothing: we look for each tensor's values in the file. What is constant may be anything, and needs its name. Two
    kinds may differ: a first layer that was adapted to other channels, and position codes that it brought to another
    size. The file may hold more, such as a classifier, but not a tenth more than `whole` has, timm's whole network.
    """
    own = {key: value for key, value in network.state_dict().items() if value.is_floating_point()}
    known = {(tensor.numel(), _sum(tensor)) for tensor in tensors.values() if tensor.is_floating_point()}
    given = {_plain(key): tuple(tensor.shape) for key, tensor in tensors.items()}
    named = 2 * sum(_plain(key) in given for key in own) > len(own)
    strange = [
        key
        for key, value in own.items()
        if ((value.numel(), _sum(value)) not in known or (named and _plain(key) not in given and _constant(value)))
        and not any(part in key and key in tensors for part in _POSITIONS)
    ]
    if in_channels != RGB:
        strange = [key for key in strange if (_plain(key), _in_colour(own[key])) not in given.items()]
    more = sorted(given.keys() - {_plain(key) for key in whole}) if named else []
    if strange or 10 * len(more) > len(given):
        what = (
            f"{len(strange)} of its tensors {agree(len(strange), 'is', 'are')} not in the file"
            if strange
            else f"the file holds {len(more)} more"
        )
        raise misfit(source, name, f"{what} ({', '.join((strange or more)[:3])})")


def misfit(source: str, name: str, why: str) -> MisfitError:
    """Return the error for a file that holds no weights of a network."""
    return MisfitError(f"{source} does not fit timm's {name}: {why}: give a file that was saved from this network")


def _plain(key: str) -> str:
    """Return the name of a tensor without what `features_only` makes of it: a prefix, and `_` for some dots."""
    return key.removeprefix("model.").replace("_", ".")


def _constant(value: Tensor) -> bool:
    return bool((value == value.flatten()[0]).all())


def whole_state(name: str) -> dict[str, Tensor]:
    """Return all tensors of a network of timm's by name, its classifier included; they have shapes and no values."""
    import timm

    with torch.device("meta"):
        return dict(timm.create_model(name).state_dict())


def _in_colour(value: Tensor) -> tuple[int, ...]:
    """Return the shape that a weight had on images of three channels."""
    return (value.shape[0], RGB, *value.shape[2:]) if value.ndim == 4 else ()


def _sum(tensor: Tensor) -> float:
    # In the order of the axes, not of the memory, and in the precision that the network has.
    return float(tensor.detach().float().contiguous().double().sum())
