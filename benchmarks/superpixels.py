"""Superpixels: each method against scikit-image's SLIC, figures and processor time, in one run on one thread.

Boundary recall and undersegmentation error are those of the worst annotator of each image, as published (Stutz,
Hermans and Leibe 2018), and the means over annotators; explained variation follows. The methods take turns on each
image; times are processor milliseconds, the median over images. The ratio is scikit-image's time divided by ours.

Run: OMP_NUM_THREADS=1 python benchmarks/superpixels.py EDGES [--split test] [--count 400] [--json]

EDGES has `images/SPLIT/NAME.jpg` and `truth/SPLIT/NAME.mat` as in BSDS500.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from scipy.io import loadmat
from skimage.segmentation import slic

from maskwright.classic.superpixels import SUPERPIXELS
from maskwright.data.readers import read_image
from maskwright.metrics.superpixels import agreement, explained_variation

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

COLUMNS = ("worst recall", "worst error", "recall", "error", "variation", "regions", "ms")
THEIRS = "scikit-image slic"


def methods(count: int) -> dict[str, Callable[[NDArray[Any]], NDArray[Any]]]:
    ours = {name: lambda image, run=run: run(image, count, 1.0) for name, run in SUPERPIXELS.items()}
    return {**ours, THEIRS: lambda image: slic(image, n_segments=count, start_label=0)}


def measured(folder: Path, split: str, count: int) -> dict[str, list[list[float]]]:
    """Return one row of `COLUMNS` an image for each method."""
    rows: dict[str, list[list[float]]] = {name: [] for name in methods(count)}
    for file in sorted((folder / "images" / split).glob("*.jpg")):
        image = read_image(file)
        truth = loadmat(folder / "truth" / split / f"{file.stem}.mat")["groundTruth"][0]
        segments = [each["Segmentation"][0, 0] for each in truth]
        for name, run in methods(count).items():
            started = time.process_time()
            labels = run(image)
            spent = 1000 * (time.process_time() - started)
            found = agreement(labels, segments)
            figures = (found.worst_recall, found.worst_error, found.recall, found.error)
            rows[name].append([*figures, explained_variation(labels, image), labels.max() + 1, spent])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("edges", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    rows = measured(options.edges, options.split, options.count)
    times = {name: statistics.median(row[-1] for row in each) for name, each in rows.items()}
    table = {
        name: {
            **dict(zip(COLUMNS, np.nanmean(each, axis=0).round(3).tolist(), strict=True)),
            "ms": round(times[name], 1),
            "ratio": round(times[THEIRS] / times[name], 2),
        }
        for name, each in rows.items()
    }
    if options.json:
        print(json.dumps(table, indent=2))
        return
    print(" | ".join(["method", *COLUMNS, "ratio"]))
    for name, figures in table.items():
        print(" | ".join([name, *(str(value) for value in figures.values())]))


if __name__ == "__main__":
    main()
