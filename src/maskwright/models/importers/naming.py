"""Renames one library's tensors to ours by a table. Knows no library.

A table maps the prefix of a name to our prefix; `{n}` is a whole number, which is the same on both sides, in order.
The first row that matches wins. An empty right side drops the tensor.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

NUMBER = "{n}"
SHOWN = 3


def renamed(tensors: Mapping[str, Tensor], table: Mapping[str, str], origin: str) -> dict[str, Tensor]:
    """Return `tensors` under our names.

    Args:
        tensors: by the other library's names; any shapes.
        table: as described above.
        origin: of the tensors, for messages.

    Raises:
        MaskwrightError: names that no row matches.
    """
    rows = [(_pattern(theirs), ours) for theirs, ours in table.items()]
    found: dict[str, Tensor] = {}
    strange: list[str] = []
    for name, tensor in tensors.items():
        row = next(((hit, ours) for pattern, ours in rows if (hit := pattern.match(name))), None)
        if row is None:
            strange.append(name)
        elif row[1]:
            found[_filled(row[1], row[0].groups()) + name[row[0].end() :]] = tensor
    if strange:
        more = f" and {len(strange) - SHOWN} more" if len(strange) > SHOWN else ""
        raise MaskwrightError(
            f"{origin} contains tensors that this architecture does not have ({', '.join(strange[:SHOWN])}{more}): it "
            "belongs to another architecture, or was saved with settings that have no counterpart here. Give the file "
            "of this architecture"
        )
    return found


def _pattern(theirs: str) -> re.Pattern[str]:
    return re.compile(re.escape(theirs).replace(re.escape(NUMBER), r"(\d+)"))


def _filled(ours: str, numbers: tuple[str, ...]) -> str:
    """Insert the numbers, one per placeholder."""
    first, *rest = ours.split(NUMBER)
    assert len(rest) <= len(numbers), f"{ours} needs more numbers than its row has"
    return first + "".join(number + part for number, part in zip(numbers, rest, strict=False))


def joined(tensors: Mapping[str, Tensor], parts: Sequence[str], whole: str) -> dict[str, Tensor]:
    """Concatenate, along the first axis, tensors that are one tensor here: those whose names differ only in `parts`.

    Args:
        tensors: by our names.
        parts: the differing parts of the names, in the order wanted.
        whole: the part that replaces them in our name.
    """
    kept = {name: tensor for name, tensor in tensors.items() if not any(part in name for part in parts)}
    for name in tensors:
        if parts[0] in name:
            pieces = [tensors[name.replace(parts[0], part)] for part in parts]
            kept[name.replace(parts[0], whole)] = torch.cat(pieces)
    return kept


def sliced(tensors: Mapping[str, Tensor], name: str, pattern: str, count: int) -> dict[str, Tensor]:
    """Cut a convolution over `count` maps (K, count * C, h, w), coarsest first, into one for each map, finest first.

    Args:
        tensors: by our names.
        name: of the convolution's weight.
        pattern: our name, with `{n}` for the number of the map.
        count: number of maps.
    """
    kept = {key: tensor for key, tensor in tensors.items() if key != name}
    for number, part in enumerate(reversed(tensors[name].chunk(count, dim=1))):
        kept[pattern.replace(NUMBER, str(number))] = part
    return kept
