"""How well the risk of `predict` tells bad images from good ones, on held-out images and on corrupted copies.

Each image of the parts val and test is predicted as it is, and `--copies` times with a corruption of `diagnosis` drawn
for it (those that leave the truth in its place) at a severity drawn for it. Two risks are judged by the errors of the
same images: the one that `predict` gives, and 1 - the mean confidence of the pixels, for comparison; and the risk of
each object. Reported are the way from a random order to the perfect one by AURC, and the AUROC of the worst fifth, with
95 % intervals over images (over groups, where images of one group are alike).

Run: OMP_NUM_THREADS=1 python -m benchmarks.risk RUN DATA [--copies 2] [--seed 0]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.answers import Figure
from maskwright.core.seeds import generator
from maskwright.diagnosis import selective
from maskwright.diagnosis.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from maskwright.workflows.diagnose_parts.study import Study
from maskwright.workflows.diagnose_request import DiagnoseRequest
from maskwright.workflows.evaluate_parts.evaluation import opened
from maskwright.workflows.request import EvaluateRequest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.core.targets import Target
    from maskwright.workflows.diagnose_parts.study import Seen


def measured(study: Study, seed: int | None) -> tuple[list[tuple[Any, ...]], NDArray[np.float64]]:
    """Score all images, each corrupted if there is a seed.

    Returns:
        Rows of id, group, error, risk, and 1 - mean confidence (None without pixels); and risk and overlap (n, 2) of
        all objects.
    """
    names = [name for name, entry in CORRUPTIONS.items() if entry.move is None]
    draw = generator(seed or 0, "benchmark of risk")
    found: list[tuple[str, float | None, float | None]] = []
    objects = []

    def alter(image: NDArray[Any], target: Target) -> tuple[NDArray[Any], Target]:
        name, severity = names[draw.integers(len(names))], int(draw.integers(len(SEVERITIES)))
        return corrupt(image, target, name, severity, draw)

    def seen(image: Seen) -> bool:
        look = study._looked_at(image)
        sure = None if look.confidence is None else 1 - float(look.confidence.astype(np.float32).mean())
        found.append((look.record.id, look.risk, sure))
        objects.append(look.objects)
        return True

    records = study.records("val", "test")
    scores = study.scored(None if seed is None else alter, records, seen=seen)
    groups = {record.id: record.group for record in records}
    errors = scores.image_errors
    rows = [(name, groups[name], errors[name], *risks) for name, *risks in found if name in errors]
    return rows, np.concatenate(objects)


def told(rows: list[tuple[Any, ...]], column: int) -> str:
    """Judge one risk; the copies of an image depend on one another."""
    known = [row for row in rows if row[column] is not None]
    if not known:
        return "none"
    error, risk = (np.array([row[place] for row in known], np.float64) for place in (2, column))
    found = selective.judged(risk, error, [row[1] or row[0] for row in known])
    return f"way {Figure('', *found['recovered'])}, worst fifth {_area(found['auroc'])}, {len(known)} images"


def _area(value: tuple[float | None, float | None, float | None]) -> str:
    return " ".join("-" if part is None else f"{part:.2f}" for part in value)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--copies", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    study = Study(
        opened(given.run, given.data, EvaluateRequest("test")), DiagnoseRequest("1h"), time.monotonic() + 3600
    )
    clean, objects = measured(study, None)
    copies = [row for number in range(given.copies) for row in measured(study, given.seed + number)[0]]
    for words, rows in (("as they are", clean), ("corrupted", copies), ("both", [*clean, *copies])):
        for column, name in ((3, "risk of predict"), (4, "1 - mean confidence")):
            print(f"{given.data.name}, {words}, {name}: {told(rows, column)}")
    if len(objects):
        wrong = objects[:, 1] < selective.RIGHT
        area = selective.auroc(objects[:, 0], wrong)
        print(f"{len(objects)} objects, {wrong.mean():.0%} of them wrong: AUROC {area:.2f}")


if __name__ == "__main__":
    main()
