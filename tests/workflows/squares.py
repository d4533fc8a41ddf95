"""Images of squares that networks of objects learn in a few steps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

import maskwright
from maskwright.workflows.request import PlanRequest
from maskwright.workflows.train import train

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.instances import Instances
    from maskwright.models.bundle import Card

SIZE = (96, 96)
STILL = ("augment.zoom=[1, 1]", "augment.stretch=0", "augment.rotate=0")
"""Settings that show squares as they are."""

WAYS = [pytest.param({}, id="in full"), pytest.param({"lora": 2}, id="LoRA")]
"""How a training goes on from a run."""


def picture(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return an image (96, 96, 3) with up to three bright squares, which may cover one another, and their ids."""
    rng = np.random.default_rng(seed)
    ids = np.zeros(SIZE, np.uint8)
    image = rng.integers(0, 60, (*SIZE, 3), dtype=np.uint8)
    for number in (1, 2, 3):
        side = int(rng.integers(18, 30))
        top, left = rng.integers(0, SIZE[0] - side, 2)
        ids[top : top + side, left : left + side] = number
        image[top : top + side, left : left + side] = rng.integers(160, 255)
    return image, ids


def written(root: Path) -> Path:
    """Write 16 images and their ids below `root`."""
    for number in range(16):
        for folder, array in zip(("images", "instances"), picture(number), strict=True):
            path = root / folder / f"{number:02}.png"
            path.parent.mkdir(exist_ok=True)
            assert cv2.imwrite(str(path), array)
    return root


def found(result: Instances, ids: NDArray[np.uint8]) -> list[list[float]]:
    """Return the IoU of each square with every object found."""
    shares = []
    for number in np.unique(ids)[1:]:
        own = ids == number
        masks = [own[entry.rows, entry.columns] & entry.mask for entry in result.objects]
        both = [int(mask.sum()) for mask in masks]
        areas = [entry.area for entry in result.objects]
        shares.append([part / (own.sum() + area - part) for part, area in zip(both, areas, strict=True)])
    return shares


def continued(run: Path, data: Path, out: Path, wishes: dict[str, Any]) -> Card:
    """Train one step from a run, check that the network still finds what it found, and return its card."""
    settings = ("sampling.crop=[96, 96]", "sampling.batch=4", "train.precision=32-true", "optim.lr=1e-4", *STILL)
    train(data, PlanRequest(steps=1, settings=settings, device="cpu", from_run=run, **wishes), out)
    before, after = (
        json.loads((folder / "metrics.json").read_text())["scores"]["mean"]["mask_ap50"]["value"]
        for folder in (run, out)
    )
    assert after > 0.7 * before > 0.3
    card = maskwright.load(out).card
    assert card.task == "instance"
    return card
