"""Scores and times of the edge methods that need no training, on images of the Berkeley data set.

Run `python benchmarks/classic_edges.py DATA [--methods canny,color] [--grey] [--enhance] [--workers 2] [--json]`. DATA
holds `images/test/*.jpg`, and for each `truth/test/*.mat`. For each method: ODS, OIS and AP of its ridges; the F1 score
of its lines with automatic thresholds; and milliseconds of one thread for an image of 481x321, strength alone and with
lines. With `--grey`, the images lose their colours. With `--enhance`, the methods are the filters, each before `canny`.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import cv2
import numpy as np
from skimage import feature

from edge_scores import annotators
from maskwright.classic.edges import EDGES, find_edges
from maskwright.classic.enhance import ENHANCEMENTS
from maskwright.data.readers import read_image
from maskwright.metrics.edge_counts import edge_counts
from maskwright.metrics.edge_summary import ImageEdges, edge_scores, rates

if TYPE_CHECKING:
    from collections.abc import Callable

COLUMNS = ("ods", "ois", "ap", "lines_f1", "strength_ms", "lines_ms")


def ridges(method: str, image: np.ndarray) -> np.ndarray:
    return EDGES[method].ridges(EDGES[method].strength(image))


def grey(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def scored(path: Path, method: str, options: argparse.Namespace) -> tuple[ImageEdges, np.ndarray]:
    """Score one image, and count the lines of automatic thresholds."""
    cv2.setNumThreads(1)
    image = loaded(path, method, options)
    truth = annotators(path.parents[2] / "truth" / path.parent.name / f"{path.stem}.mat")
    name = "canny" if options.enhance else method
    lines = find_edges(image, name).lines.astype(np.float32)
    counts = edge_counts(ridges(name, image), truth, options.thresholds)
    return ImageEdges(path.stem, None, counts), edge_counts(lines, truth, 1)[0]


def loaded(path: Path, method: str, options: argparse.Namespace) -> np.ndarray:
    image = grey(read_image(path)) if options.grey else read_image(path)
    return ENHANCEMENTS[method](image) if options.enhance else image


def milliseconds(work: Callable[[], object], repeats: int = 7) -> float:
    """Median of processor time, after one call to warm up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(1e3 * (time.process_time() - start))
    return median(times)


def row(paths: list[Path], method: str, options: argparse.Namespace) -> dict[str, float]:
    with ProcessPoolExecutor(options.workers) as pool:
        results = list(pool.map(partial(scored, method=method, options=options), paths))
    image = read_image(paths[0])
    assert sorted(image.shape[:2]) == [321, 481]
    image = grey(image) if options.grey else image
    mean = edge_scores("edges", [scores for scores, _ in results]).mean
    work = ENHANCEMENTS[method] if options.enhance else EDGES[method].strength
    return {
        **{key: mean[key].value for key in ("ods", "ois", "ap")},
        "lines_f1": float(rates(np.sum([lines for _, lines in results], axis=0).astype(float))[2]),
        "strength_ms": milliseconds(lambda: work(image)),
        "lines_ms": milliseconds(lambda: find_edges(image, "canny" if options.enhance else method)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--methods", help="separated by commas")
    parser.add_argument("--enhance", action="store_true", help="compare the filters, each before canny")
    parser.add_argument("--grey", action="store_true", help="take the colours away first")
    parser.add_argument("--split", default="test")
    parser.add_argument("--thresholds", type=int, default=99)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    paths = sorted((options.data / "images" / options.split).glob("*.jpg"))
    names = options.methods.split(",") if options.methods else list(ENHANCEMENTS if options.enhance else EDGES)
    rows = {}
    for name in names:
        rows[name] = row(paths, name, options)
        if not options.json:
            print(f"{name:<12}", *(f"{key} {rows[name][key]:.3f} " for key in COLUMNS), flush=True)
    image = grey(read_image(paths[0]))
    peers = {
        "skimage.feature.canny": milliseconds(lambda: feature.canny(image, 2.0)),
        "cv2.Canny": milliseconds(lambda: cv2.Canny(cv2.GaussianBlur(image, (0, 0), 2.0), 50, 100)),
        "our canny, grey, with lines": milliseconds(lambda: find_edges(image, "canny")),
    }
    print(json.dumps({"methods": rows, "milliseconds": peers}) if options.json else peers)


if __name__ == "__main__":
    main()
