"""Score published edge maps by the Berkeley protocol: ODS, OIS and AP, which their papers report.

Run `python benchmarks/edge_scores.py MAPS TRUTHS [--suppress] [--workers 2] [--json]`. MAPS holds a grey PNG for each
image, or a .mat file with `ucm2`, the contours of Arbelaez et al. 2011 at twice the size. TRUTHS holds the .mat file of
BSDS with the same name. `suppress` is for maps that the detector's authors suppress only when they score them.

Published, on the 200 test images of BSDS500: gPb-owt-ucm .7263 / .7595 / .7266, and PiDiNet .8066 / .8228.
With `--people`, TRUTHS alone is read, and each annotator is scored against the others.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy.io import loadmat

from maskwright.metrics.edge_counts import edge_counts
from maskwright.metrics.edge_summary import ImageEdges, edge_scores
from maskwright.ops.edges import suppress

if TYPE_CHECKING:
    from collections.abc import Iterable

SHOWN = ("ods", "ois", "ap", "precision", "recall")


def annotators(path: Path) -> list[np.ndarray]:
    """Boundaries bool (H, W) of each annotator of a BSDS file."""
    return [entry["Boundaries"][0, 0].astype(bool) for entry in loadmat(path)["groundTruth"].ravel()]


def strengths(path: Path) -> np.ndarray:
    """Edge map float32 (H, W) within 0..1."""
    if path.suffix == ".mat":
        values = loadmat(path)["ucm2"][2::2, 2::2]
    else:
        values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert values is not None, f"{path} is not an image"
        assert values.ndim == 2, f"{path} has colours, and an edge map has none"
    return (values / np.iinfo(values.dtype).max if values.dtype.kind == "u" else values).astype(np.float32)


def scored(edges: Path, truths: Path, ridges: bool) -> ImageEdges:
    """Score one map."""
    cv2.setNumThreads(1)
    values = strengths(edges)
    truth = annotators(truths / f"{edges.stem}.mat")
    return ImageEdges(edges.stem, None, edge_counts(suppress(values) if ridges else values, truth))


def people(truth: Path) -> list[ImageEdges]:
    """Score each annotator of one image against the others."""
    cv2.setNumThreads(1)
    drawn = annotators(truth)
    return [
        ImageEdges(
            f"{truth.stem} {place}",
            truth.stem,
            edge_counts(one.astype(np.float32), drawn[:place] + drawn[place + 1 :], 1),
        )
        for place, one in enumerate(drawn)
    ]


def maps_of(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.iterdir() if path.suffix in {".png", ".mat"})
    assert found, f"{folder} holds no .png and no .mat file"
    return found


def counted(options: argparse.Namespace) -> Iterable[ImageEdges]:
    with ProcessPoolExecutor(options.workers) as pool:
        if options.people:
            return [image for images in pool.map(people, maps_of(options.truths)) for image in images]
        work = partial(scored, truths=options.truths, ridges=options.suppress)
        return list(pool.map(work, maps_of(options.maps)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("maps", type=Path, nargs="?", help="folder of edge maps")
    parser.add_argument("truths", type=Path, help="folder of BSDS truths")
    parser.add_argument("--suppress", action="store_true", help="the maps are not suppressed yet")
    parser.add_argument("--people", action="store_true", help="score the annotators against one another instead")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.maps is None and not options.people:
        parser.error("name the folder of the maps and that of the truths")
    start = time.perf_counter()
    images = counted(options)
    seconds = time.perf_counter() - start
    scores = edge_scores("edges", images)
    if options.json:
        print(json.dumps({"seconds": seconds, **scores.to_json()}))
        return
    print(f"{len(images)} maps in {seconds:.0f} s")
    for key in SHOWN:
        value = scores.mean[key]
        print(
            f"{key:<10}",
            *("  none" if number is None else f"{number:.4f}" for number in (value.value, value.low, value.high)),
        )


if __name__ == "__main__":
    main()
