"""How fast a large image is predicted, as a share of the rate of the bare network, both measured in one run.

The image is made of the pictures of a folder, side by side. In each round the network alone works on tiles of several
sizes, with the settings of `predict` (channels last, no gradients), then `maskwright predict` runs as a user would run
it, in a process of its own. Times are those of the processor (user and system), which other programs disturb less than
wall time; with several threads they count waiting in loops, so compare them with `--threads 1`. The share is that of
the fastest tile. The start of Python and PyTorch counts, so small images have smaller shares.
Run: python benchmarks/scan_rate.py RUN IMAGES [--height 4096] [--width 4096] [--threads 1] [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import tifffile
import torch

from maskwright.core.allocator import keep_freed_memory
from maskwright.inference import Predictor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

TILES = (384, 512, 768, 1024)
BLOCK = 512


def scan(folder: Path, height: int, width: int, path: Path) -> None:
    """Write a tiled, compressed TIFF of the pictures of a folder, drawn anew for each row of pictures."""
    pictures = [cv2.imread(str(file))[..., ::-1] for file in sorted(folder.iterdir())[:60]]
    rng = np.random.default_rng(0)
    across = -(-width // pictures[0].shape[1])

    def blocks() -> Iterator[NDArray[np.uint8]]:
        held = np.empty((0, width, 3), np.uint8)
        for top in range(0, height, BLOCK):
            while len(held) < min(BLOCK, height - top):
                drawn = [pictures[number] for number in rng.integers(0, len(pictures), across)]
                held = np.concatenate([held, np.concatenate(drawn, 1)[:, :width]])
            for left in range(0, width, BLOCK):
                yield np.ascontiguousarray(held[:BLOCK, left : left + BLOCK])
            held = held[BLOCK:]

    tifffile.imwrite(
        path,
        blocks(),
        shape=(height, width, 3),
        dtype=np.uint8,
        tile=(BLOCK, BLOCK),
        photometric="rgb",
        compression="zlib",
        compressionargs={"level": 1},
        bigtiff=True,
    )


def bare(predictor: Predictor, side: int, pixels: int = 1 << 21) -> tuple[float, float]:
    """Return microseconds a pixel, of the processor and of the wall, for the network alone on tiles of a side."""
    tile = np.random.default_rng(0).integers(0, 256, (1, side, side, predictor.card.data.channels), np.uint8)
    with torch.no_grad():
        image = predictor.engine.pixels(tile)  # type: ignore[attr-defined]
        predictor.engine.segmenter(image)  # type: ignore[attr-defined]
        count = max(pixels // side**2, 1)
        before, started = time.process_time(), time.perf_counter()
        for _ in range(count):
            predictor.engine.segmenter(image)  # type: ignore[attr-defined]
    scale = 1e6 / (count * side**2)
    return (time.process_time() - before) * scale, (time.perf_counter() - started) * scale


def whole(run: str, image: Path, threads: int, options: list[str]) -> tuple[float, float, float]:
    """Predict an image and return seconds of the processor, of the wall, and the largest resident memory in MiB."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "maskwright", "predict", run, str(image), "--out", out, *options]
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": str(threads)}
        )
        _, status, used = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"maskwright predict ended with {os.waitstatus_to_exitcode(status)}")
        return used.ru_utime + used.ru_stime, time.perf_counter() - start, used.ru_maxrss / 1024


def main() -> None:
    """Measure in rounds, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("images", type=Path)
    parser.add_argument("--height", type=int, default=4096)
    parser.add_argument("--width", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--option", action="append", default=[], help="of `maskwright predict`, such as --flip")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    predictor, pixels, shares = Predictor.load(given.run, "cpu"), given.height * given.width, []
    with tempfile.TemporaryDirectory() as folder, keep_freed_memory():
        image = Path(folder) / "scan.tif"
        scan(given.images, given.height, given.width, image)
        for _ in range(given.rounds):
            rates = {side: bare(predictor, side) for side in TILES}
            seconds, wall, memory = whole(given.run, image, given.threads, given.option)
            least = [min(rate) * pixels / 1e6 for rate in zip(*rates.values(), strict=True)]
            shares.append((least[0] / seconds, least[1] / wall))
            listed = ", ".join(f"{side}: {rate:.3f} ({clock:.3f} wall)" for side, (rate, clock) in rates.items())
            print(f"bare {listed} us/pixel; predict {seconds / pixels * 1e6:.3f} us/pixel, {wall:.0f} s wall, ", end="")
            print(
                f"{memory:.0f} MiB; {shares[-1][0]:.1%} of the bare rate, {shares[-1][1]:.1%} by wall time", flush=True
            )
    medians = [statistics.median(share) for share in zip(*shares, strict=True)]
    print(
        f"median {medians[0]:.1%}, {medians[1]:.1%} by wall time, own memory "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}"
    )


if __name__ == "__main__":
    main()
