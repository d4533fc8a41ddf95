"""Rules about the pixels: channels, normalisation, working resolution, crop, sampling, augmentation.

Each rule takes the facts and the plan so far and returns decisions. Knows no machine.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.errors import MaskwrightError
from maskwright.core.fingerprint import ChannelStats
from maskwright.core.text import plural
from maskwright.planning.facts import Decision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.core.plan import Plan
    from maskwright.planning.facts import Facts

LONG_SIDE = {"cpu": 768, "mps": 1024, "cuda": 1536}
"""Largest long side at the working resolution, in pixels, unless thin classes need more."""
DETAIL = 4.0
"""Smallest median thickness of the thinnest class at the working resolution, in pixels."""
CROP_PIXELS = {"cpu": 256 * 320, "mps": 384 * 384, "cuda": 512 * 512}
MULTIPLE = 32
MIRRORED = 0.6
"""Similarity of the masks to their left-right mirror image above which a horizontal flip is realistic."""
UNORIENTED = 0.95
"""Similarity of the masks to their mirror images above which they have no preferred orientation."""


def normalisation(facts: Facts, plan: Plan) -> list[Decision]:
    """Normalise the input to zero mean and unit variance, as measured; stretch 16-bit and float images first."""
    counts, dtypes = facts.fingerprint.channels, facts.fingerprint.dtypes
    channels = facts.channels or max(counts, key=lambda count: counts[count])
    stats = _converted(facts.fingerprint.intensity, channels, plan)
    kind = max(dtypes, key=lambda name: dtypes[name])
    decisions = [Decision("data.channels", channels, f"{plural(channels, 'channel')} in most images")]
    words = "all images are" if len(dtypes) == 1 else f"{dtypes[kind]} of {sum(dtypes.values())} images are"
    if kind == "uint8":
        stretch = [(0.0, 255.0)] * channels
        decisions.append(Decision("data.value_range", None if len(dtypes) == 1 else stretch, f"{words} 8-bit"))
    else:
        stretch = [(entry.p_low, max(entry.p_high, entry.p_low + 1e-6)) for entry in stats]
        words = f"{words} {kind}; their 0.5th and 99.5th percentiles become 0 and 255"
        decisions.append(Decision("data.value_range", stretch, words))
    gain = [255.0 / (high - low) for low, high in stretch]
    mean = [(entry.clipped_mean - low) * g for entry, (low, _), g in zip(stats, stretch, gain, strict=True)]
    std = [entry.clipped_std * g for entry, g in zip(stats, gain, strict=True)]
    seen = facts.fingerprint.images
    why = f"measured over {plural(seen, 'image')}, without the most extreme 1% of the values"
    return [
        *decisions,
        Decision("data.mean", [round(value, 2) for value in mean], why),
        Decision("data.std", [round(max(value, 1.0), 2) for value in std], why),
    ]


def weights_normalisation(facts: Facts, plan: Plan) -> list[Decision]:
    """Normalise images as in pretraining; use the mean over the colours where the channels are not RGB."""
    known, channels = facts.pretrained, plan.data.channels
    if not plan.model.pretrained or not known.mean:
        return []
    why = f"same as in the pretraining of {known.backbone}"
    return [
        Decision(f"data.{name}", list(values) if channels == 3 else [sum(values) / 3] * channels, why)
        for name, values in (("mean", known.mean), ("std", known.std))
    ]


def _converted(stats: Sequence[ChannelStats], channels: int, plan: Plan) -> list[ChannelStats]:
    """Return the statistics of images converted to `channels`, as in `ops.images.to_channels`.

    Raises:
        MaskwrightError: no such conversion.
    """
    if len(stats) == channels:
        return list(stats)
    if channels == 3 and len(stats) in {1, 2}:
        return [stats[0]] * 3
    if channels == 3 and len(stats) == 4:
        return list(stats[:3])
    if channels == 1 and stats and len(stats) <= 4:
        # Grey is a weighted mean of the colours, and so, nearly, are its statistics.
        colours = [asdict(entry) for entry in stats[: 3 if len(stats) > 2 else 1]]
        mixed = {name: float(np.mean([entry[name] for entry in colours])) for name in colours[0]}
        return [ChannelStats(**mixed)]
    why = plan.reasons.get("data.channels", "")
    if plan.model.weights is not None and plan.model.weights in why:  # nobody set it: the model says so
        raise MaskwrightError(
            f"{plan.model.weights} takes images with {channels} channels, and these have {len(stats)}: only grey and "
            "RGB can be converted into each other. Train without it, or start from a model for such images"
        )
    raise MaskwrightError(
        f"data.channels is {channels}, and the images have {len(stats)}: only grey and RGB can be converted into each "
        f"other. Leave the setting out, or set it to {len(stats)}"
    )


def working_resolution(facts: Facts, plan: Plan) -> list[Decision]:
    """Shrink large images as far as what must be seen allows; never enlarge."""
    if plan.data.sides is not None:
        return []
    long_side = max(facts.fingerprint.heights.median, facts.fingerprint.widths.median)
    most = LONG_SIDE[facts.machine.device]
    by_size = min(1.0, most / long_side)
    by_detail, why = detail(facts)
    if by_size == 1.0:
        reason = f"the median long side of the images is {long_side:.0f} px: no need to shrink them"
    elif by_detail > by_size:
        reason = why
    else:
        reason = f"reduces the median long side from {long_side:.0f} px to {most} px; nothing becomes too thin or small"
    return [Decision("data.scale", round(max(by_size, by_detail), 3), reason)]


def detail(facts: Facts) -> tuple[float, str]:
    """Return the smallest scale that loses nothing, at most 1, and what needs it; 0 where nothing is known to.

    The thinnest class needs `DETAIL` pixels, and a task may have needs of its own.
    """
    needs = list(facts.needs)
    thin = facts.thinnest()
    if thin is not None and thin.thickness is not None:
        median = thin.thickness.median
        why = f"{thin.name} is {median:.1f} px thick in the images (median) and needs {DETAIL:.0f} px"
        needs.append((min(1.0, DETAIL / max(median, 1.0)), why))
    return max(needs, key=lambda need: need[0], default=(0.0, ""))


def crop(facts: Facts, plan: Plan) -> list[Decision]:
    """Give a crop the images' shape and as many pixels as a step can afford, in multiples of 32."""
    height, width = facts.working_size(plan)
    most = CROP_PIXELS[facts.machine.device]
    reason = (
        f"images {width:.0f} wide and {height:.0f} high at the working resolution; about {most} pixels on "
        f"{facts.machine.device}"
    )
    return [Decision("sampling.crop", crop_size(height, width, most), reason)]


