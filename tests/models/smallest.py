"""The smallest network of each architecture, for tests that go through the whole catalog."""

from __future__ import annotations

from typing import Any

from maskwright import models

# Options of decoders that make them wide, and what is enough to have every layer.
_NARROW: dict[str, Any] = {
    "width": 8,
    "low_width": 4,
    "branch_width": 8,
    "channels": (8, 6, 4),
    "units": (4, 3),
    "filters": (5, 4),
}
_COMPACT: dict[str, Any] = {"widths": (4, 6, 8, 10), "depths": (1, 1, 1, 1)}
# Architectures that do not stand on the compact backbone: backbone and its smallest options.
_OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "unet2015": ("unet", {"base": 3, "levels": 4}),
    "cnn": ("plain", {"width_factor": 1 / 16}),
    "renet": ("patches", {}),
    "segformer": ("mit", {"widths": (4, 6, 8, 10), "depths": (1, 1, 1, 1), "heads": (1, 1, 2, 2)}),
    "pidinet": ("pidinet", {"base": 4, "depths": (2, 2, 1, 1)}),
    "ppliteseg": ("stdc1", {"base": 4, "repeats": (1, 1, 1)}),
}
_OTHERS |= dict.fromkeys(
    ("fcn32s", "fcn16s", "fcn8s", "deeplabv1", "deeplabv2", "hed"),
    ("vgg16_narrow", {"width_factor": 1 / 16, "depths": (1, 1, 1, 1, 1)}),
)


def smallest(name: str) -> dict[str, Any]:
    """Return the keyword arguments of `models.create` for the smallest `name`, the backbone among them."""
    backbone, options = _OTHERS.get(name, ("compact", _COMPACT))
    known = models.options_of(name, backbone)
    return {"backbone": backbone, **options, **{key: value for key, value in _NARROW.items() if key in known}}
