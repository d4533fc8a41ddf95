"""Masks without and with edges learnt beside them: the same training but for `edges.weight`, on held-out images.

Run `python benchmarks/joint_edges.py DATA --task instance [--steps 140] [--seeds 0 1] [--set KEY=VALUE ...]`. For each
seed, which also draws the split, a network is trained without and with edges; the second is scored before and after
`--postprocess edges`, which is fitted on validation images. Prints a line for each; steps and not seconds are the same,
so other work on the machine changes nothing but the time.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import maskwright as mw

if TYPE_CHECKING:
    from maskwright.metrics.scores import Scores

SHOWN = {
    "semantic": ("iou", "dice", "boundary_iou"),
    "instance": ("f1", "f1_80", "cell_ap", "boundary_iou"),
    "panoptic": ("pq", "sq", "boundary_iou"),
}
SETTINGS = (
    "model.name=swiftnet",
    "sampling.batch=4",
    "train.threads=1",
    "train.validations=1",
    "train.validation_images=12",
)
WITH = ("edges.weight=1", "postprocess.edges={}")


def trained(options: argparse.Namespace, seed: int, more: tuple[str, ...], out: Path) -> mw.TrainResult:
    settings = (*SETTINGS, *more, *options.set)
    request = mw.PlanRequest(steps=options.steps, task=options.task, seed=seed, device="cpu", settings=settings)
    return mw.train(options.data, request, out=out)


def line(name: str, scores: Scores, keys: tuple[str, ...]) -> str:
    found = {key: scores.mean[key].value for key in keys if key in scores.mean}
    return f"{name:32}" + "  ".join(f"{key} {value:.3f}" for key, value in found.items() if value is not None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--task", choices=SHOWN, default="semantic")
    parser.add_argument("--steps", type=int, default=140)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a value of the plan")
    parser.add_argument("--out", type=Path, help="folder for the runs; by default they are deleted")
    options = parser.parse_args()
    keys = SHOWN[options.task]
    with tempfile.TemporaryDirectory() as scratch:
        for seed in options.seeds:
            out = (options.out or Path(scratch)) / f"{options.data.name}-{options.task}-{seed}"
            plain = trained(options, seed, (), out / "without")
            print(line(f"seed {seed}, without edges", plain.scores, keys), flush=True)
            joint = trained(options, seed, WITH, out / "with")
            print(line(f"seed {seed}, with, not used", joint.scores, keys), flush=True)
            after = mw.evaluate(joint.run, options.data, postprocess="edges")
            print(line(f"seed {seed}, with, edge watershed", after.scores, keys), *after.notes, sep="\n", flush=True)


if __name__ == "__main__":
    main()
