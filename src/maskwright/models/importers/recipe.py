"""The common form of every import: our model, how files become its input, and renamed tensors. Knows no library."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from maskwright.core.channels import class_channels, object_channels
from maskwright.core.classes import MAX_CLASSES, Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import DataPlan, ModelPlan, PredictPlan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from maskwright.core.channels import Channels

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_LAST = re.compile(r"(?:head|aux\.\d+\.classifier)\.1\.(?:weight|bias)")
"""Our names of the last layers, whose rows are the classes."""


@dataclass(frozen=True)
class Recipe:
    """One import, ready to be built.

    Attributes:
        model: our architecture, backbone and options.
        data: how files become the network's input.
        tensors: by our names.
        count: number of classes.
        origin: where the tensors come from, for messages.
        names: of the classes, if the source has them.
        predict: how whole images are predicted.
        notes: what users should know about it.
        task: that the network is for.
        rows: of the classes of a network that emits objects, the first of which means none; 0 for one that emits maps.
    """

    model: ModelPlan
    data: DataPlan
    tensors: Mapping[str, Tensor]
    count: int
    origin: str
    names: tuple[str, ...] | None = None
    predict: PredictPlan = field(default_factory=PredictPlan)
    notes: tuple[str, ...] = ()
    task: str = "semantic"
    rows: int = 0

    @property
    def groups(self) -> tuple[Channels, ...]:
        """What the network emits."""
        return object_channels(self.rows) if self.rows else class_channels(self.count)

    def tensors_for(self, segmenter: nn.Module) -> dict[str, Tensor]:
        """Return the tensors in the form that `segmenter` has.

        Reshapes a linear layer on pixels (K, C) to the equivalent 1x1 convolution (K, C, 1, 1).
        """
        own = segmenter.state_dict()
        fitted: dict[str, Tensor] = {}
        for name, tensor in self.tensors.items():
            pointwise = name in own and own[name].shape == (*tensor.shape, 1, 1)
            fitted[name] = tensor[..., None, None] if pointwise else tensor
        return fitted


def class_table(recipe: Recipe, given: Sequence[str] | None, source: str) -> Classes:
    """Name the classes: as given, as the source does, or by number.

    Raises:
        MaskwrightError: the number of names is not the number of classes.
    """
    if given is not None and len(given) != recipe.count:
        raise MaskwrightError(
            f"{len(given)} class names were given, but {source} has {recipe.count} classes: give one name per class, "
            "in the order of the weights"
        )
    if given is not None:
        return Classes.named(tuple(given))
    return Classes.named(_unique(recipe.names or [f"class_{index}" for index in range(recipe.count)]))


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """Append their index to classes of the same name: published tables contain such."""
    tidy = [name.strip("_ ") or name for name in names]
    return tuple(f"{name} ({index})" if tidy.index(name) != index else name for index, name in enumerate(tidy))


def eight_bit(mean: Sequence[float], std: Sequence[float], channels: int = 3) -> DataPlan:
    """Convert mean and standard deviation of values 0..1, one per channel, to our scale of 0..255."""
    return DataPlan(channels=channels, mean=[255.0 * value for value in mean], std=[255.0 * value for value in std])


def rows_of(tensors: Mapping[str, Tensor], name: str, origin: str) -> int:
    """Return the number of rows of the last layer, which are the classes.

    Raises:
        MaskwrightError: there is no such tensor, or its number of rows is not a possible number of classes.
    """
    if name not in tensors:
        raise MaskwrightError(
            f"{origin} does not contain {name}, the last layer of this architecture: give the file of this "
            "architecture, with the names of the library that it comes from"
        )
    shape = tuple(tensors[name].shape)
    if not shape or not 1 <= shape[0] <= MAX_CLASSES + 1:  # one of them may be "no object"
        raise MaskwrightError(
            f"{name} in {origin}, the last layer, has shape {shape}: its rows are the classes, and a mask can have "
            f"1 to {MAX_CLASSES} of them"
        )
    return shape[0]


def binary_as_two(recipe: Recipe) -> Recipe:
    """Give a network with one logit z, read through a sigmoid, the two logits (0, z): their softmax is that sigmoid.

    A network with more logits stays as it is.
    """
    if recipe.count != 1:
        return recipe
    tensors = {name: _with_zero(value) if _LAST.fullmatch(name) else value for name, value in recipe.tensors.items()}
    names = ("background", recipe.names[0] if recipe.names else "foreground")
    note = f"the network has one logit, read through a sigmoid: its classes here are {names[0]} and {names[1]}"
    return replace(recipe, tensors=tensors, count=2, names=names, notes=(*recipe.notes, note))


def _with_zero(tensor: Tensor) -> Tensor:
    import torch

    return torch.cat([torch.zeros_like(tensor), tensor])


def option(config: Mapping[str, Any], key: str, allowed: Sequence[Any], source: str) -> Any:
    """Return a setting of a description; its default is the first of `allowed`.

    Raises:
        MaskwrightError: it is not one of `allowed`.
    """
    value = config.get(key, allowed[0])
    if value not in allowed:
        raise MaskwrightError(
            f"{source} was made with {key}={value!r}, which has no counterpart here: only "
            f"{' or '.join(repr(entry) for entry in allowed)} can be imported"
        )
    return value
