"""How fast the metrics are, beside torchmetrics in one run: medians, and ratios.

Needs the extra `bench`. Run `python benchmarks/metrics_speed.py [--repeats 7] [--json]`.
The confusion matrix is that of 4 label maps of 512x512 with 21 classes; the surface distance that of one pair of
512x512 masks: ours is HD95 and the normalised surface distance of both classes, theirs the plain Hausdorff distance of
one (it has no percentile; the distances underneath are the same).
"""

from __future__ import annotations

import argparse
import json
import time
from statistics import median
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torchmetrics.functional.classification import multiclass_confusion_matrix
from torchmetrics.functional.segmentation import hausdorff_distance, mean_iou

from maskwright.metrics.confusion import confusion_matrix, iou, per_class
from maskwright.metrics.judge import Judge
from maskwright.metrics.surface import surface_scores
from maskwright.ops.distance import contour, nearest_distances

if TYPE_CHECKING:
    from collections.abc import Callable

CLASSES = 21


def fields(seed: int, count: int, classes: int, size: tuple[int, int]) -> np.ndarray:
    """Smooth random probabilities (count, classes, H, W) float32."""
    coarse = np.random.default_rng(seed).random((count * classes, 8, 8)).astype(np.float32)
    smooth = [cv2.resize(field, size[::-1], interpolation=cv2.INTER_CUBIC) for field in coarse]
    raised = np.exp(8 * np.stack(smooth)).reshape(count, classes, *size)
    return raised / raised.sum(1, keepdims=True)


def milliseconds(work: Callable[[], object], repeats: int) -> float:
    """Median over `repeats`, after one call to warm up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    return median(times)


def confusion(repeats: int) -> list[dict[str, object]]:
    prediction = fields(0, 4, CLASSES, (512, 512)).argmax(1).astype(np.uint8)
    truth = fields(1, 4, CLASSES, (512, 512)).argmax(1).astype(np.uint8)
    ours = milliseconds(lambda: iou(per_class(confusion_matrix(prediction, truth, CLASSES))), repeats)
    theirs = torch.from_numpy(prediction).long(), torch.from_numpy(truth).long()
    assert np.array_equal(
        confusion_matrix(prediction, truth, CLASSES), multiclass_confusion_matrix(*theirs, CLASSES).numpy()
    )
    peers = {
        "confusion matrix": lambda: multiclass_confusion_matrix(*theirs, CLASSES),
        "mean IoU": lambda: mean_iou(*theirs, CLASSES, input_format="index"),
    }
    return [row(f"{name}, 4x512x512, {CLASSES} classes", ours, milliseconds(peers[name], repeats)) for name in peers]


def surface(repeats: int) -> list[dict[str, object]]:
    # Small discs: torchmetrics measures every edge pixel against every pixel of the image, 16 bytes and more a pair.
    masks = [cv2.circle(np.zeros((512, 512), np.uint8), centre, 40, 1, -1) for centre in ((250, 250), (256, 262))]
    theirs = [torch.from_numpy(mask).long()[None] for mask in masks]
    options = {"include_background": False, "input_format": "index"}
    edges = [np.argwhere(contour(mask) & (mask > 0)) for mask in masks]
    assert max(part.max() for part in nearest_distances(*edges)) == float(hausdorff_distance(*theirs, 2, **options))
    ours = milliseconds(lambda: surface_scores(*masks, 2), repeats)
    peer = milliseconds(lambda: hausdorff_distance(*theirs, 2, **options), min(repeats, 3))
    return [row("surface distance, 512x512, a disc of radius 40", ours, peer)]


def judge(repeats: int) -> list[dict[str, object]]:
    probabilities = fields(4, 1, 11, (360, 480))[0]
    truth = (probabilities + 0.3 * fields(5, 1, 11, (360, 480))[0]).argmax(0).astype(np.uint8)
    judging = Judge([str(index) for index in range(11)], temperature=1.5)
    update = milliseconds(lambda: judging.update("image", probabilities, truth), repeats)
    rows = [row("judging one image by everything, 360x480, 11 classes", update, None)]
    crowd = Judge([str(index) for index in range(CLASSES)], surfaces=False)
    small = fields(6, 1, CLASSES, (32, 32))[0].argmax(0).astype(np.uint8)
    for index in range(1000):
        crowd.update(str(index), small, np.roll(small, index % 7))
    return [*rows, row("scores with intervals, 1000 images, 21 classes", milliseconds(crowd.compute, 3), None)]


def row(what: str, ours: float, theirs: float | None) -> dict[str, object]:
    return {
        "what": what,
        "ours_ms": ours,
        "torchmetrics_ms": theirs,
        "ratio": None if theirs is None else theirs / ours,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [*confusion(options.repeats), *surface(options.repeats), *judge(options.repeats)]
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'':55}{'ours':>10}{'torchmetrics':>15}{'ratio':>8}")
    for entry in rows:
        peer = "" if entry["ratio"] is None else f"{entry['torchmetrics_ms']:12.1f} ms{entry['ratio']:8.0f}"
        print(f"{entry['what']:55}{entry['ours_ms']:7.1f} ms{peer}")


if __name__ == "__main__":
    main()
