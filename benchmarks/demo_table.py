"""Train every architecture of the catalog on the demo's data for as long, and write the table of docs/models/README.md.

The data are mosaics of photographed textures (six classes, 256x256), written on the spot; each training starts from
scratch with what the planner chooses for that architecture, and is scored on held-out mosaics. Rows of models that are
not trained this time stay as they are; each says how long it was trained, so that no headline need speak for all. With
`--steps` or another number of threads, which no row could tell from the rest, nothing is written, only printed. Run:
python benchmarks/demo_table.py [--budget 60s] [--only NAME ...] [--machine WORDS]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors
import torch

import maskwright as mw
from maskwright import models
from maskwright.core.durations import parse_seconds
from maskwright.workflows.demo import write_data

INDEX = Path(__file__).parents[1] / "docs/models/README.md"
BEGIN, END = "<!-- demo table: begin -->", "<!-- demo table: end -->"
HEADER = ("| model | mean IoU | seconds | steps | parameters |", "|---|---|---|---|---|")
AIM = 0.6
THREADS = 2
MACHINE = "two cores of an AVX-512 EPYC with bfloat16 units"


@dataclass(frozen=True)
class Row:
    """One training.

    Attributes:
        score: mean IoU on held-out mosaics, 0..1.
        seconds: of the whole command.
        steps: optimiser steps.
        parameters: numbers in the model file, without counters.
    """

    score: float
    seconds: float
    steps: int
    parameters: int

    def line(self, name: str) -> str:
        """Write the row of the table."""
        return (
            f"| [`{name}`]({name}.md) | {100 * self.score:.1f} | {self.seconds:.0f} | {self.steps} | "
            f"{self.parameters / 1e6:.2f} M |"
        )


def measure(name: str, data: Path, length: dict[str, float], out: Path) -> Row:
    """Train one architecture, for a budget or so many steps, and return its row."""
    result = mw.train(data, out=out, model=name, settings=["model.pretrained=false"], **length)
    assert result.scores is not None
    score = result.scores.mean["iou"].value
    assert score is not None
    return Row(score, result.seconds, result.steps, parameters(out / "model.safetensors"))


def parameters(path: Path) -> int:
    """Count the weights of a model file; running statistics of norms are none."""
    total = 0
    with safetensors.safe_open(path, framework="np") as file:
        for name in file.keys():  # noqa: SIM118 - it is no dictionary
            if not name.endswith(("running_mean", "running_var", "num_batches_tracked")):
                size = 1
                for length in file.get_slice(name).get_shape():
                    size *= length
                total += size
    return total


def headline(machine: str) -> str:
    """Say what holds for every row."""
    return (
        f"From scratch on {machine}, each for as long as its row says, judged on mosaics that no training saw "
        "(`benchmarks/demo_table.py`). The parameters are those of the slim form that planning chooses for so short a "
        "time; `maskwright models` lists the usual ones."
    )


def other_machine(about: str) -> bool:
    """Whether the page has rows of a machine that `about` is not of: they must not stand under its headline."""
    old = INDEX.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]
    return "From scratch on " in old and about not in old


def write(lines: dict[str, str], about: str) -> None:
    """Put the rows between the markers, in the catalog's order; rows of other models stay."""
    text = INDEX.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    old, after = rest.split(END)
    kept = {line.split("`")[1]: line for line in old.splitlines() if line.startswith("| [`")}
    rows = {**kept, **lines}
    table = [about, "", *HEADER, *(rows[name] for name in models.MODELS if name in rows)]
    INDEX.write_text(before + BEGIN + "\n" + "\n".join(table) + "\n" + END + after, encoding="utf-8")


def main() -> None:
    """Train, write after each model, and say which ones miss the aim."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", default="60s")
    parser.add_argument("--steps", type=int, help="exactly so many, to see that all is well; writes nothing")
    parser.add_argument("--threads", type=int, default=THREADS, help=f"other than {THREADS}: writes nothing")
    parser.add_argument("--machine", default=MACHINE, help="in words, for the headline")
    parser.add_argument("--only", nargs="+", default=list(models.MODELS), choices=list(models.MODELS), metavar="NAME")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    stays = arguments.steps is None and arguments.threads == THREADS
    length: dict[str, float] = {"budget": parse_seconds(arguments.budget)}
    if arguments.steps is not None:
        length = {"steps": arguments.steps}
    about = headline(arguments.machine)
    if stays and other_machine(about):
        sys.exit(f"the table is of another machine than {arguments.machine}: empty it first, or name that one")
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder, "data"))
        for name in arguments.only:
            rows[name] = measure(name, Path(folder, "data"), length, Path(folder, "runs", name))
            if stays:
                write({name: rows[name].line(name)}, about)
            print(rows[name].line(name), file=sys.stderr, flush=True)
    if arguments.json:
        print(json.dumps({name: asdict(row) for name, row in rows.items()}))
    missed = [name for name, row in rows.items() if row.score < AIM]
    sys.exit(f"below {AIM} mean IoU: {', '.join(missed)}" if missed else 0)


if __name__ == "__main__":
    main()
