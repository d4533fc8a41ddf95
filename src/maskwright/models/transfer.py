"""Starts a segmenter from a bundle, whose classes may differ. Knows no data set and no training.

Backbone and decoder are copied, also into an architecture that contains the whole network of the bundle and more
(FCN-16s after FCN-32s, gates on a U-Net); from any other architecture only the backbone is copied. In weights with
rows for the channels of the output, each class starts from the class of the same name, and a channel that is no class
(the depth of objects, their borders) from that of the same group; the others start at random. To find these weights,
the architecture is built again with another number of channels, so no layer has to declare them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from maskwright.core.channels import CLASS_GROUP, OBJECT_GROUP, emits_objects, object_rows, places, total
from maskwright.core.classes import IGNORE, MAX_CLASSES, Classes
from maskwright.core.errors import MaskwrightError
from maskwright.models import bundle
from maskwright.models.build import create_from_plan
from maskwright.models.weights import load_exactly, read_tensors

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from maskwright.core.channels import Channels
    from maskwright.core.plan import ModelPlan
    from maskwright.models.bundle import Card
    from maskwright.models.segmenter import Segmenter

Axes = dict[str, dict[int, int]]
"""Name of a weight -> axis that depends on the number of channels -> entries of one channel."""
Pairs = list[tuple[int, int]]
FEW = 3
"""Layers that a note names."""
_CLASSES = {CLASS_GROUP, OBJECT_GROUP}
"""Groups whose channels are the classes."""


@dataclass(frozen=True)
class TransferSummary:
    """What a network started from.

    Attributes:
        source: the bundle.
        decoder: whether the decoder was copied too, not only the backbone.
        kept: classes, and then other groups of channels, whose last layers were copied.
        fresh: those whose last layers start at random.
        lacking: other layers that start at random, because the bundle lacks them, or has them in another shape.
        left: groups of channels of the bundle, other than the classes, that the network does not emit.
    """

    source: str
    decoder: bool
    kept: tuple[str, ...]
    fresh: tuple[str, ...]
    lacking: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Say it in one line."""
        if not self.decoder:
            return f"weights from {self.source}: backbone only; decoder and last layers start at random"
        classes = [
            f"{word} for {', '.join(names)}" for word, names in (("copied", self.kept), ("random", self.fresh)) if names
        ]
        more = f" and {len(self.lacking) - FEW} more" if len(self.lacking) > FEW else ""
        others = f"; not in the source, so random: {', '.join(self.lacking[:FEW])}{more}" if self.lacking else ""
        left = f"; left out: {', '.join(self.left)}" if self.left else ""
        return f"weights from {self.source}: backbone and decoder; last layers {' and '.join(classes)}{others}{left}"


def take_over(segmenter: Segmenter, plan: ModelPlan, names: Sequence[str], path: Path) -> TransferSummary:
    """Load a bundle into `segmenter`; only the backbone, unless its architecture contains that of the bundle.

    Args:
        segmenter: with random weights; parts that are not copied keep them.
        plan: that it was created from.
        names: of its classes.
        path: of the bundle.

    Raises:
        MaskwrightError: not a bundle, another number of channels, or a backbone or decoder that does not fit.
    """
    card = bundle.read_card(path)
    check_channels(card, segmenter.in_channels, str(path))
    tensors, alike = read_tensors(path), card.model.name == plan.name
    kept, rows = _copied(card, segmenter.groups, names)
    own, axes = segmenter.state_dict(), class_axes(segmenter, plan)
    whole = alike or _continues(own, axes, tensors)
    if not whole:
        tensors = {name: tensor for name, tensor in tensors.items() if name.startswith("backbone.")}
    filled: dict[str, Tensor] = {}
    lacking: list[str] = []
    for name, fresh in own.items():
        old = tensors.pop(name, None)
        if name in axes and old is not None:
            old = _with_rows(fresh, old, axes[name], total(card.channels), rows)
        if old is not None and (old.shape == fresh.shape or not name.startswith("aux.")):
            filled[name] = old
        elif name in axes or _may_stay_fresh(name, alike=alike):
            filled[name] = fresh
            lacking.append(name.rpartition(".")[0])
    filled.update({name: tensor for name, tensor in tensors.items() if not name.startswith("aux.")})
    load_exactly(segmenter, filled, str(path))
    wanted = tuple(name for group in segmenter.groups for name in (names if group.name in _CLASSES else [group.name]))
    if not whole:
        return TransferSummary(str(path), whole, (), wanted)
    random = tuple(name for name in wanted if name not in kept)
    left = tuple(group.name for group in card.channels if group.name not in {*_CLASSES, *kept, *random})
    return TransferSummary(str(path), whole, kept, random, tuple(dict.fromkeys(lacking)), left)


def check_channels(card: bundle.Card, channels: int, source: str) -> None:
    """Refuse images with a number of channels that the first layer does not take.

    Raises:
        MaskwrightError: the numbers differ.
    """
    if card.data.channels != channels:
        raise MaskwrightError(
            f"{source} takes images of {card.data.channels} channels, but data.channels is {channels}: leave the "
            "setting out (grey and RGB images are converted to each other), or train without these weights"
        )


def same_names(before: Sequence[str], now: Sequence[str]) -> list[tuple[int, int]]:
    """Pair the classes of the same name, ignoring case, blanks, `-` and `_`.

    >>> same_names(["sky", "Traffic-light"], ["traffic light", "road"])
    [(1, 0)]
    """
    places = {_key(name): place for place, name in reversed(list(enumerate(before)))}
    return [(places[_key(name)], place) for place, name in enumerate(now) if _key(name) in places]


