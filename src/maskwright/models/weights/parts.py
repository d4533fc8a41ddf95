"""Which tensors of a checkpoint are those of a network: their names say it. Knows no file and no tensor.

A checkpoint may wrap the network (`state_dict`, Lightning's `model.`, DDP's `module.`), and hold more beside it:
averaged weights, losses, metrics. A name is a path through all of that, so whatever wraps the network is one prefix,
and it is the one without which most names are known.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError
from maskwright.core.text import listing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

# Wrappers that torch puts around any module, in the middle of a name too.
_WRAPPER = re.compile(r"(?<![^.])(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module)\.")
_AVERAGED = re.compile(r"(?:^|[._])ema[._]")
_BESIDE = re.compile(
    r"(?:train_|val_|valid_|test_)?(?:loss|losses|loss_fn|criterion|metrics?|optimizers?|n_averaged)(?:\.|$)"
)


@dataclass(frozen=True)
class Part:
    """The tensors of one network.

    Attributes:
        names: in the checkpoint -> in the network.
        notes: what was done, for users; empty if names and tensors are taken as they are.
    """

    names: dict[str, str]
    notes: tuple[str, ...]


def part_of(names: Sequence[str], known: Collection[str], source: str, least: int = 1) -> Part | None:
    """Find the tensors of a network.

    Args:
        names: of all tensors in the checkpoint.
        known: names in the network; some are enough.
        source: of the checkpoint, for messages.
        least: this many names must be known.

    Returns:
        None if fewer are known under every prefix.

    Raises:
        MaskwrightError: the checkpoint holds several such networks.
    """
    bare = {name: _WRAPPER.sub("", name) for name in names}
    fits = Counter(prefix for name in bare.values() for prefix in _prefixes(name, known))
    most = max(fits.values(), default=0)
    if most < least:
        return None
    alike = [prefix for prefix, count in fits.items() if count == most]
    owned = {prefix: [name for name in names if _owner(bare[name], alike) == prefix] for prefix in alike}
    prefix = _best(owned, source)
    taken = {name: bare[name].removeprefix(prefix) for name in owned[prefix]}
    taken = {name: inner for name, inner in taken.items() if inner in known or not _BESIDE.match(inner)}
    rivals = [other for other in alike if other != prefix]
    return Part(taken, tuple(_notes(bare, taken, prefix, rivals, source)))


def _prefixes(name: str, known: Collection[str]) -> Iterator[str]:
    """Yield the beginnings of a name without which it is known; each ends at a dot."""
    starts = (0, *(place + 1 for place, letter in enumerate(name) if letter == "."))
    return (name[:start] for start in starts if name[start:] in known)


def _owner(name: str, prefixes: Sequence[str]) -> str | None:
    """Return the longest prefix that a name has."""
    return max((prefix for prefix in prefixes if name.startswith(prefix)), key=len, default=None)


def _best(owned: dict[str, list[str]], source: str) -> str:
    """Choose among networks of which equally many names are known: the averaged one, if nothing is missing from it."""
    averaged = [prefix for prefix in owned if _AVERAGED.search(prefix)]
    others = [prefix for prefix in owned if prefix not in averaged]
    largest = max(map(len, owned.values()))
    if len(averaged) == 1 and len(others) <= 1 and len(owned[averaged[0]]) == largest:
        return averaged[0]
    if len(others) == 1:
        return others[0]
    raise MaskwrightError(
        f"{source} holds {len(owned)} networks that fit, under {' and '.join(map(repr, owned))}: load the file with "
        "torch, and save the tensors of one of them alone"
    )


def _notes(
    bare: dict[str, str], taken: dict[str, str], prefix: str, rivals: Sequence[str], source: str
) -> Iterator[str]:
    """Say what was taken instead of what, and what was left out."""
    wrappers = sorted({found for name in taken for found in _WRAPPER.findall(name)})
    done = [f"took the weights under {prefix!r}"] if prefix else []
    if rivals:
        done.append(f"which are averaged (EMA), not those under {rivals[0]!r}")
    if wrappers:
        done.append(f"removed {' and '.join(wrappers)} from their names")
    left = [bare[name] for name in bare if name not in taken and not bare[name].startswith(tuple(rivals))]
    if left:
        done.append(f"left out {listing(left, 3)}")
    if done:
        yield f"{source}: {', '.join(done)}"
