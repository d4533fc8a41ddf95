"""Images in parts of about equal size. Groups stay together. One half ranks trials, the other confirms the best."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.seeds import generator

if TYPE_CHECKING:
    from collections.abc import Sequence


def halves(images: Sequence[tuple[str, str | None]], seed: int) -> tuple[set[str], set[str]]:
    """Divide images into the half that ranks and the half that confirms; with a single group, the second is empty."""
    first, second = parts(images, 2, seed)
    return first, second


def parts(images: Sequence[tuple[str, str | None]], count: int, seed: int) -> list[set[str]]:
    """Divide images into parts of about the same number of images.

    Args:
        images: (id, group) of each.
        count: number of parts.
        seed: of the draw.

    Returns:
        The ids of each part; with fewer groups than parts, the last ones are empty.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for name, group in sorted(images, key=lambda image: (image[0], image[1] or "")):
        groups.setdefault(("image", name) if group is None else ("group", group), []).append(name)
    members = [groups[key] for key in sorted(groups)]
    order = generator(seed, "halves").permutation(len(members))
    found: list[set[str]] = [set() for _ in range(count)]
    # The largest groups first, so that what is left evens the parts out; equal ones in random order.
    for place in sorted(order.tolist(), key=lambda place: -len(members[place])):
        min(found, key=len).update(members[place])
    return found