def _copied(card: Card, groups: Sequence[Channels], names: Sequence[str]) -> tuple[tuple[str, ...], Pairs]:
    """Return what is copied, by name, and the rows of the last layers: those of a bundle, and ours.

    Args:
        card: of the bundle.
        groups: that the network emits.
        names: of its classes.
    """
    if emits_objects(card.channels) and emits_objects(groups):
        pairs, rows = _object_pairs((card.classes.names, total(card.channels)), (names, total(groups)))
        return tuple(names[new] for _, new in pairs), rows
    kept, rows = [], []
    before, after = places(card.channels), places(groups)
    if CLASS_GROUP in before and CLASS_GROUP in after:
        pairs = same_names(card.classes.names, names)
        kept += [names[new] for _, new in pairs]
        rows += [(before[CLASS_GROUP].start + old, after[CLASS_GROUP].start + new) for old, new in pairs]
    for group in groups:
        if group in card.channels and group.name not in _CLASSES:
            kept.append(group.name)
            rows += [(before[group.name].start + row, after[group.name].start + row) for row in range(group.count)]
    return tuple(kept), rows


def _object_pairs(before: tuple[Sequence[str], int], now: tuple[Sequence[str], int]) -> tuple[Pairs, Pairs]:
    """Pair the classes of networks that emit objects, and their rows: the first ones, and others of the same name.

    Args:
        before: names of the classes, and number of rows, of the bundle.
        now: the same of the network.
    """
    old, new = _rows(*before), _rows(*now)
    others = same_names([before[0][index] for index in old[1:]], [now[0][index] for index in new[1:]])
    rows = [(0, 0), *((one + 1, two + 1) for one, two in others)]
    return [(old[one], new[two]) for one, two in rows if new[two] != IGNORE], rows


def _rows(names: Sequence[str], count: int) -> tuple[int, ...]:
    """Return the class index of each row; the first is the background, or `IGNORE` where it stands for no class."""
    background = Classes.named(tuple(names)).background if count == len(names) else IGNORE
    assert background is not None
    return object_rows(len(names), background)


def class_axes(segmenter: Segmenter, plan: ModelPlan) -> Axes:
    """Return the weights with one entry per channel, or several, and the axes of those; the random state is kept."""
    classes = segmenter.classes
    other = classes + 1 if classes < MAX_CLASSES else classes - 1
    plain = plan.model_copy(update={"pretrained": False, "weights": None})
    with torch.random.fork_rng(devices=[]):
        twin = create_from_plan(plain, other, segmenter.in_channels).state_dict()
    found: Axes = {}
    for name, tensor in segmenter.state_dict().items():
        sizes = enumerate(zip(tensor.shape, twin[name].shape, strict=True))
        grown = [(axis, size) for axis, (size, more) in sizes if size != more and size * other == more * classes]
        axes = {axis: size // classes for axis, size in grown}
        if axes:
            found[name] = axes
    return found


def _continues(own: Mapping[str, Tensor], axes: Axes, tensors: Mapping[str, Tensor]) -> bool:
    """Whether a network contains all tensors of another one, ignoring auxiliary heads and the number of classes."""
    return all(
        name.startswith("aux.") or (name in own and _alike(own[name], tensor, axes.get(name, {})))
        for name, tensor in tensors.items()
    )


def _alike(one: Tensor, other: Tensor, free: Collection[int]) -> bool:
    """Whether two tensors have the same shape, except along the free axes."""
    pairs = enumerate(zip(one.shape, other.shape, strict=False))
    return one.ndim == other.ndim and all(axis in free or a == b for axis, (a, b) in pairs)


def _may_stay_fresh(name: str, *, alike: bool) -> bool:
    """Whether a weight need not be in the bundle: an auxiliary head, or one that the other architecture lacks."""
    return name.startswith("aux.") or (not alike and not name.startswith("backbone."))


def _with_rows(
    fresh: Tensor, old: Tensor, axes: Mapping[int, int], before: int, pairs: Sequence[tuple[int, int]]
) -> Tensor:
    """Return `fresh` with the rows that `old` has for it, along each of `axes`; `old` itself if its shape does not fit.

    Args:
        fresh: as the network starts.
        old: of the bundle.
        axes: that have rows, and the entries of each.
        before: number of rows of the bundle.
        pairs: a row of the bundle, and the one that it is copied to.
    """
    expected = [before * axes[axis] if axis in axes else size for axis, size in enumerate(fresh.shape)]
    if list(old.shape) != expected:
        return old
    places: list[list[Tensor]] = [[], []]
    for axis, size in enumerate(fresh.shape):
        each = axes.get(axis, 1)
        for side in (0, 1):
            entries = [pair[side] * each + entry for pair in pairs for entry in range(each)]
            index = torch.tensor(entries, dtype=torch.long) if axis in axes else torch.arange(size)
            places[side].append(index.reshape([-1 if place == axis else 1 for place in range(fresh.ndim)]))
    filled = fresh.clone()
    filled[tuple(places[1])] = old[tuple(places[0])].to(fresh.dtype)
    return filled


def _key(name: str) -> str:
    return " ".join(name.casefold().replace("-", " ").replace("_", " ").split())
