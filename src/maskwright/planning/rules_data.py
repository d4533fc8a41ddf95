"""Rules about the pixels: channels, normalisation, working resolution, crop, sampling, augmentation.

Each rule takes the facts and the plan so far and returns decisions. Knows no machine.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from maskwright.planning.facts import Decision

if TYPE_CHECKING:
    from maskwright.core.fingerprint import ClassStats
    from maskwright.core.plan import Plan
    from maskwright.planning.facts import Facts

LONG_SIDE = 768
"""Largest long side at the working resolution unless fine detail asks for more, in pixels."""
DETAIL = 4.0
"""Pixels that the thinnest class keeps of its thickness at the working resolution."""
CROP_PIXELS = {"cpu": 240 * 320, "mps": 384 * 384, "cuda": 512 * 512}
MULTIPLE = 32
MIRRORED = 0.6
"""Likeness of the masks to their left-right mirror image from which a flip shows nothing impossible."""
UNORIENTED = 0.95
"""Likeness of the masks to their mirror image from which on no direction is special."""


def normalisation(facts: Facts, _plan: Plan) -> list[Decision]:
    """Feed the network with zero mean and unit variance, measured; stretch 16-bit and float images first."""
    intensity = facts.fingerprint.intensity
    channels = max(facts.fingerprint.channels, key=lambda count: facts.fingerprint.channels[count])
    stats = intensity[:channels]
    dtypes = facts.fingerprint.dtypes
    kind = max(dtypes, key=lambda name: dtypes[name])
    decisions = [Decision("data.channels", channels, f"{channels} channel{'s' * (channels > 1)} in most images")]
    words = "all images are" if len(dtypes) == 1 else f"{dtypes[kind]} of {sum(dtypes.values())} images are"
    if kind == "uint8":
        stretch = [(0.0, 255.0)] * channels
        decisions.append(Decision("data.value_range", None if len(dtypes) == 1 else stretch, f"{words} 8-bit"))
    else:
        stretch = [(entry.p_low, max(entry.p_high, entry.p_low + 1e-6)) for entry in stats]
        words = f"{words} {kind}; their 0.5th and 99.5th percentile become 0 and 255"
        decisions.append(Decision("data.value_range", stretch, words))
    gain = [255.0 / (high - low) for low, high in stretch]
    mean = [round((entry.mean - low) * g, 2) for entry, (low, _), g in zip(stats, stretch, gain, strict=True)]
    std = [round(max(entry.std * g, 1.0), 2) for entry, g in zip(stats, gain, strict=True)]
    why = f"measured over {facts.fingerprint.images} images"
    return [*decisions, Decision("data.mean", mean, why), Decision("data.std", std, why)]


def working_resolution(facts: Facts, _plan: Plan) -> list[Decision]:
    """Shrink large images as far as the thinnest class allows; never enlarge."""
    fingerprint = facts.fingerprint
    long_side = max(fingerprint.heights.median, fingerprint.widths.median)
    thin = thinnest(facts)
    by_size = min(1.0, LONG_SIDE / long_side)
    if by_size == 1.0:
        return [
            Decision("data.scale", 1.0, f"the images' median long side is {long_side:.0f} px: small enough as it is")
        ]
    by_detail = 0.0 if thin is None else min(1.0, DETAIL / _thickness(thin))
    scale = round(max(by_size, by_detail), 3)
    if by_detail > by_size and thin is not None:
        reason = f"{thin.name} is {_thickness(thin):.1f} px thick and keeps {DETAIL:.0f} of them"
    else:
        reason = f"brings the median long side of {long_side:.0f} px to {LONG_SIDE}; no class is too thin for that"
    return [Decision("data.scale", scale, reason)]


def crop(facts: Facts, plan: Plan) -> list[Decision]:
    """Give a crop the images' shape and as many pixels as a step can afford, in multiples of 32."""
    height = facts.fingerprint.heights.median * plan.data.scale
    width = facts.fingerprint.widths.median * plan.data.scale
    most = CROP_PIXELS[facts.machine.device]
    aspect = min(max(height / width, 0.5), 2.0)
    pixels = min(most, height * width)
    sides = (math.sqrt(pixels * aspect), math.sqrt(pixels / aspect))
    size = tuple(max(round(side / MULTIPLE), 2) * MULTIPLE for side in sides)
    reason = (
        f"images of {height:.0f}x{width:.0f} at the working resolution; at most {most} pixels on {facts.machine.device}"
    )
    return [Decision("sampling.crop", size, reason)]


