"""Thin structures as edges against thin structures as a class: F1 of lines within two pixels on held-out images.

Run `python benchmarks/thin_structures.py DATA [--budget 15m] [--seeds 0 1] [--set KEY=VALUE ...]`. DATA holds masks of
two classes, the second one thin: cracks, roads, vessels. For each seed, which also draws the split, one model learns
the masks and another one their middle lines (`--task edges --format edges`), each with its plan and for the same time.
The masks of the first are thinned to their middle lines; the lines of the second are those that `predict` writes. The
truth is the middle of the masks. Found and true pixels of all images together are matched one to one.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import maskwright as mw
from maskwright.data.targets import read_sample
from maskwright.ops.edge_matching import matched
from maskwright.ops.edges import thin
from maskwright.tasks.edge_map import EdgeMap
from maskwright.workflows.evaluate_parts.evaluation import opened

if TYPE_CHECKING:
    from numpy.typing import NDArray

REACH = 2.0  # pixels
KINDS = {"masks": mw.ReadOptions(), "lines": mw.ReadOptions(format="edges")}
TASKS = {"masks": "semantic", "lines": "edges"}


def lines(result: object) -> NDArray[np.bool_]:
    """Lines (H, W) of one pixel: those of an edge map, or the middle of the second class."""
    return result.lines if isinstance(result, EdgeMap) else thin(result.labels == 1)  # type: ignore[attr-defined]


def counts(run: Path, data: Path) -> dict[str, NDArray[np.int64]]:
    """Matched found, found, matched true and true pixels of each test image, by its name."""
    evaluation = opened(run, data, mw.EvaluateRequest())
    predictor, table = evaluation.predictor, {}
    for record in evaluation.records:
        image, target = read_sample(evaluation.dataset, record, predictor.task.target)
        found = lines(predictor.predict(image).result)
        truth = EdgeMap.drawn(target).lines if target.edges is not None else thin(target.labels == 1)
        right, recalled = matched(found, truth, REACH)
        table[record.image.path.stem] = np.array([mask.sum() for mask in (right, found, recalled, truth)])
    return table


def f1(rows: NDArray[np.int64]) -> tuple[float, float, float]:
    """F1, precision and recall of all images together."""
    right, found, recalled, true = rows.sum(0)
    precision, recall = right / max(found, 1), recalled / max(true, 1)
    return 2 * precision * recall / max(precision + recall, 1e-9), precision, recall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--budget", default="15m", help="of each training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a value of the plan")
    parser.add_argument("--out", type=Path, help="folder for the runs; by default they are deleted")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for seed in options.seeds:
            tables = {}
            for kind in options.kinds:
                run = (options.out or Path(scratch)) / f"{options.data.name}-{kind}-{seed}"
                request = mw.PlanRequest(
                    budget=options.budget, task=TASKS[kind], seed=seed, read=KINDS[kind], settings=tuple(options.set)
                )
                mw.train(options.data, request, out=run)
                tables[kind] = counts(run, options.data)
                score, precision, recall = f1(np.stack(list(tables[kind].values())))
                print(
                    f"seed {seed}, {kind}: F1 {score:.3f}, precision {precision:.3f}, recall {recall:.3f}, "
                    f"{len(tables[kind])} images",
                    flush=True,
                )
            assert len({tuple(sorted(table)) for table in tables.values()}) == 1, "the splits differ"


if __name__ == "__main__":
    main()
