"""The catalog of architectures that are grown from labelled pixels."""

from __future__ import annotations

from maskwright.models.entry import ModelEntry
from maskwright.models.pixels import forest

PIXEL_MODELS: dict[str, ModelEntry] = {
    "forest": ModelEntry(
        forest.build,
        "Breiman, Random Forests",
        2001,
        "https://doi.org/10.1023/A:1010933404324",
        "filters",
        "trees on a bank of filters, grown in seconds, from scribbles too: a baseline without a network",
        tasks=("semantic",),
        learns="pixels",
    ),
}
"""Architectures that are grown at once, without steps, each for the tasks that it names."""