def rare_classes(facts: Facts, _plan: Plan) -> list[Decision]:
    """Centre half of the crops on a class drawn more often the rarer it is (odds: frequency to the power -1/2)."""
    shares = np.array([entry.share for entry in facts.fingerprint.class_stats])
    present = shares > 0
    if present.sum() < 2:
        return [Decision("sampling.rare_share", 0.0, "one class only: no crop is better than another")]
    odds = np.where(present, np.maximum(shares, 1e-7) ** -0.5, 0.0)
    odds /= odds.sum()
    rarest = int(np.argmin(np.where(present, shares, np.inf)))
    name = facts.fingerprint.class_stats[rarest].name
    reason = f"{name} fills {shares[rarest]:.2%} of the pixels and would hardly be seen otherwise"
    return [
        Decision("sampling.rare_share", 0.5, reason),
        Decision("sampling.class_odds", [round(float(odd), 5) for odd in odds], "inverse square root of the frequency"),
    ]


def flips(facts: Facts, _plan: Plan) -> list[Decision]:
    """Flip only where the masks look the same when flipped."""
    fingerprint = facts.fingerprint
    horizontal, vertical = fingerprint.flip_horizontal, fingerprint.flip_vertical
    free = horizontal >= UNORIENTED and vertical >= UNORIENTED
    square = "no direction is special: all eight orientations" if free else "some direction matters to the masks"
    return [
        Decision(
            "augment.flip_horizontal",
            0.5 if horizontal >= MIRRORED else 0.0,
            f"mirrored masks are {horizontal:.0%} alike",
        ),
        Decision(
            "augment.flip_vertical",
            0.5 if vertical >= UNORIENTED else 0.0,
            f"masks upside down are {vertical:.0%} alike",
        ),
        Decision("augment.transpose", 0.5 if free else 0.0, square),
        Decision("augment.rotate", 15.0 if free else 5.0, square),
    ]


def zoom(facts: Facts, plan: Plan) -> list[Decision]:
    """Zoom out further where a crop is smaller than the image, so that whole scenes are seen too."""
    height = facts.fingerprint.heights.median * plan.data.scale
    width = facts.fingerprint.widths.median * plan.data.scale
    crop_height, crop_width = plan.sampling.crop
    whole = min(crop_height / height, crop_width / width)
    low = round(min(max(whole * 0.8, 0.4), 0.75), 2)
    reason = f"a crop shows {min(whole, 1):.0%} of an image's side at working resolution: from scenes to details"
    return [Decision("augment.zoom", (low, 1.25), reason)]


def colour(_facts: Facts, plan: Plan) -> list[Decision]:
    """Change colours gently where there are any, and leave measured bands (more than RGB) nearly alone."""
    if plan.data.channels == 3:
        return []
    mild = 0.1 if plan.data.channels > 3 else 0.2
    reason = f"{plan.data.channels} channels: no hue to turn" + (", bands keep their meaning" if mild < 0.2 else "")
    names = ("brightness", "contrast", "gamma")
    still = [Decision(f"augment.{name}", 0.0, reason) for name in ("hue", "saturation")]
    return still + [Decision(f"augment.{name}", mild, reason) for name in names]


def thinnest(facts: Facts) -> ClassStats | None:
    """Return the class with the smallest median thickness, among those of at least 0.01% of the pixels."""
    entries = [entry for entry in facts.fingerprint.class_stats if entry.thickness is not None and entry.share >= 1e-4]
    return min(entries, key=_thickness, default=None)


def _thickness(entry: ClassStats) -> float:
    assert entry.thickness is not None
    return max(entry.thickness.median, 1.0)
