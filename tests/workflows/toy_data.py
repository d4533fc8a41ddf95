"""Twelve small pictures of discs and squares on noise, with masks; what a training on them is told; how it is run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from safetensors.numpy import load_file

from maskwright.workflows.request import PlanRequest

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.plan import Plan

SIZE = (48, 64)
COUNTS = {"train": 8, "val": 2, "test": 2}
SETTINGS = (
    "model.pretrained=false",
    "model.options={widths: [8, 8, 16, 16], width: 16}",
    "sampling.crop=[32, 32]",
    "sampling.batch=4",
    "train.precision=32-true",
)


def picture(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return an image (48, 64, 3) and its mask: 0 ground, 1 disc, 2 square."""
    rng = np.random.default_rng(seed)
    height, width = SIZE
    mask = np.zeros(SIZE, np.uint8)
    center = (int(rng.integers(12, width - 12)), int(rng.integers(12, height - 12)))
    cv2.circle(mask, center, int(rng.integers(7, 11)), 1, -1)
    top, left = int(rng.integers(2, height - 14)), int(rng.integers(2, width - 14))
    mask[top : top + 11, left : left + 11] = 2
    image = rng.integers(0, 80, (*SIZE, 3), dtype=np.uint8)
    image[mask == 1] += np.array([170, 20, 20], np.uint8)
    image[mask == 2] += np.array([20, 20, 170], np.uint8)
    return image, mask


def write(root: Path, counts: dict[str, int] | None = None, values: tuple[int, int, int] = (0, 1, 2)) -> Path:
    """Write images/SPLIT and masks/SPLIT; `values` stand in the masks for ground, disc and square."""
    for place, (split, count) in enumerate((COUNTS if counts is None else counts).items()):
        for number in range(count):
            image, mask = picture(100 * place + number)
            for folder, array in (("images", image), ("masks", np.array(values, np.uint8)[mask])):
                path = root / folder / split / f"{number:02}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(path), array)
    return root


def interrupted(run: Path, copy: Path) -> Path:
    """Copy a finished run as a kill during its evaluation would have left it."""
    shutil.copytree(run, copy)
    for name in ("metrics.json", "report.html"):
        (copy / name).unlink()
    return copy


def request(*settings: str, steps: int | None = 4, **wishes: Any) -> PlanRequest:
    """Ask for a training that takes a second or two."""
    return PlanRequest(steps=steps, settings=(*SETTINGS, *settings), device="cpu", **wishes)


def arguments(*settings: str, steps: int = 4) -> list[str]:
    """Say the same on the command line."""
    options = [word for setting in (*SETTINGS, *settings) for word in ("--set", setting)]
    return ["--steps", str(steps), "--device", "cpu", *options]


def environment() -> dict[str, str]:
    """One thread, and no network to ask."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "400"}


def command(*words: str | Path, processes: int = 1) -> list[str]:
    """Return the words that start maskwright in so many processes."""
    start = [sys.executable]
    if processes > 1:
        start += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return [*start, "-m", "maskwright", *map(str, words)]


def run(*words: str | Path, processes: int = 1) -> subprocess.CompletedProcess[str]:
    """Run maskwright to its end."""
    return subprocess.run(
        command(*words, processes=processes),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Read all tensors of a safetensors file."""
    return dict(load_file(path))


def differing(one: Path, two: Path) -> list[str]:
    """Return the names of the tensors in which two files differ in any bit."""
    first, second = tensors(one), tensors(two)
    names = sorted(first.keys() | second.keys())
    return [
        name
        for name in names
        if name not in first or name not in second or first[name].tobytes() != second[name].tobytes()
    ]


def plan_of(run_folder: Path) -> Plan:
    """Read the plan that a run was made by."""
    from maskwright.core.plan_file import read_plan

    return read_plan(run_folder / "plan.yaml")