def crop_size(height: float, width: float, most: float) -> tuple[int, int]:
    """Return the crop nearest to `most` pixels, or to the image if that is smaller, with the aspect ratio of the image.

    The aspect ratio is at most 1:2, and larger only where the image itself ends: beyond it, a crop has only padding.
    """
    aspect, least = min(max(height / width, 0.5), 2.0), 2 * MULTIPLE
    pixels = min(most, height * width)
    down, across = math.sqrt(pixels * aspect), math.sqrt(pixels / aspect)
    if down > height:
        down, across = height, min(pixels / max(height, least), width)
    elif across > width:
        down, across = min(pixels / max(width, least), height), width
    return max(round(down / MULTIPLE) * MULTIPLE, least), max(round(across / MULTIPLE) * MULTIPLE, least)


def flips(facts: Facts, _plan: Plan) -> list[Decision]:
    """Flip only where flipped masks look like the masks."""
    fingerprint = facts.fingerprint
    horizontal, vertical = fingerprint.flip_horizontal, fingerprint.flip_vertical
    maps = "masks" if fingerprint.edges is None else "edges"
    free = horizontal >= UNORIENTED and vertical >= UNORIENTED
    square = (
        "no preferred orientation: all eight orientations are used"
        if free
        else "the masks have a preferred orientation"
    )
    return [
        Decision(
            "augment.flip_horizontal",
            0.5 if horizontal >= MIRRORED else 0.0,
            f"{maps} and their left-right mirror images are {horizontal:.0%} alike",
        ),
        Decision(
            "augment.flip_vertical",
            0.5 if vertical >= UNORIENTED else 0.0,
            f"{maps} and their upside-down mirror images are {vertical:.0%} alike",
        ),
        Decision("augment.transpose", 0.5 if free else 0.0, square),
        Decision("augment.rotate", 15.0 if free else 5.0, square),
    ]


def zoom(facts: Facts, plan: Plan) -> list[Decision]:
    """Zoom out further where a crop is smaller than the image, so that some crops show whole scenes."""
    height, width = facts.working_size(plan)
    crop_height, crop_width = plan.sampling.crop_size
    whole = min(crop_height / height, crop_width / width)
    low = round(min(max(whole * 0.8, 0.4), 0.75), 2)
    reason = f"a crop covers {min(whole, 1):.0%} of the image side at the working resolution: zoom shows more of it"
    return [Decision("augment.zoom", (low, 1.25), reason)]


def colour(_facts: Facts, plan: Plan) -> list[Decision]:
    """Change intensities less without colours, and least in images with measured bands (more channels than RGB)."""
    if plan.data.channels == 3:
        return []
    mild = 0.1 if plan.data.channels > 3 else 0.2
    count = plural(plan.data.channels, "channel")
    why = "the values of measured bands have a meaning" if mild < 0.2 else "grey values are the only cue"
    names = ("brightness", "contrast", "gamma")
    still = [Decision(f"augment.{name}", 0.0, f"{count}: no colours to change") for name in ("hue", "saturation")]
    return still + [Decision(f"augment.{name}", mild, f"{count}: small changes only, since {why}") for name in names]
