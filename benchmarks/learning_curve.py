"""How well the learning curve of `diagnose`, from at most half of the training images, predicts a training on all.

In each draw the plan of RUN is trained on nested subsets of its training images, `SHARES` of them, in an order of the
draw's own, and once on all of them with the draw's seed. The curve is fitted to the former as `diagnose` fits it; its
expected score for all images is compared with the mean score of all draws' trainings on all images (`off`), and its
80 % interval with the draw's own training on all images (`covered`).

Run: OMP_NUM_THREADS=1 python -m benchmarks.learning_curve RUN DATA [--steps 60] [--draws 5]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from maskwright.workflows.diagnose_parts.more_data import Point, _point, fitted
from maskwright.workflows.diagnose_parts.short_runs import Setup
from maskwright.workflows.diagnose_parts.study import Study
from maskwright.workflows.diagnose_request import DiagnoseRequest
from maskwright.workflows.evaluate_parts.evaluation import opened
from maskwright.workflows.request import EvaluateRequest
from maskwright.workflows.runs import run_folder

SHARES = (0.0625, 0.125, 0.25, 0.5)


def main() -> None:
    """Train, fit, and print one row for each draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--draws", type=int, default=5)
    given = parser.parse_args()
    request = DiagnoseRequest("10h")
    study = Study(opened(given.run, given.data, EvaluateRequest("test")), request, time.monotonic() + 36000)
    plan, material = run_folder.reopen(given.run, given.data)
    setup = Setup(study, plan, material, study.records("val", "test"))
    images = len(material.dataset.part("train"))
    print(
        f"{given.data.name}: {images} training images, {len(setup.held_out)} held out, {given.steps} steps", flush=True
    )
    rows: list[tuple[list[Point], Point]] = []
    with tempfile.TemporaryDirectory() as folder:
        for draw in range(given.draws):
            points = [
                _point(setup, share, given.steps, draw, Path(folder) / f"{draw}-{share}") for share in (*SHARES, 1.0)
            ]
            rows.append((points[:-1], points[-1]))
            print(f"  draw {draw}: " + ", ".join(f"{p.images}: {100 * p.score:.1f}" for p in points), flush=True)
    truth = float(np.mean([whole.score for _, whole in rows]))
    off, covered = [], []
    for draw, (points, whole) in enumerate(rows):
        curve = fitted(setup, points)
        low, high = curve.interval(images, 0.8)
        off.append(curve.score(images) - truth)
        covered.append(low <= whole.score <= high)
        print(
            f"  draw {draw}: expected {100 * curve.score(images):.1f} ({100 * low:.1f} to {100 * high:.1f}), its own "
            f"{100 * whole.score:.1f}, mean of all {100 * truth:.1f}"
        )
    print(
        f"  off by {100 * np.mean(np.abs(off)):.1f} points in the mean, {100 * np.max(np.abs(off)):.1f} at most; 80 % "
        f"intervals cover {sum(covered)} of {len(covered)}"
    )


if __name__ == "__main__":
    main()
