"""Start a segmenter from a bundle of ours whose classes may be others. Knows no data set and no training.

Backbone and decoder are taken over as they are, also into an architecture that holds all of that network and more
(FCN-16s after FCN-32s, gates on a U-Net); from any other one the backbone alone. Of what depends on the number of
classes, each class takes over what the class of the same name had learnt, and the others begin afresh. Which weights
these are is asked of the architecture, by building it once more with another number of classes: no layer has to be
told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from maskwright.core.classes import MAX_CLASSES
from maskwright.core.errors import MaskwrightError
from maskwright.models import bundle
from maskwright.models.build import create_from_plan
from maskwright.models.weights import load_exactly, read_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from maskwright.core.plan import ModelPlan
    from maskwright.models.segmenter import Segmenter

Axes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class TransferSummary:
    """What a network started with.

    Attributes:
        source: the bundle.
        decoder: whether the decoder was taken over, not only the backbone.
        kept: classes whose last layers were taken over.
        fresh: classes whose last layers begin at random.
    """

    source: str
    decoder: bool
    kept: tuple[str, ...]
    fresh: tuple[str, ...]

    def __str__(self) -> str:
        """Say it in one line."""
        if not self.decoder:
            return f"weights from {self.source}: the backbone; decoder and last layers are fresh"
        classes = [
            f"{word} for {', '.join(names)}"
            for word, names in (("taken over", self.kept), ("fresh", self.fresh))
            if names
        ]
        return f"weights from {self.source}: backbone and decoder; last layers {' and '.join(classes)}"


def take_over(segmenter: Segmenter, plan: ModelPlan, names: Sequence[str], path: Path) -> TransferSummary:
    """Fill `segmenter` from a bundle; of an architecture that it does not continue only the backbone is taken.

    Args:
        segmenter: with fresh weights; what is not taken over keeps them.
        plan: that it was created from.
        names: of its classes.
        path: of the bundle.

    Raises:
        MaskwrightError: no bundle, another number of channels, or a backbone or decoder that does not fit.
    """
    card = bundle.read_card(path)
    check_channels(card, segmenter.in_channels, str(path))
    tensors, alike = read_tensors(path), card.model.name == plan.name
    pairs = same_names(card.classes.names, names)
    own, axes = segmenter.state_dict(), class_axes(segmenter, plan)
    whole = alike or _continues(own, axes, tensors)
    if not whole:
        tensors = {name: tensor for name, tensor in tensors.items() if name.startswith("backbone.")}
    filled: dict[str, Tensor] = {}
    for name, fresh in own.items():
        if name in axes:
            old = tensors.pop(name, None)
            filled[name] = _with_classes(fresh, old, axes[name], len(card.classes.names), pairs)
        elif _may_stay_fresh(name, fresh, tensors, alike=alike):
            tensors.pop(name, None)
            filled[name] = fresh
        elif name in tensors:
            filled[name] = tensors.pop(name)
    filled.update({name: tensor for name, tensor in tensors.items() if not name.startswith("aux.")})
    load_exactly(segmenter, filled, str(path))
    kept = [names[new] for _, new in pairs] if whole else []
    return TransferSummary(str(path), whole, tuple(kept), tuple(name for name in names if name not in kept))


def check_channels(card: bundle.Card, channels: int, source: str) -> None:
    """Refuse images that the first layer was not made for.

    Raises:
        MaskwrightError: the numbers differ.
    """
    if card.data.channels != channels:
        raise MaskwrightError(
            f"{source} takes images of {card.data.channels} channels, and data.channels is {channels}: leave the "
            "setting out (grey and RGB are converted into one another), or train without these weights"
        )


def same_names(before: Sequence[str], now: Sequence[str]) -> list[tuple[int, int]]:
    """Pair the classes of the same name, without regard to case, blanks, `-` and `_`.

    >>> same_names(["sky", "Traffic-light"], ["traffic light", "road"])
    [(1, 0)]
    """
    places = {_key(name): place for place, name in reversed(list(enumerate(before)))}
    return [(places[_key(name)], place) for place, name in enumerate(now) if _key(name) in places]


def class_axes(segmenter: Segmenter, plan: ModelPlan) -> Axes:
    """Return the weights that have one entry a class, each with the axes that do; the random state stays as it was."""
    classes = segmenter.classes
    other = classes + 1 if classes < MAX_CLASSES else classes - 1
    plain = plan.model_copy(update={"pretrained": False, "weights": None})
    with torch.random.fork_rng(devices=[]):
        twin = create_from_plan(plain, other, segmenter.in_channels).state_dict()
    found: Axes = {}
    for name, tensor in segmenter.state_dict().items():
        sizes = list(zip(tensor.shape, twin[name].shape, strict=True))
        axes = tuple(axis for axis, pair in enumerate(sizes) if pair == (classes, other))
        if axes:
            found[name] = axes
    return found


def _continues(own: Mapping[str, Tensor], axes: Axes, tensors: Mapping[str, Tensor]) -> bool:
    """Whether a network holds all of another one's tensors; auxiliary heads do not count, nor the number of classes."""
    return all(
        name.startswith("aux.") or (name in own and _alike(own[name], tensor, axes.get(name, ())))
        for name, tensor in tensors.items()
    )


def _alike(one: Tensor, other: Tensor, free: tuple[int, ...]) -> bool:
    """Whether two tensors have the same sizes, but for those along the axes that are free."""
    pairs = enumerate(zip(one.shape, other.shape, strict=False))
    return one.ndim == other.ndim and all(axis in free or a == b for axis, (a, b) in pairs)


def _may_stay_fresh(name: str, fresh: Tensor, tensors: Mapping[str, Tensor], *, alike: bool) -> bool:
    """Whether a weight is none that must fit: an auxiliary head, or what another architecture has not."""
    if name.startswith("aux."):
        return name not in tensors or tensors[name].shape != fresh.shape
    return not alike and name not in tensors and not name.startswith("backbone.")


def _with_classes(
    fresh: Tensor, old: Tensor | None, axes: tuple[int, ...], before: int, pairs: Sequence[tuple[int, int]]
) -> Tensor:
    """Return `fresh` with the entries of the classes that `old` knows by name, along each of `axes`."""
    expected = [before if axis in axes else size for axis, size in enumerate(fresh.shape)]
    if old is None or list(old.shape) != expected:
        return fresh
    places: list[list[Tensor]] = [[], []]
    for axis, size in enumerate(fresh.shape):
        both = [list(side) for side in zip(*pairs, strict=True)] if pairs else [[], []]
        for side in (0, 1):
            index = torch.tensor(both[side], dtype=torch.long) if axis in axes else torch.arange(size)
            places[side].append(index.reshape([-1 if place == axis else 1 for place in range(fresh.ndim)]))
    filled = fresh.clone()
    filled[tuple(places[1])] = old[tuple(places[0])].to(fresh.dtype)
    return filled


def _key(name: str) -> str:
    return " ".join(name.casefold().replace("-", " ").replace("_", " ").split())
