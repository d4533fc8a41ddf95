"""Validation images in two halves: one ranks trials, the other confirms the best. Groups stay together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.seeds import generator

if TYPE_CHECKING:
    from collections.abc import Sequence


def halves(images: Sequence[tuple[str, str | None]], seed: int) -> tuple[set[str], set[str]]:
    """Divide images into two halves of about the same number of images.

    Args:
        images: (id, group) of each.
        seed: of the search.

    Returns:
        The ids of the half that ranks, and of the half that confirms. With a single group, the second one is empty.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for name, group in sorted(images, key=lambda image: (image[0], image[1] or "")):
        groups.setdefault(("image", name) if group is None else ("group", group), []).append(name)
    members = [groups[key] for key in sorted(groups)]
    order = generator(seed, "halves").permutation(len(members))
    first: set[str] = set()
    second: set[str] = set()
    # The largest groups first, so that what is left evens the halves out; equal ones in random order.
    for place in sorted(order.tolist(), key=lambda place: -len(members[place])):
        smaller = first if len(first) <= len(second) else second
        smaller.update(members[place])
    return first, second
