"""The input pipeline's speed against albumentations 2.0.8, the same operations on one thread, in one run.

Both cut a crop out of an image and a label map held in memory, with random zoom, stretch, rotation, flip, brightness,
contrast, gamma, saturation and shifted channels. Images are smoothed noise, so that nothing depends on a data set.
Processor time is taken, and all take turns, round by round, so that other work on the machine disturbs little.

    python benchmarks/pipeline_speed.py [--rounds 9] [--samples 100] [--json result.json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import albumentations
import cv2
import numpy as np

from maskwright.core.plan import AugmentPlan, SamplingPlan
from maskwright.core.seeds import generator
from maskwright.core.targets import Target
from maskwright.data.augment import augmented_crop

if TYPE_CHECKING:
    from collections.abc import Callable

AUGMENT = AugmentPlan(blur=0.0, noise=0.0)
CASES = {
    "480x360 -> crop 320x240": ((360, 480), (240, 320)),
    "1024x768 -> crop 512x512": ((768, 1024), (512, 512)),
}


def picture(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    rng = generator(0, "picture", *size)
    image = cv2.GaussianBlur(rng.integers(0, 256, (*size, 3), np.uint8), (0, 0), 2.0)
    labels = cv2.resize(rng.integers(0, 11, (12, 16), np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST)
    return image, labels


def ours(size: tuple[int, int], crop: tuple[int, int]) -> Callable[[int], Any]:
    image, labels = picture(size)
    sampling, target = SamplingPlan(crop=crop), Target(labels)
    return lambda number: augmented_crop(image, target, None, sampling, AUGMENT, generator(0, "sample", number))


def theirs(size: tuple[int, int], crop: tuple[int, int], *, crop_first: bool) -> Callable[[int], Any]:
    """Build the peer's pipeline in its usual order, or in its quickest: two small warps instead of one large one."""
    image, labels = picture(size)
    geometry = _crop_first(size, crop) if crop_first else _crop_last(crop)
    pipeline = albumentations.Compose([*geometry, *_colors()], seed=0)
    return lambda _: pipeline(image=image, mask=labels)


def _affine(zoom: tuple[float, float]) -> albumentations.Affine:
    return albumentations.Affine(
        scale={"x": zoom, "y": zoom},
        rotate=(-AUGMENT.rotate, AUGMENT.rotate),
        border_mode=cv2.BORDER_REFLECT_101,
        fill_mask=255,
        p=1.0,
    )


def _crop_last(crop: tuple[int, int]) -> list[Any]:
    flip = albumentations.HorizontalFlip(p=AUGMENT.flip_horizontal)
    return [_affine(AUGMENT.zoom), albumentations.RandomCrop(*crop), flip]


def _crop_first(size: tuple[int, int], crop: tuple[int, int]) -> list[Any]:
    low, high = AUGMENT.zoom
    heights = (round(crop[0] / high), min(size[0], round(crop[0] / low)))
    stretch = (1.0 - AUGMENT.stretch / 2.0, 1.0 + AUGMENT.stretch / 2.0)
    return [
        albumentations.RandomSizedCrop(min_max_height=heights, size=crop, w2h_ratio=crop[1] / crop[0], p=1.0),
        _affine(stretch),
        albumentations.HorizontalFlip(p=AUGMENT.flip_horizontal),
    ]


def _colors() -> list[Any]:
    shift = (-255.0 * AUGMENT.hue / 2.0, 255.0 * AUGMENT.hue / 2.0)
    jitter = {name: (1 - share, 1 + share) for name, share in _shares().items()}
    gamma = (round(100 / (1 + AUGMENT.gamma)), round(100 * (1 + AUGMENT.gamma)))
    return [
        albumentations.ColorJitter(**jitter, hue=(0.0, 0.0), p=1.0),
        albumentations.RGBShift(r_shift_limit=shift, g_shift_limit=shift, b_shift_limit=shift, p=1.0),
        albumentations.RandomGamma(gamma_limit=gamma, p=1.0),
    ]


def _shares() -> dict[str, float]:
    return {name: getattr(AUGMENT, name) for name in ("brightness", "contrast", "saturation")}


def rate(make: Callable[[int], Any], samples: int, first: int) -> float:
    start = time.process_time()
    for number in range(first, first + samples):
        make(number)
    return samples / (time.process_time() - start)


def measured(name: str, rounds: int, samples: int) -> dict[str, Any]:
    size, crop = CASES[name]
    sides = {
        "maskwright": ours(size, crop),
        "affine, crop": theirs(size, crop, crop_first=False),
        "crop, affine": theirs(size, crop, crop_first=True),
    }
    rates: dict[str, list[float]] = {side: [] for side in sides}
    for make in sides.values():
        rate(make, 10, 0)
    for number in range(rounds):
        for side, make in sides.items():
            rates[side].append(rate(make, samples, number * samples))
    ratios = [mine / max(others) for mine, *others in zip(*rates.values(), strict=True)]
    return {
        "case": name,
        **{side: statistics.median(values) for side, values in rates.items()},
        "ratio": statistics.median(ratios),
        "ratio_low": min(ratios),
        "ratio_high": max(ratios),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    results = [measured(name, options.rounds, options.samples) for name in CASES]
    print("images a second on one thread; albumentations in two orders; ratio to the faster one (lowest..highest)")
    for row in results:
        figures = "  ".join(f"{side} {row[side]:.0f}" for side in ("maskwright", "affine, crop", "crop, affine"))
        print(
            f"{row['case']:<26} {figures}  ratio {row['ratio']:.2f} ({row['ratio_low']:.2f}..{row['ratio_high']:.2f})"
        )
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
